"""Views in SQLite: one file for each set, and a pointer to the current one.

A new set is built in a file beside the live one; moving the pointer swaps it in. Readers and the
runner look at the pointer before they begin anything, so they need not be told.
"""

import fcntl
import os
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from typing import Final

from projections.database import (
    Database,
    Delete,
    Insert,
    RebuildRunning,
    Row,
    Upsert,
    ViewsMissing,
    ViewStore,
    Write,
)
from projections.pages import layout
from projections.table import Column, Table

_POINTER: Final = "current"
_PREFIX, _SUFFIX = "views-", ".db"
_TYPES: Final = {"TEXT": "TEXT", "INTEGER": "INTEGER", "AMOUNT": "AMOUNT TEXT"}
"""SQLite's integers have 64 bits, so amounts are kept as text: the type's last word says so, and
the first one lets the converter below make them integers again."""

_HAS_JSON_OPERATORS: Final = (3, 38)
"""Since then SQLite has what its view of a table in pages is written with."""

sqlite3.register_converter("AMOUNT", int)


class SQLiteViews(ViewStore):
    """The folder `views` in a data directory."""

    # SQLite writes on the caller's core, and two threads would only fight over the interpreter.
    writes_elsewhere = False

    def __init__(self, directory: Path) -> None:
        self.place = str(directory)
        self.folder = directory / "views"

    def current(self) -> str | None:
        """Return the name of the file that the pointer names, if it is there."""
        try:
            name = (self.folder / _POINTER).read_text(encoding="ascii").strip()
        except FileNotFoundError:
            return None
        return name if (self.folder / name).is_file() else None

    def open(self, name: str) -> "SQLiteDatabase":
        return SQLiteDatabase(self.folder / name)

    def create(self, tables: Iterable[Table]) -> "SQLiteDatabase":
        self.folder.mkdir(parents=True, exist_ok=True)
        current = self._number()
        for left in self.folder.glob(f"{_PREFIX}*{_SUFFIX}"):
            if _number(left.name) > current:
                _remove(left)
        path = self.folder / f"{_PREFIX}{current + 1}{_SUFFIX}"
        _remove(path)  # Its write-ahead log may be left even when the file itself is not.
        db = SQLiteDatabase(path)
        db.create(tables)
        return db

    def swap_in(self, db: Database) -> None:
        previous = self._number()
        path = self.folder / db.name
        # Out of the write-ahead log and onto the disk, before anything names the file.
        db.rows("PRAGMA wal_checkpoint(TRUNCATE)")
        _sync(path)
        pointer = self.folder / f"{_POINTER}.{os.getpid()}"
        pointer.write_text(path.name + "\n", encoding="ascii")
        _sync(pointer)
        pointer.replace(self.folder / _POINTER)
        _sync(self.folder)
        for old in self.folder.glob(f"{_PREFIX}*{_SUFFIX}"):
            if _number(old.name) < previous:
                _remove(old)

    @contextmanager
    def building(self) -> Iterator[None]:
        with self._locked("building.lock", fcntl.LOCK_EX | fcntl.LOCK_NB):
            yield

    @contextmanager
    def swapping(self) -> Iterator[None]:
        with self._locked("writing.lock", fcntl.LOCK_EX):
            yield

    @contextmanager
    def writing(self, db: Database) -> Iterator[bool]:
        """Waits for another's batch: a file has one writer at a time."""
        with self._locked("writing.lock", fcntl.LOCK_EX):
            yield self.current() == db.name

    def reader(self) -> "_Reader":
        return _Reader(self)

    def close(self) -> None:
        """Do nothing: between two calls the store holds nothing."""

    @contextmanager
    def _locked(self, name: str, how: int) -> Iterator[None]:
        self.folder.mkdir(parents=True, exist_ok=True)
        file = os.open(self.folder / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(file, how)
        except BlockingIOError as error:
            os.close(file)
            raise RebuildRunning("another process is building these views anew") from error
        try:
            yield
        finally:
            os.close(file)

    def _number(self) -> int:
        current = self.current()
        return 0 if current is None else _number(current)


class SQLiteDatabase:
    """A connection to one file."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self.name = path.name
        self.busy = threading.Lock()
        mode = "?mode=ro" if read_only else ""
        self._db = sqlite3.connect(
            f"{path.absolute().as_uri()}{mode}",
            uri=True,
            isolation_level=None,
            check_same_thread=False,
            detect_types=sqlite3.PARSE_DECLTYPES,
        )
        self._db.execute("PRAGMA synchronous = NORMAL")
        # Fewer, larger checkpoints and indexes that stay in memory: a fifth more events a second.
        self._db.execute("PRAGMA wal_autocheckpoint = 8000")
        if not read_only:
            self._db.execute("PRAGMA cache_size = -65536")

    def create(self, tables: Iterable[Table]) -> None:
        """Create the tables in an empty file."""
        self._db.execute("PRAGMA journal_mode = WAL")
        with self.transaction():
            for table in tables:
                for statement in _ddl(table):
                    self._db.execute(statement)

    def rows(self, sql: str, values: Sequence[object] = ()) -> list[Row]:
        return self._db.execute(sql, values).fetchall()

    def row(self, sql: str, values: Sequence[object] = ()) -> Row | None:
        found: Row | None = self._db.execute(sql, values).fetchone()
        return found

    def stream(self, sql: str) -> Iterator[Row]:
        yield from self._db.execute(sql)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Begin to write at once: a second writer waits here, not in the middle."""
        with self._between("BEGIN IMMEDIATE", "COMMIT"):
            yield

    @contextmanager
    def snapshot(self) -> Iterator["SQLiteDatabase"]:
        """Give itself, for reading at one position."""
        with self._between("BEGIN", "ROLLBACK"):
            yield self

    def prepared(self, write: Write) -> Callable[[], None]:
        return partial(self.write, write)

    def write(self, write: Write) -> None:
        match write:
            case Insert(table, rows):
                self._db.executemany(_insert(table), _as_stored(table, rows))
            case Upsert(table, rows):
                self._db.executemany(_upsert(table), _as_stored(table, rows))
            case Delete(table, keys):
                where = " AND ".join(f"{name} = ?" for name in table.key_names)
                self._db.executemany(f"DELETE FROM {table.name} WHERE {where}", keys)

    def update(self, sql: str, values: Sequence[object]) -> int:
        return self._db.execute(sql, values).rowcount

    def close(self) -> None:
        self._db.close()

    @contextmanager
    def _between(self, first: str, last: str) -> Iterator[None]:
        self._db.execute(first)
        try:
            yield
            self._db.execute(last)
        except BaseException:
            # A failed COMMIT may have ended the transaction already.
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise


class _Reader:
    def __init__(self, store: SQLiteViews) -> None:
        self._store = store
        self._db: SQLiteDatabase | None = None

    @contextmanager
    def snapshot(self) -> Iterator[SQLiteDatabase]:
        with self._current().snapshot() as db:
            yield db

    def close(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None

    def _current(self) -> SQLiteDatabase:
        name = self._store.current()
        if name is None:
            raise ViewsMissing("no views have been built yet: start the exchange, or rebuild them")
        if self._db is None or self._db.name != name:
            self.close()
            self._db = SQLiteDatabase(self._store.folder / name, read_only=True)
        return self._db


def _ddl(table: Table) -> Iterator[str]:
    if table.in_pages:
        yield from _ddl(layout(table).pages)
        if sqlite3.sqlite_version_info >= _HAS_JSON_OPERATORS:
            yield _lines_as_rows(table)
        return
    columns = [
        f"{name} {_TYPES[type_]}{'' if optional else ' NOT NULL'}"
        for name, type_, optional in table.fields
    ]
    rowid = [each for each in table.fields if (each.name,) == table.key_names]
    kind = "" if rowid and rowid[0].type == "INTEGER" else "WITHOUT ROWID"
    yield (f"CREATE TABLE {table.name} ({', '.join(columns)}, PRIMARY KEY ({table.key})) {kind}")
    for name, on in table.indexes.items():
        yield f"CREATE INDEX {name} ON {table.name} {on}"


def _lines_as_rows(table: Table) -> str:
    """Return what creates a view of the table that its pages stand for: for SQL of one's own."""
    pages, shared, of_line = layout(table)
    values = {each.name: f"page.{each.name}" for each in shared}
    if len(of_line) == 1:
        values[of_line[0].name] = "line.value"
    else:
        values |= {each.name: _in_line(at, each) for at, each in enumerate(of_line)}
    columns = ", ".join(f"{values[name]} AS {name}" for name in table.names)
    return (
        f"CREATE VIEW {table.name} AS SELECT {columns}"
        f" FROM {pages.name} AS page, json_each(page.lines) AS line"
    )


def _in_line(at: int, column: Column) -> str:
    # `->` gives the digits as they are: `->>` would make a large amount a float.
    return f"line.value {'->' if column.type == 'AMOUNT' else '->>'} {at}"


@cache
def _insert(table: Table) -> str:
    return f"INSERT INTO {table.name} VALUES ({', '.join('?' * len(table.fields))})"


@cache
def _upsert(table: Table) -> str:
    changes = ", ".join(
        f"{name} = excluded.{name}" for name in table.names if name not in table.key_names
    )
    return f"{_insert(table)} ON CONFLICT ({table.key}) DO UPDATE SET {changes}"


def _as_stored(table: Table, rows: Sequence[Row]) -> Iterable[Row]:
    """Return the rows with their amounts as text."""
    amounts = [place for place, each in enumerate(table.fields) if each.type == "AMOUNT"]
    if not amounts:
        return rows
    return (_with_text(row, amounts) for row in rows)


def _with_text(row: Row, places: list[int]) -> Row:
    values = list(row)
    for place in places:
        values[place] = str(values[place])
    return tuple(values)


def _number(name: str) -> int:
    return int(name.removeprefix(_PREFIX).removesuffix(_SUFFIX))


def _remove(path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _sync(path: Path) -> None:
    """Make a file or folder durable: a pointer must not outlive, in a crash, what it names."""
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
