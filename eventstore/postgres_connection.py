"""Connections to PostgreSQL: how they are opened, named in messages, and kept for the next query.

Whatever goes wrong below this module leaves it as an error of the `eventsourcing` library, in a
text that never holds the password.
"""

import os
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from threading import Lock
from typing import Any, Final
from urllib.parse import quote

import psycopg
from eventsourcing.persistence import (
    DatabaseError,
    DataError,
    IntegrityError,
    InterfaceError,
    InternalError,
    NotSupportedError,
    OperationalError,
    PersistenceError,
    ProgrammingError,
)
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import TransactionStatus
from psycopg.rows import DictRow, dict_row

from eventstore.errors import NoStore, StoreError

Connection = psycopg.Connection[DictRow]

IDLE_MAX: Final = 4
"""How many connections wait for the next query, unless told; more are opened when needed."""
PARAMETERS: Final[Mapping[str, str]] = {
    "connect_timeout": "5",
    # A host that vanished is noticed in half a minute, not after the kernel's hours.
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "30000",
}
"""What a URL need not say; it may say otherwise."""
SETTINGS: Final[Mapping[str, str]] = {
    # The same for the server: a dead process must not keep its locks, or hold up notices.
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "30000",
    # It would end connections that wait for work.
    "idle_session_timeout": "0",
}
_CONNECTION_GONE: Final = frozenset({None, "57P01", "57P02", "57P03"})
"""SQLSTATEs of a server that goes away or comes back; None: it did not even answer."""


class Server:
    """A database on a server. `name` says which in a message; the password stays in here."""

    def __init__(self, url: str) -> None:
        """Read a URL; nothing is connected. Raises: StoreError: it is not PostgreSQL's."""
        try:
            given = conninfo_to_dict(url)
        except psycopg.Error:
            given = {}
        if not given:
            # The URL itself may hold a password, so the driver's own message is not repeated.
            raise StoreError(
                "the address of the database is not a URL that PostgreSQL understands; "
                "it looks like postgresql://user:password@host:5432/database"
            )
        self._parameters = {**PARAMETERS, **{key: str(value) for key, value in given.items()}}
        host = self._parameters.get("host") or os.environ.get("PGHOST") or "localhost"
        port = self._parameters.get("port") or os.environ.get("PGPORT") or "5432"
        self.database = self._parameters.get("dbname") or os.environ.get("PGDATABASE") or ""
        self.name = f"the database {self.database!r} of the PostgreSQL server at {_at(host, port)}"

    def connect(
        self, application: str, *, role: str | None = None, settings: Mapping[str, str] = SETTINGS
    ) -> Connection:
        """Return a new connection in autocommit mode.

        role: what it may do is what this role may, if the user is allowed to become it; else
        what the user may. settings: for its session. Raises: OperationalError.
        """
        application = f"{application} {os.uname().nodename}:{os.getpid()}"
        parameters = {"application_name": application, **self._parameters}
        try:
            connection: Connection = psycopg.Connection.connect(
                **parameters,  # type: ignore[arg-type]
                autocommit=True,
                row_factory=dict_row,
            )
        except psycopg.Error as error:
            raise OperationalError(self._without_password(_text_of(error))) from None
        try:
            configure(connection, settings)
            if role is not None:
                become(connection, role)
        except psycopg.Error as error:
            connection.close()
            raise library_error(error) from error
        return connection

    def lacks_database(self, error: Exception) -> bool:
        """Return whether a failed connection means that there is no such database."""
        return f'database "{self.database}" does not exist' in str(error)

    def _without_password(self, text: str) -> str:
        if password := self._parameters.get("password"):
            for spelling in {password, quote(password), quote(password, safe="")}:
                text = text.replace(spelling, "***")
        return text


class Connections:
    """Connections for queries: the one given back last is used next."""

    def __init__(
        self, server: Server, application: str, *, role: str, idle_max: int = IDLE_MAX
    ) -> None:
        self._server = server
        self._application = application
        self._role = role
        self._idle_max = idle_max
        self._idle: deque[Connection] = deque()
        self._changing = Lock()
        self._closed = False

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """Lend a connection. Raises: PersistenceError: it, or what was done with it, failed."""
        connection = self._take()
        try:
            yield connection
        except psycopg.Error as error:
            raise library_error(error) from error
        finally:
            self._give_back(connection)

    def close(self) -> None:
        """Close the connections that nobody uses now; those lent are closed when given back."""
        with self._changing:
            self._closed = True
        self._close_idle()

    def _take(self) -> Connection:
        with self._changing:
            if self._closed:
                raise InterfaceError("the store has been closed")
            if self._idle:
                return self._idle.pop()
        return self._server.connect(self._application, role=self._role)

    def _give_back(self, connection: Connection) -> None:
        if connection.closed:
            # Most likely the server was restarted, and the others would fail one by one.
            self._close_idle()
        elif connection.info.transaction_status != TransactionStatus.IDLE:
            connection.close()  # Interrupted in the middle of something.
        else:
            with self._changing:
                if not self._closed and len(self._idle) < self._idle_max:
                    self._idle.append(connection)
                    return
            connection.close()

    def _close_idle(self) -> None:
        with self._changing:
            idle = list(self._idle)
            self._idle.clear()
        for connection in idle:
            connection.close()


def _at(host: str, port: str) -> str:
    """Return HOST:PORT; of several hosts each has its own port, or all have the one."""
    hosts, ports = host.split(","), port.split(",")
    ports = ports if len(ports) == len(hosts) else ports * len(hosts)
    return ", ".join(map(":".join, zip(hosts, ports, strict=True)))


def become(connection: Connection, role: str) -> None:
    """Let a connection do no more than a role may, if its user is allowed to become it."""
    # If not, or before there is such a role, the user's own rights say what it may do.
    with suppress(psycopg.errors.InsufficientPrivilege, psycopg.errors.InvalidParameterValue):
        connection.execute("SELECT set_config('role', %s, false)", [role])


def configure(connection: psycopg.Connection[Any], settings: Mapping[str, str] = SETTINGS) -> None:
    """Set a session's settings. Raises: psycopg.Error."""
    columns = ", ".join(["set_config(%s, %s, false)"] * len(settings))
    connection.execute(
        f"SELECT {columns}",
        [text for item in settings.items() for text in item],
    )


@contextmanager
def store_errors(server: Server) -> Iterator[None]:
    """Turn the library's errors, and the driver's, into the store's, naming the database."""
    try:
        yield
    except (PersistenceError, psycopg.Error) as raised:
        error = library_error(raised) if isinstance(raised, psycopg.Error) else raised
        if server.lacks_database(error):
            raise NoStore(f"{server.name} does not exist: create it first") from raised
        raise StoreError(f"{server.name} cannot be used: {error}") from raised


def library_error(error: psycopg.Error) -> PersistenceError:
    """Return the library's error for the driver's."""
    kind = next((ours for theirs, ours in _KINDS.items() if isinstance(error, theirs)), None)
    return (kind or PersistenceError)(_text_of(error))


def sqlstate_of(error: BaseException) -> str | None:
    """Return the server's code for an error of the library; None when the server gave none."""
    cause = error.__cause__
    return cause.sqlstate if isinstance(cause, psycopg.Error) else None


def is_gone(error: PersistenceError) -> bool:
    """Return whether the connection was lost, or none could be made: trying again may help."""
    code = sqlstate_of(error)
    lost = code in _CONNECTION_GONE or (code or "").startswith("08")
    return lost and isinstance(error, OperationalError | InterfaceError)


_KINDS: Final[Mapping[type[psycopg.Error], type[PersistenceError]]] = {
    psycopg.InterfaceError: InterfaceError,
    psycopg.OperationalError: OperationalError,
    psycopg.DataError: DataError,
    psycopg.IntegrityError: IntegrityError,
    psycopg.InternalError: InternalError,
    psycopg.ProgrammingError: ProgrammingError,
    psycopg.NotSupportedError: NotSupportedError,
    psycopg.DatabaseError: DatabaseError,
}


def _text_of(error: psycopg.Error) -> str:
    """Return what is wrong in one line."""
    return " ".join((error.diag.message_primary or str(error)).split())
