"""What TimescaleDB does for the views where it is there: tables in chunks, old ones compressed.

Nothing depends on it. Candles need no continuous aggregates: the projection keeps them exactly, in
every edition, and calendar intervals too.
"""

import logging
from collections.abc import Iterator
from typing import Final, Self

import psycopg

from projections.postgres_database import Connection
from projections.table import Table

CHUNKS_AS_WRITTEN: Final = 30
"""So many of the newest chunks of a table are not compressed."""

_log = logging.getLogger(__name__)

# The setting is there when the server loads the library at its start. Which libraries it loads only
# superusers may ask.
_AVAILABLE: Final = """
    SELECT EXISTS (SELECT FROM pg_available_extensions WHERE name = 'timescaledb')
       AND current_setting('timescaledb.max_background_workers', true) IS NOT NULL
"""


def enable(connection: Connection) -> None:
    """Make the extension in the database, where the server has it and lets us."""
    available = connection.execute(_AVAILABLE).fetchone()
    if available is None or not available[0]:
        _log.warning("the server has no TimescaleDB: the views will be plain tables")
        return
    try:
        connection.execute("CREATE EXTENSION IF NOT EXISTS timescaledb")
    except psycopg.errors.InsufficientPrivilege as error:
        _log.warning("TimescaleDB is not enabled, the views will be plain tables: %s", error)


class Timescale:
    """The extension in this database. `compresses`: whether its edition may."""

    def __init__(self, *, compresses: bool) -> None:
        self.compresses = compresses

    @classmethod
    def of(cls, connection: Connection) -> Self | None:
        """Return it, or None when the database does not have it."""
        found = connection.execute(
            "SELECT current_setting('timescaledb.license', true)"
            " FROM pg_extension WHERE extname = 'timescaledb'"
        ).fetchone()
        return None if found is None else cls(compresses=found[0] == "timescale")

    def chunk(self, connection: Connection, schema: str, table: Table) -> None:
        """Cut an empty table into chunks."""
        assert table.series is not None
        column, width = table.series
        connection.execute(
            "SELECT create_hypertable(%s::regclass, by_range(%s, %s::bigint),"
            " create_default_indexes => false)",
            (f"{schema}.{table.name}", column, width),
        )
        if self.compresses:
            self._compress(connection, schema, table)

    def _compress(self, connection: Connection, schema: str, table: Table) -> None:
        """Let chunks be compressed once they are old: further back than the newest row.

        A set of views must come into being without it too: what refuses is only logged.
        """
        try:
            with connection.transaction():
                for statement in _compression(schema, table):
                    connection.execute(statement.encode())
        except psycopg.Error as error:
            _log.warning("old rows of %s will not be compressed: %s", table.name, error)


def _compression(schema: str, table: Table) -> Iterator[str]:
    assert table.series is not None
    column, width = table.series
    name, newest = f"{schema}.{table.name}", f"{schema}.newest_of_{table.name}"
    keys = [each for each in table.fields if each.name in table.key_names]
    segment = ", ".join(each.name for each in keys if each.type == "TEXT")
    order = [each.name for each in keys if each.type != "TEXT" and each.name != column]
    options = [f"timescaledb.compress_orderby = '{', '.join([column, *order])}'"]
    if segment:
        options.append(f"timescaledb.compress_segmentby = '{segment}'")
    yield (
        f"CREATE FUNCTION {newest}() RETURNS bigint LANGUAGE sql STABLE"
        f" AS $$ SELECT coalesce(max({column}), 0) FROM {name} $$"
    )
    yield f"SELECT set_integer_now_func('{name}', '{newest}')"
    yield f"ALTER TABLE {name} SET (timescaledb.compress, {', '.join(options)})"
    yield f"SELECT add_compression_policy('{name}', {CHUNKS_AS_WRITTEN * width}::bigint)"
