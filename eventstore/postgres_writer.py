"""The one connection that appends: durable, one round trip for a commit, one writer at a time.

Safety does not rest on the lock: the log's primary key refuses a second writer in any case. It
only tells an operator at once that another process writes, and lets a standby wait.
"""

import time
from collections.abc import Sequence
from contextlib import closing
from threading import Lock
from typing import Any, Final, NamedTuple

import psycopg
from eventsourcing.persistence import OperationalError, PersistenceError, StoredEvent
from psycopg.postgres import types
from psycopg.pq import DiagnosticField, ExecStatus, Format, TransactionStatus
from psycopg.pq.abc import PGresult

from eventstore.errors import StoreError, StoreLocked
from eventstore.postgres_connection import SETTINGS, Connection, Server, become, library_error
from eventstore.postgres_schema import WRITER_ROLE, check_schema

APPLICATION: Final = "foldex writer"
LOCK_POLL_S: Final = 0.1
"""How often a standby tries to get the lock."""
SETTLE_S: Final = 10.0
"""How long a restarting server is waited for, to find out what became of an append."""
SETTLE_POLL_S: Final = 0.05

_SETTINGS: Final[dict[str, str]] = {
    **SETTINGS,
    # A statement that is cancelled while it waits for a replica counts as done: never cancel.
    "statement_timeout": "0",
    # Somebody else's lock on the log stops us in the end.
    "lock_timeout": "30s",
}
_DURABLE: Final = """SELECT set_config('synchronous_commit', 'on', false)
    WHERE current_setting('synchronous_commit') NOT IN ('on', 'remote_apply')"""
_FACTS: Final = """SELECT pid, backend_start,
        current_setting('fsync') AS fsync,
        current_setting('synchronous_commit') AS synchronous_commit,
        current_setting('transaction_read_only') AS read_only
    FROM pg_stat_activity WHERE pid = pg_backend_pid()"""
_INSERT: Final = b"""INSERT INTO foldex.stored_events
        (originator_id, originator_version, topic, state)
    VALUES ($1, $2, $3, $4) RETURNING notification_id"""
_INSERT_NAME: Final = b"append"
_INSERT_TYPES: Final = [types[name].oid for name in ("text", "int8", "text", "bytea")]
_MAY_APPEND: Final = """SELECT has_table_privilege('foldex.stored_events', 'INSERT')
    OR coalesce(pg_has_role(to_regrole(%s), 'MEMBER'), false) AS may"""
_TRY_LOCK: Final = "SELECT pg_try_advisory_lock(hashtextextended(%s, 0)) AS got"
_HOLDER: Final = """SELECT application_name, client_addr::text AS address, backend_start
    FROM pg_locks JOIN pg_stat_activity USING (pid)
    WHERE locktype = 'advisory' AND granted AND objsubid = 1
      AND pg_locks.database = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND (classid::bigint << 32 | objid::bigint) = hashtextextended(%s, 0)"""
_END: Final = """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE pid = %s AND backend_start = %s"""


class _Session(NamedTuple):
    """A session of the server's; the time tells two with one process id apart."""

    pid: int
    backend_start: object


class PostgresWriter:
    """Appends rows. Threads take turns; in Foldex there is only one."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._lock_name: str | None = None
        self._connection: Connection | None = None
        self._session: _Session | None = None
        self._lost: _Session | None = None
        self._using = Lock()

    def lock(self, stream: str, wait_s: float = 0.0) -> None:
        """Connect, and hold the right to append to a stream until closed, or disconnected.

        Raises: StoreLocked: another process had it all the time; StoreError: the user may not
        append; OperationalError.
        """
        with self._using:
            self._lock_name = f"{APPLICATION} {stream}"
            self._connection, self._session = self._connect(wait_s)

    @property
    def pid(self) -> int | None:
        """The server's process that appends, if there is one."""
        return self._session.pid if self._session else None

    def insert(self, rows: Sequence[StoredEvent]) -> list[int]:
        """Store rows in one durable transaction, and return their places in the log.

        Raises: IntegrityError: one of them is there already; another PersistenceError: nobody
        knows, until `settle`.
        """
        values = [(str(e.originator_id), e.originator_version, e.topic, e.state) for e in rows]
        with self._using:
            if self._lost is not None:
                self._settle()
            if self._connection is None:
                self._connection, self._session = self._reconnect()
            try:
                return _insert(self._connection, values)
            except psycopg.Error as error:
                raise library_error(error) from error
            finally:
                self._drop_unless_idle()

    def settle(self) -> None:
        """Make sure that no append of ours is still on its way to be stored.

        A lost connection does not end what the server does for it: the commit could be looked up
        in vain, and be stored a moment later. Raises: PersistenceError: it cannot be made sure.
        """
        with self._using:
            self._settle()

    def close(self) -> None:
        """Disconnect, which lets another process write."""
        with self._using:
            if self._connection is not None:
                self._connection.close()
            self._connection = self._session = None

    def _connect(self, wait_s: float) -> tuple[Connection, _Session]:
        connection = self._server.connect(APPLICATION, settings=_SETTINGS)
        try:
            check_schema(connection, self._server)
            session = _check(connection)
            if self._lock_name is not None:
                _require_right(connection, self._server)
                _lock(connection, self._lock_name, wait_s)
            become(connection, WRITER_ROLE)  # It may not see what sessions there are.
            _checked(connection.pgconn.prepare(_INSERT_NAME, _INSERT, _INSERT_TYPES))
        except psycopg.Error as error:
            connection.close()
            raise library_error(error) from error
        except BaseException:
            connection.close()
            raise
        return connection, session

    def _reconnect(self) -> tuple[Connection, _Session]:
        try:
            return self._connect(0.0)
        except StoreLocked as error:
            raise OperationalError(str(error)) from error

    def _drop_unless_idle(self) -> None:
        """Give up a connection that was lost, or interrupted in the middle of a statement."""
        connection = self._connection
        assert connection is not None
        if connection.info.transaction_status != TransactionStatus.IDLE:
            connection.close()
            self._lost, self._connection, self._session = self._session, None, None

    def _settle(self) -> None:
        deadline_s = time.monotonic() + SETTLE_S
        while self._lost is not None:
            try:
                if self._is_over(self._lost):
                    self._lost = None
                    return
            except PersistenceError:
                if time.monotonic() > deadline_s:
                    raise
            if time.monotonic() > deadline_s:
                raise OperationalError("the server is still busy with the lost append")
            time.sleep(SETTLE_POLL_S)

    def _is_over(self, session: _Session) -> bool:
        """End a session, and return whether it is gone."""
        try:
            with closing(self._server.connect("foldex settler")) as connection:
                return connection.execute(_END, session).fetchone() is None
        except psycopg.Error as error:
            raise library_error(error) from error


def _insert(connection: Connection, values: Sequence[Sequence[Any]]) -> list[int]:
    """One row, the usual case, is one statement and its own transaction: one round trip."""
    if len(values) == 1:
        return [_insert_one(connection, values[0])]
    with connection.transaction():
        return [_insert_one(connection, row) for row in values]


def _insert_one(connection: Connection, row: Sequence[Any]) -> int:
    """Ask libpq itself, in one call that leaves the interpreter to the others until the answer.

    A cursor would take more than twice the time in Python, and the interpreter back several times.
    """
    stream, number, topic, state = row
    values = [stream.encode(), number.to_bytes(8), topic.encode(), state]
    binary = [Format.BINARY] * len(values)
    result = connection.pgconn.exec_prepared(_INSERT_NAME, values, binary, Format.BINARY)
    place = _checked(result).get_value(0, 0)
    return int.from_bytes(place) if place else 0


def _checked(result: PGresult) -> PGresult:
    """Return a result. Raises: psycopg.Error: it is an error."""
    if result.status in (ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK):
        return result
    if result.error_field(DiagnosticField.SQLSTATE) is None:
        # Not the server's, but libpq's own: the connection was lost.
        raise psycopg.OperationalError(result.get_error_message())
    raise psycopg.errors.error_from_result(result)


def _check(connection: Connection) -> _Session:
    """Return the session, after asking the server whether it commits durably."""
    connection.execute(_DURABLE)
    facts = connection.execute(_FACTS).fetchone()
    assert facts is not None
    if facts["read_only"] == "on":
        raise OperationalError("it is read-only (a replica?): append where it is not")
    for setting in ("fsync", "synchronous_commit"):
        if facts[setting] == "off":
            raise OperationalError(f"it does not write durably: {setting} is off; switch it on")
    return _Session(facts["pid"], facts["backend_start"])


def _require_right(connection: Connection, server: Server) -> None:
    """Raises: StoreError: the user may not append; a standby should say so before it is needed."""
    found = connection.execute(_MAY_APPEND, [WRITER_ROLE]).fetchone()
    if found is None or not found["may"]:
        user = connection.info.user
        raise StoreError(
            f"the user {user!r} may not append to the log in {server.name}: "
            f"let its owner run `GRANT {WRITER_ROLE} TO {user}`"
        )


def _lock(connection: Connection, name: str, wait_s: float) -> None:
    deadline_s = time.monotonic() + wait_s
    while True:
        tried = connection.execute(_TRY_LOCK, [name], prepare=False).fetchone()
        if tried is not None and tried["got"]:
            return
        if time.monotonic() >= deadline_s:
            raise StoreLocked(_who_holds(connection, name))
        time.sleep(LOCK_POLL_S)


def _who_holds(connection: Connection, name: str) -> str:
    holder = connection.execute(_HOLDER, [name], prepare=False).fetchone()
    who = "another process" if holder is None else f"{holder['application_name']!r}"
    since = "" if holder is None else f" (from {holder['address']}, {holder['backend_start']})"
    return f"{who}{since} has the log open for writing; stop it first"
