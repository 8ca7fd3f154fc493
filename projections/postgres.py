"""Views in PostgreSQL: one schema `views_<n>` for each set, and a pointer to the current one.

Readers and writers look at the pointer before they begin anything, so they need not be told of a
swap. Locks are advisory locks, which end with the connection that holds them.
"""

import logging
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Final
from urllib.parse import urlsplit

import psycopg
from psycopg.sql import SQL, Identifier

from projections.database import (
    Database,
    RebuildRunning,
    ViewsMissing,
    ViewStore,
)
from projections.postgres_database import Connection, PostgresDatabase, connect, translated_errors
from projections.postgres_schema import MIGRATIONS, ddl
from projections.table import Table
from projections.timescale import Timescale, enable

_PREFIX: Final = "views_"
_LOCK: Final = 0x76696577
"""A class of advisory locks of our own: "view" in ASCII."""
_BUILDING, _WRITING, _MIGRATING = (_LOCK, 1), (_LOCK, 2), (_LOCK, 3)
_DROP_PATIENCE: Final = "5s"
"""How long to wait for readers of a set that is to be dropped; it is tried again at each swap."""
_CURRENT: Final = (
    "SELECT current_set.name FROM foldex_views.current_set"
    " JOIN pg_catalog.pg_namespace ON nspname = current_set.name"
)

_log = logging.getLogger(__name__)


def migrate(url: str) -> None:
    """Create or bring up to date what all sets of views share. As often as one likes.

    TimescaleDB is enabled in the database where the server has it; without it the views are plain
    tables. Raises: ViewsUnavailable.
    """
    connection = connect(url)
    try:
        with translated_errors():
            connection.execute("SELECT pg_advisory_lock(%s, %s)", _MIGRATING)
            with connection.transaction():
                _migrate(connection)
            enable(connection)
    finally:
        connection.close()


def _migrate(connection: Connection) -> None:
    connection.execute("CREATE SCHEMA IF NOT EXISTS foldex_views")
    connection.execute(
        "CREATE TABLE IF NOT EXISTS foldex_views.migrations"
        " (version INTEGER PRIMARY KEY, applied TIMESTAMPTZ NOT NULL DEFAULT now())"
    )
    row = connection.execute("SELECT max(version) FROM foldex_views.migrations").fetchone()
    applied = (row and row[0]) or 0
    for version, statement in enumerate(MIGRATIONS[applied:], applied + 1):
        connection.execute(statement)
        connection.execute("INSERT INTO foldex_views.migrations VALUES (%s)", (version,))


class PostgresViews(ViewStore):
    """The sets of views in a database. `migrate` it first."""

    writes_elsewhere = True

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.place = f"{parts.hostname or 'localhost'}{parts.path}"
        self._url = url
        self._lock = threading.Lock()
        self._control: Connection | None = None

    def current(self) -> str | None:
        """Return the schema that the pointer names, if it is there."""
        with self._connected() as control:
            return _current(control)

    def open(self, name: str) -> PostgresDatabase:
        return PostgresDatabase(connect(self._url), name)

    def create(self, tables: Iterable[Table]) -> PostgresDatabase:
        with self._connected() as control:
            current = _current(control)
            number = 0 if current is None else _number(current)
            for left in _sets(control):
                if _number(left) > number:
                    _drop(control, left)
            # One that a dead process's server still works on is left for the next time.
            number = max([number, *map(_number, _sets(control))])
            name = f"{_PREFIX}{number + 1}"
            control.execute(SQL("CREATE SCHEMA {}").format(Identifier(name)))
        db = self.open(name)
        try:
            self._create_tables(db, tables)
        except BaseException:
            db.close()
            raise
        return db

    def swap_in(self, db: Database) -> None:
        with self._connected() as control:
            for table in _tables(control, db.name):
                # The planner knows nothing of tables that were filled a moment ago.
                control.execute(SQL("ANALYZE {}").format(Identifier(db.name, table)))
            previous = _current(control)
            control.execute(
                "INSERT INTO foldex_views.current_set (name) VALUES (%s)"
                " ON CONFLICT (only_row) DO UPDATE SET name = excluded.name",
                (db.name,),
            )
            if previous is not None:
                for old in _sets(control):
                    if _number(old) < _number(previous):
                        _drop(control, old)

    @contextmanager
    def building(self) -> Iterator[None]:
        with self._holding("SELECT pg_try_advisory_lock(%s, %s)", _BUILDING) as locked:
            if not locked:
                raise RebuildRunning("another process is building these views anew")
            yield

    @contextmanager
    def swapping(self) -> Iterator[None]:
        with self._holding("SELECT pg_advisory_lock(%s, %s)", _WRITING):
            yield

    @contextmanager
    def writing(self, db: Database) -> Iterator[bool]:
        """Several may write at a time: each moves checkpoints of its own."""
        assert isinstance(db, PostgresDatabase)
        with db.locked_shared(_WRITING):
            with translated_errors():
                current = _current(db.connection)
            yield current == db.name

    def reader(self) -> "_Reader":
        return _Reader(self._url)

    def close(self) -> None:
        with self._lock:
            if self._control is not None:
                self._control.close()
                self._control = None

    def _create_tables(self, db: PostgresDatabase, tables: Iterable[Table]) -> None:
        with translated_errors(), db.connection.transaction():
            timescale = Timescale.of(db.connection)
            lz4 = _has_lz4(db.connection)
            for table in tables:
                for statement in ddl(table, chunked=timescale is not None, lz4=lz4):
                    db.connection.execute(statement)
                if timescale is not None and table.series is not None:
                    timescale.chunk(db.connection, db.name, table)

    @contextmanager
    def _connected(self) -> Iterator[Connection]:
        """Give the connection on which the pointer is read and moved; a new one if it broke."""
        with self._lock:
            if self._control is None or self._control.closed:
                self._control = connect(self._url)
            with translated_errors():
                yield self._control

    @contextmanager
    def _holding(self, sql: str, lock: tuple[int, int]) -> Iterator[bool]:
        """Hold a lock, on a connection of its own; gives whether the server granted it."""
        connection = connect(self._url)
        try:
            with translated_errors():
                row = connection.execute(sql.encode(), lock).fetchone()
            yield row is not None and row[0] is not False
        finally:
            # The server gives the locks of a closed connection free only when it comes to it.
            with suppress(psycopg.Error):
                connection.execute("SELECT pg_advisory_unlock_all()")
            connection.close()


class _Reader:
    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: Connection | None = None
        self._db: PostgresDatabase | None = None

    @contextmanager
    def snapshot(self) -> Iterator[PostgresDatabase]:
        try:
            db = self._begin()
            yield db
            with translated_errors():
                db.connection.execute("ROLLBACK")
        except BaseException:
            # It may be broken, or in the middle of anything: the next question gets a new one.
            self.close()
            raise

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = self._db = None

    def _begin(self) -> PostgresDatabase:
        """Return the current set, in a transaction that sees one moment of it."""
        while True:
            if self._connection is None:
                self._connection = connect(self._url)
            with translated_errors():
                self._connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
                name = _current(self._connection)
                if self._db is not None and self._db.name == name:
                    return self._db
                self._connection.execute("ROLLBACK")
            if name is None:
                raise ViewsMissing("no views have been built yet: start the exchange")
            if self._db is not None:
                self.close()
            else:
                self._db = PostgresDatabase(self._connection, name)


def _current(connection: Connection) -> str | None:
    try:
        row = connection.execute(_CURRENT).fetchone()
    except psycopg.errors.UndefinedTable as error:
        raise ViewsMissing(
            "the database is not prepared for views: run `./foldex migrate`"
        ) from error
    return None if row is None else str(row[0])


def _has_lz4(connection: Connection) -> bool:
    row = connection.execute(
        "SELECT 'lz4' = ANY (enumvals) FROM pg_settings WHERE name = 'default_toast_compression'"
    ).fetchone()
    return row is not None and bool(row[0])


def _sets(connection: Connection) -> list[str]:
    rows = connection.execute(
        "SELECT nspname FROM pg_catalog.pg_namespace WHERE nspname ~ '^views_[0-9]+$'"
    )
    return [row[0] for row in rows]


def _tables(connection: Connection, name: str) -> list[str]:
    rows = connection.execute(
        "SELECT tablename FROM pg_catalog.pg_tables WHERE schemaname = %s", (name,)
    )
    return [row[0] for row in rows]


def _drop(connection: Connection, name: str) -> None:
    """Drop a set of views; when a reader holds on to it, leave it for the next time."""
    try:
        connection.execute(SQL("SET lock_timeout TO {}").format(_DROP_PATIENCE))
        for table in _tables(connection, name):
            # One at a time: a table of many chunks needs many locks.
            connection.execute(SQL("DROP TABLE {} CASCADE").format(Identifier(name, table)))
        connection.execute(SQL("DROP SCHEMA {} CASCADE").format(Identifier(name)))
    except psycopg.errors.LockNotAvailable:
        _log.warning("%s is still being read; it will be dropped after the next rebuild", name)
    finally:
        connection.execute("SET lock_timeout TO 0")


def _number(name: str) -> int:
    return int(name.removeprefix(_PREFIX))
