"""What makes an SQLite file a Foldex log: its tables, its safeguards, and its version."""

import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from eventstore.errors import NoStore, StoreDamaged, StoreError, StoreTooNew

SCHEMA_VERSION: Final = 1
EVENTS_TABLE: Final = "stored_events"
BUSY_TIMEOUT_S: Final = 5.0
"""How long a statement waits for another process to end its transaction."""

TRIGGERS: Final = {
    "events_are_never_changed": """BEFORE UPDATE ON stored_events
        BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END""",
    "events_are_never_deleted": """BEFORE DELETE ON stored_events
        BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END""",
    # INSERT OR REPLACE deletes without telling the trigger above.
    "events_are_never_replaced": """BEFORE INSERT ON stored_events
        WHEN EXISTS (SELECT 1 FROM stored_events WHERE rowid = NEW.rowid)
          OR EXISTS (SELECT 1 FROM stored_events WHERE originator_id = NEW.originator_id
                     AND originator_version = NEW.originator_version)
        BEGIN SELECT RAISE(ABORT, 'the commit is there already'); END""",
    "head_follows_the_log": """AFTER INSERT ON stored_events
        BEGIN INSERT INTO log_head VALUES (NEW.originator_id, NEW.originator_version)
          ON CONFLICT (stream) DO UPDATE SET number = excluded.number; END""",
    "head_is_never_deleted": """BEFORE DELETE ON log_head
        BEGIN SELECT RAISE(ABORT, 'the head of the log is never deleted'); END""",
}
"""Name -> definition of every trigger. log_head tells when the last commit was removed."""

UNWITNESSED: Final = (
    "SELECT 1 WHERE EXISTS (SELECT 1 FROM stored_events) AND NOT EXISTS (SELECT 1 FROM log_head)"
)

_ANYTHING: Final = "SELECT 1 FROM sqlite_master LIMIT 1"
_TABLES: Final = (
    "CREATE TABLE foldex_store (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE log_head (stream TEXT PRIMARY KEY, number INTEGER NOT NULL) WITHOUT ROWID",
)


@contextmanager
def opened(file: Path, kind: str) -> Iterator[sqlite3.Connection]:
    """Yield a connection to prepare a file with.

    Raises: StoreDamaged: it is broken, or no SQLite file at all; StoreError: it cannot be used.
    """
    try:
        connection = sqlite3.connect(file, isolation_level=None, timeout=BUSY_TIMEOUT_S)
    except sqlite3.Error as error:
        raise StoreError(f"cannot open {file}: {error}") from error
    try:
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        yield connection
    except sqlite3.Error as error:
        if not _is_corruption(error):
            raise StoreError(f"cannot use {file}: {error}") from error
        if kind == "log":
            raise StoreDamaged(1, f"{file}: {error}") from error
        raise StoreError(f"{file}: {error}; stop everything and delete it") from error
    finally:
        connection.close()


def create_log(connection: sqlite3.Connection, tables: Sequence[str], *, create: bool) -> None:
    """Make an empty file a log. Raises: NoStore: it is empty and may not be made one."""
    if not create and not connection.execute(_ANYTHING).fetchone():
        raise NoStore("the file is empty: there is no Foldex store in it")
    version = f"INSERT INTO foldex_store VALUES ('schema_version', '{SCHEMA_VERSION}')"
    make(connection, [*_TABLES, *tables, *_triggers(), version])


def make(connection: sqlite3.Connection, statements: Sequence[str]) -> None:
    """Fill an empty file, in one transaction; leave any other as it is."""
    if connection.execute(_ANYTHING).fetchone():
        return
    use_wal(connection)
    connection.execute("BEGIN IMMEDIATE")
    try:
        if not connection.execute(_ANYTHING).fetchone():  # Nobody made it in between.
            for statement in statements:
                connection.execute(statement)
        connection.execute("COMMIT")
    except sqlite3.Error:
        connection.rollback()
        raise


def use_wal(connection: sqlite3.Connection) -> str:
    """Switch to write-ahead logging and return the mode that SQLite then reports.

    While another process switches, SQLite refuses at once instead of waiting: we wait here.
    """
    deadline_s = time.monotonic() + BUSY_TIMEOUT_S
    while True:
        try:
            return str(connection.execute("PRAGMA journal_mode=WAL").fetchone()[0])
        except sqlite3.OperationalError:
            if time.monotonic() > deadline_s:
                raise
            time.sleep(0.01)


def prepare_file(path: Path) -> None:
    """Make a file, in write-ahead logging, that the library opens next.

    It would not wait for another process that makes the file at the same moment.
    """
    with closing(sqlite3.connect(path, timeout=BUSY_TIMEOUT_S)) as connection:
        use_wal(connection)


def _triggers() -> list[str]:
    return [f"CREATE TRIGGER {name} {definition}" for name, definition in TRIGGERS.items()]


def refuse_unknown(connection: sqlite3.Connection) -> None:
    """Raise StoreTooNew for a newer version's file, NoStore for one that is not Foldex's."""
    names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    if ("foldex_store",) not in names:
        raise NoStore("the file is an SQLite database, but not a Foldex store")
    row = connection.execute(
        "SELECT value FROM foldex_store WHERE key = 'schema_version'"
    ).fetchone()
    version = int(row[0]) if row and str(row[0]).isdigit() else 0
    if version > SCHEMA_VERSION:
        raise StoreTooNew(
            f"the store has schema version {version}, this Foldex knows up to {SCHEMA_VERSION}: "
            "upgrade Foldex"
        )
    if version < 1:
        raise NoStore("the file does not say which version of a Foldex store it is")


def is_corrupt(error: Exception) -> bool:
    """Return whether a library error was SQLite's for a damaged file."""
    cause: object = error
    while isinstance(cause, Exception):
        if isinstance(cause, sqlite3.Error):
            return _is_corruption(cause)
        cause = cause.__cause__ or (cause.args[0] if cause.args else None)
    return False


def _is_corruption(error: sqlite3.Error) -> bool:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
