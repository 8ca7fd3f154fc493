"""A connection to a set of views in PostgreSQL: a schema. Batches go in by COPY."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache, partial
from io import BytesIO
from typing import Any, Final

import psycopg
from psycopg import Copy
from psycopg.adapt import Loader
from psycopg.conninfo import conninfo_to_dict
from psycopg.copy import FileWriter
from psycopg.sql import SQL, Identifier

from eventstore.postgres_connection import PARAMETERS, configure
from projections.database import (
    Delete,
    Insert,
    Row,
    Upsert,
    ViewsBroken,
    ViewsUnavailable,
    Write,
)
from projections.table import Table

CONNECT_TIMEOUT_S: Final = 10
ROWS_PER_FETCH: Final = 5_000

_WIRE_TYPES: Final = {"TEXT": "text", "INTEGER": "int8", "AMOUNT": "numeric"}

Connection = psycopg.Connection[Row]


_AWAY: Final = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    psycopg.errors.ReadOnlySqlTransaction,  # It is a replica now, or fenced off from one.
    psycopg.errors.IdleInTransactionSessionTimeout,  # This process slept.
)
_GONE: Final = (
    psycopg.errors.UndefinedTable,
    psycopg.errors.InvalidSchemaName,
    psycopg.errors.InternalError_,  # "could not open relation": it was dropped a moment ago.
)


class _WholeNumber(Loader):
    """Every NUMERIC here is a whole number."""

    def load(self, data: Any) -> int:
        return int(bytes(data))


def connect(url: str) -> Connection:
    """Return a connection on which each statement is a transaction, unless one is begun.

    Raises: ViewsUnavailable: the server does not answer, or refuses.
    """
    with translated_errors():
        given = conninfo_to_dict(url)
        parameters: dict[str, Any] = {**PARAMETERS, "connect_timeout": CONNECT_TIMEOUT_S, **given}
        connection: Connection = psycopg.connect(
            **{**parameters, "autocommit": True, "application_name": "foldex views"}
        )
        try:
            configure(connection)
        except BaseException:
            connection.close()
            raise
    connection.adapters.register_loader("numeric", _WholeNumber)
    return connection


@contextmanager
def translated_errors() -> Iterator[None]:
    """Turn the driver's errors into those of the views; others are mistakes in the program."""
    try:
        yield
    except _AWAY as error:
        raise ViewsUnavailable(f"the database of the views: {_line(error)}") from error
    except _GONE as error:
        raise ViewsUnavailable(f"this set of views was removed: {_line(error)}") from error
    except (psycopg.IntegrityError, psycopg.DataError) as error:
        raise ViewsBroken(f"what was folded contradicts the views: {_line(error)}") from error


class PostgresDatabase:
    """A connection to one schema. Commits need not wait for the disk.

    A result and its checkpoint are lost together when the server's machine fails: then the events
    are folded again.
    """

    def __init__(self, connection: Connection, name: str) -> None:
        self.name = name
        self.busy = threading.Lock()
        self.connection = connection
        with translated_errors():
            self.connection.execute(
                SQL(
                    "SET search_path TO {}, public; SET synchronous_commit TO off;"
                    " SET timezone TO 'UTC'"
                ).format(Identifier(name))
            )

    def rows(self, sql: str, values: Sequence[object] = ()) -> list[Row]:
        with translated_errors():
            return self.connection.execute(_placeholders(sql), values).fetchall()

    def row(self, sql: str, values: Sequence[object] = ()) -> Row | None:
        with translated_errors():
            return self.connection.execute(_placeholders(sql), values).fetchone()

    def stream(self, sql: str) -> Iterator[Row]:
        with translated_errors(), self.connection.cursor(name="stream") as cursor:
            cursor.itersize = ROWS_PER_FETCH
            yield from cursor.execute(_placeholders(sql))

    @contextmanager
    def transaction(self) -> Iterator[None]:
        with translated_errors(), self.connection.transaction():
            yield

    @contextmanager
    def locked_shared(self, lock: tuple[int, int]) -> Iterator[None]:
        """Hold an advisory lock that others may hold like this, too."""
        with translated_errors():
            self.connection.execute("SELECT pg_advisory_lock_shared(%s, %s)", lock)
        try:
            yield
        finally:
            # A closed or broken connection has no locks.
            if not self.connection.closed:
                with translated_errors():
                    self.connection.execute("SELECT pg_advisory_unlock_shared(%s, %s)", lock)

    def prepared(self, write: Write) -> Callable[[], None]:
        """Make the very bytes of COPY.

        Else the thread that writes would compete for the interpreter at every row, and the database
        wait for it.
        """
        match write:
            case Insert(table, rows) if rows:
                return partial(self._copy, table, table.name, self._binary(table, rows))
            case Upsert(table, rows) if rows:
                return partial(self._merge, table, self._binary(table, rows))
            case Delete(table, keys) if keys:
                return partial(self._delete, table, keys)
            case _:
                return _nothing

    def write(self, write: Write) -> None:
        self.prepared(write)()

    def update(self, sql: str, values: Sequence[object]) -> int:
        with translated_errors():
            return self.connection.execute(_placeholders(sql), values).rowcount

    def close(self) -> None:
        self.connection.close()

    def _binary(self, table: Table, rows: Sequence[Row]) -> bytes:
        """Return rows as COPY takes them; nothing is sent."""
        data = BytesIO()
        with (
            translated_errors(),
            Copy(self.connection.cursor(), binary=True, writer=FileWriter(data)) as copy,
        ):
            copy.set_types([_WIRE_TYPES[each.type] for each in table.fields])
            for row in rows:
                copy.write_row(row)
        return data.getvalue()

    def _copy(self, table: Table, into: str, data: bytes) -> None:
        columns = ", ".join(table.names)
        statement = f"COPY {into} ({columns}) FROM STDIN (FORMAT binary)".encode()
        with (
            translated_errors(),
            self.connection.cursor() as cursor,
            cursor.copy(statement) as copy,
        ):
            copy.write(data)

    def _merge(self, table: Table, data: bytes) -> None:
        with translated_errors():
            self.connection.execute(_staging(table))
            self._copy(table, _staged(table), data)
            self.connection.execute(_upsert(table))

    def _delete(self, table: Table, keys: Sequence[Row]) -> None:
        where = " AND ".join(f"{name} = %s" for name in table.key_names)
        with translated_errors(), self.connection.cursor() as cursor:
            cursor.executemany(f"DELETE FROM {table.name} WHERE {where}".encode(), keys)


def _nothing() -> None:
    """Write nothing."""


def _staged(table: Table) -> str:
    return f"new_{table.name}"


@cache
def _staging(table: Table) -> bytes:
    return (
        f"CREATE TEMPORARY TABLE IF NOT EXISTS {_staged(table)} (LIKE {table.name})"
        " ON COMMIT DELETE ROWS"
    ).encode()


@cache
def _upsert(table: Table) -> bytes:
    changes = ", ".join(
        f"{name} = excluded.{name}" for name in table.names if name not in table.key_names
    )
    return (
        f"INSERT INTO {table.name} SELECT * FROM {_staged(table)}"
        f" ON CONFLICT ({table.key}) DO UPDATE SET {changes}"
    ).encode()


@cache
def _placeholders(sql: str) -> bytes:
    return sql.replace("%", "%%").replace("?", "%s").encode()


def _line(error: psycopg.Error) -> str:
    return " ".join(str(error).split())
