"""A store in PostgreSQL, on the library's recorders: for production.

`eventstore.postgres_schema.migrate` makes a database a store; here nothing is ever created.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any, Final

import psycopg
from eventsourcing.persistence import ApplicationRecorder, StoredEvent, Subscription
from eventsourcing.postgres import PostgresApplicationRecorder

from eventstore.postgres_connection import Connection, Server, store_errors
from eventstore.postgres_notices import PostgresNotices
from eventstore.postgres_reads import Datastore, PatientReads
from eventstore.postgres_schema import (
    EVENTS_TABLE,
    READER_ROLE,
    check_safeguards,
    check_schema,
)
from eventstore.postgres_snapshots import PostgresSnapshotRecorder
from eventstore.postgres_writer import PostgresWriter
from eventstore.recorder import POLL_S, CommitRecorder
from eventstore.snapshots import SnapshotStore
from eventstore.store import Log, Store

LISTENING_POLL_S: Final = 1.0
"""How often a waiting reader looks all the same while commits are announced."""


def open_postgres(
    url: str, *, shard: str = "main", for_writing: bool = False, wait_s: float = 0.0
) -> Store:
    """Return the store in a database.

    for_writing: also take the lock of the shard's writer, until the store is closed, waiting up
    to `wait_s` for another process to give it back.
    Raises: NoStore, StoreLocked, StoreTooNew; StoreError: not connected, or not durable.
    """
    server = Server(url)
    with ExitStack() as undo, store_errors(server):
        recorder = PostgresRecorder(server)
        undo.callback(recorder.close)
        recorder.check_schema()
        log = Log(recorder, shard=shard)
        if for_writing:
            recorder.writer.lock(log.stream, wait_s)
        snapshots = SnapshotStore(PostgresSnapshotRecorder(server), shard=shard)
        undo.callback(snapshots.close)
        return Store(log, snapshots, resources=undo.pop_all())


class PostgresRecorder(PatientReads, PostgresApplicationRecorder, CommitRecorder):
    """The library's recorder, with one connection of its own for appends.

    The library's insert locks the table, which stops it during every VACUUM, repeats itself after
    a lost connection, although it may have succeeded, and can hang on a large commit.
    """

    def __init__(self, server: Server) -> None:
        """Connect nothing yet."""
        self._server = server
        self.writer = PostgresWriter(server)
        self._notices = PostgresNotices(server, lambda: self.writer.pid)
        datastore = Datastore(server, "foldex reader", READER_ROLE)
        super().__init__(datastore, events_table_name=EVENTS_TABLE)

    @property
    def poll_s(self) -> float:
        """How often to look for commits of another process."""
        return LISTENING_POLL_S if self._notices.listening else POLL_S

    def check_schema(self) -> None:
        """Raise NoStore, StoreTooNew, or PersistenceError, unless the database is a log."""
        with self.datastore.get_connection() as connection:
            check_schema(connection, self._server)

    def insert_events(self, stored_events: Sequence[StoredEvent], **_: Any) -> Sequence[int] | None:
        """Store events in one durable transaction; IntegrityError: one of them is there already."""
        return self.writer.insert(stored_events)

    def settle(self) -> None:
        """Make sure that no append is still on its way."""
        self.writer.settle()

    def witness(self, stream: str) -> int | None:
        """Return the number that the database's own trigger noted last."""

        def query(connection: Connection) -> int | None:
            sql = "SELECT max(number) AS number FROM foldex.log_witness WHERE stream = %s"
            row = connection.execute(sql, [stream]).fetchone()
            return row["number"] if row else None

        return self.patiently(query)

    def check_storage(self) -> list[str]:
        """Return which safeguards were removed."""
        return self.patiently(check_safeguards)

    def is_corruption(self, error: Exception) -> bool:
        """Return whether PostgreSQL means that its files are damaged."""
        damage = psycopg.errors.DataCorrupted | psycopg.errors.IndexCorrupted
        return isinstance(error.__cause__, damage)

    def watch(self, stream: str, noticed: Callable[[], None]) -> None:
        """Listen for commits of other processes."""
        self._notices.watch(stream, noticed)

    def subscribe(
        self, gt: int | None = None, topics: Sequence[str] = ()
    ) -> Subscription[ApplicationRecorder]:
        """Refuse: the library's subscription can wait for ever. `Log.wait` is what follows a log.

        It misses what is stored between its first look and its LISTEN, and never looks again.
        """
        raise NotImplementedError("follow the log with Log.wait and Log.read")

    def close(self) -> None:
        """Close every connection."""
        self._notices.close()
        self.writer.close()
        super().close()
