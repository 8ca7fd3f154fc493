"""What TimescaleDB does for the views where it is there: tables in chunks, old ones compressed.

Nothing depends on it. Candles need no continuous aggregates: the projection keeps them exactly, in
every edition, and calendar intervals too.
"""

import logging
from typing import Final, Self

import psycopg

from projections.postgres_database import Connection
from projections.table import Table

_log = logging.getLogger(__name__)

_AVAILABLE: Final = """
    SELECT EXISTS (SELECT FROM pg_available_extensions WHERE name = 'timescaledb')
       AND current_setting('shared_preload_libraries') LIKE '%timescaledb%'
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
