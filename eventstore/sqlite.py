"""A store in SQLite files, on the library's recorders: the embedded default.

The directory holds log.db, snapshots.db and, while a process writes, writer.lock. Write-ahead
logging with synchronous=FULL: a commit is on the disk when `append` returns.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from threading import Condition, Lock
from typing import Any, Final
from uuid import UUID

from eventsourcing.persistence import (
    ConnectionPoolClosedError,
    IntegrityError,
    OperationalError,
    PersistenceError,
    StoredEvent,
)
from eventsourcing.sqlite import (
    SQLiteAggregateRecorder,
    SQLiteApplicationRecorder,
    SQLiteCursor,
    SQLiteDatastore,
)

from eventstore.errors import NoStore, StoreError
from eventstore.lock import WriterLock
from eventstore.recorder import CommitRecorder
from eventstore.snapshots import SnapshotRecorder, SnapshotStore
from eventstore.sqlite_schema import (
    BUSY_TIMEOUT_S,
    EVENTS_TABLE,
    TRIGGERS,
    UNWITNESSED,
    create_log,
    is_corrupt,
    make,
    opened,
    refuse_unknown,
    use_wal,
)
from eventstore.store import Log, Store

LOG_NAME: Final = "log.db"
SNAPSHOTS_NAME: Final = "snapshots.db"


def open_sqlite(path: Path | str, *, create: bool = True, for_writing: bool = False) -> Store:
    """Return the store in a data directory; made first if there is none and `create`.

    for_writing: also take the directory's writer lock, until the store is closed.
    Raises: NoStore, StoreLocked, StoreTooNew, StoreDamaged: the file is broken; StoreError.
    """
    directory = Path(path)
    with ExitStack() as undo:
        _prepare_directory(directory, create=create)
        if for_writing:
            undo.callback(WriterLock(directory).release)
        recorder = SQLiteRecorder(directory / LOG_NAME, create=create)
        undo.callback(recorder.close)
        snapshots = SnapshotStore(SQLiteSnapshotRecorder(directory / SNAPSHOTS_NAME))
        undo.callback(snapshots.close)
        return Store(Log(recorder), snapshots, resources=undo.pop_all())


def _prepare_directory(directory: Path, *, create: bool) -> None:
    if not create and not (directory / LOG_NAME).is_file():
        raise NoStore(f"there is no Foldex store in {directory}")
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"cannot make the directory {directory}: {error.strerror}") from error


class _Datastore(SQLiteDatastore):
    """The library's pool of connections, whose every error is the library's.

    Its close would take connections from threads in the midst of a statement, and SQLite then
    ends the whole process: this one waits for them.
    """

    def __init__(self, file: Path) -> None:
        self._changed = Condition()
        self._users = 0
        self._closing = False
        super().__init__(str(file), originator_id_type="text")

    @contextmanager
    def transaction(self, *, commit: bool) -> Iterator[SQLiteCursor]:
        """Run a transaction. The library lets SQLite's errors out when it cannot connect."""
        try:
            with self._use(), super().transaction(commit=commit) as cursor:
                yield cursor
        except sqlite3.Error as error:
            raise _library_error(error) from error

    def close(self) -> None:
        """Let no transaction begin any more, wait for those that run, and close."""
        with self._changed:
            self._closing = True
            self._changed.wait_for(lambda: not self._users)
        super().close()

    @contextmanager
    def _use(self) -> Iterator[None]:
        with self._changed:
            if self._closing:
                raise ConnectionPoolClosedError
            self._users += 1
        try:
            yield
        finally:
            with self._changed:
                self._users -= 1
                self._changed.notify_all()


class SQLiteRecorder(SQLiteApplicationRecorder, CommitRecorder):
    """The library's recorder, with one connection of its own for appends.

    Its pool would open a connection for an append, and says nothing of how durable a commit is.
    """

    def __init__(self, file: Path, *, create: bool = True) -> None:
        """Open a log file. Raises: as `open_sqlite`."""
        self._file = file
        self._writing = Lock()
        with opened(file, "log") as connection:
            create_log(connection, self._table_statements(), create=create)
            refuse_unknown(connection)
        self._writer = _durable(file)
        super().__init__(_Datastore(file), EVENTS_TABLE)

    def _table_statements(self) -> list[str]:
        self.events_table_name = EVENTS_TABLE
        return self.construct_create_table_statements()

    def insert_events(
        self, stored_events: Sequence[StoredEvent], **kwargs: Any
    ) -> Sequence[int] | None:
        """Store events in one durable transaction; IntegrityError: one of them is there already."""
        rows = [
            (_text(e.originator_id), e.originator_version, e.topic, e.state) for e in stored_events
        ]
        with self._writing, _transaction(self._writer) as cursor:
            return [
                cursor.execute(self.insert_events_statement, row).lastrowid or 0 for row in rows
            ]

    def witness(self, stream: str) -> int | None:
        """Return the number that the database's own trigger noted last."""
        with self.datastore.transaction(commit=False) as cursor:
            cursor.execute("SELECT number FROM log_head WHERE stream = ?", [stream])
            row = cursor.fetchone()
        return None if row is None else int(row[0])

    def check_storage(self) -> list[str]:
        """Return what SQLite finds wrong in the file, and which safeguards were removed."""
        with self.datastore.transaction(commit=False) as cursor:
            cursor.execute("PRAGMA quick_check(10)")
            problems = [f"SQLite: {row[0]}" for row in cursor.fetchall() if row[0] != "ok"]
            cursor.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")
            present = {row[0] for row in cursor.fetchall()}
            cursor.execute(UNWITNESSED)
            if cursor.fetchone():
                problems.append("the note of the last commit (log_head) was removed")
        missing = [f"the trigger {name} was removed" for name in TRIGGERS if name not in present]
        return problems + missing

    def is_corruption(self, error: Exception) -> bool:
        """Return whether SQLite means that the file is damaged."""
        return is_corrupt(error)

    def close(self) -> None:
        """Close every connection, each when nothing runs on it."""
        self.datastore.close()
        with self._writing:
            self._writer.close()


class SQLiteSnapshotRecorder(SQLiteAggregateRecorder, SnapshotRecorder):
    """Snapshots in a file of their own, which may be deleted at any time while nothing runs."""

    def __init__(self, file: Path) -> None:
        """Open or make the file. Raises: StoreError: something else is there, or it is broken."""
        self.events_table_name = "snapshots"
        with opened(file, "snapshots") as connection:
            make(connection, self.construct_create_table_statements())
        super().__init__(_Datastore(file), "snapshots")

    def delete(self, stream: str, version: int) -> None:
        """Remove one record."""
        with self.datastore.transaction(commit=True) as cursor:
            cursor.execute(
                "DELETE FROM snapshots WHERE originator_id = ? AND originator_version = ?",
                [stream, version],
            )

    def versions(self, stream: str) -> list[int]:
        """Return the versions that are kept, newest first."""
        with self.datastore.transaction(commit=False) as cursor:
            cursor.execute(
                "SELECT originator_version FROM snapshots WHERE originator_id = ? "
                "ORDER BY originator_version DESC",
                [stream],
            )
            return [int(row[0]) for row in cursor.fetchall()]

    def close(self) -> None:
        """Close every connection."""
        self.datastore.close()


def _durable(file: Path) -> sqlite3.Connection:
    """Return a connection whose commits are on the disk when they return, checked by asking it."""
    connection = sqlite3.connect(
        file, isolation_level=None, check_same_thread=False, timeout=BUSY_TIMEOUT_S
    )
    try:
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA fullfsync=ON")  # macOS: fsync alone stops at the drive's cache.
        mode = use_wal(connection)
        level = connection.execute("PRAGMA synchronous").fetchone()[0]
    except sqlite3.Error as error:
        connection.close()
        raise StoreError(f"cannot write {file}: {error}") from error
    if (mode, level) != ("wal", 2):
        connection.close()
        raise StoreError(f"{file}: SQLite will not write durably here ({mode}, {level})")
    return connection


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[sqlite3.Cursor]:
    """Run one write transaction; SQLite's errors become the library's, as in its own recorder."""
    cursor = connection.cursor()
    try:
        cursor.execute("BEGIN IMMEDIATE")
        yield cursor
        cursor.execute("COMMIT")
    except sqlite3.Error as error:
        with suppress(sqlite3.Error):
            connection.rollback()
        raise _library_error(error) from error
    finally:
        cursor.close()


def _library_error(error: sqlite3.Error) -> PersistenceError:
    if isinstance(error, sqlite3.IntegrityError):
        return IntegrityError(error)
    if isinstance(error, sqlite3.OperationalError):
        return OperationalError(error)
    return PersistenceError(error)


def _text(originator_id: UUID | str) -> str:
    return originator_id.hex if isinstance(originator_id, UUID) else originator_id
