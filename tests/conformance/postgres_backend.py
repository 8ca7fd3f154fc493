"""A log in PostgreSQL, and how to do damage behind its back."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from eventstore.postgres import open_postgres
from eventstore.postgres_schema import TRIGGERS
from eventstore.store import Store
from tests.conformance.backends import Backend

TABLES = ("stored_events", "log_witness")


class PostgresBackend(Backend):
    """A migrated database, emptied for this test. `url`: of a superuser."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._connection = psycopg.connect(url, autocommit=True)
        with self.unguarded() as connection:
            connection.execute("TRUNCATE foldex.stored_events, foldex.log_witness RESTART IDENTITY")
        self._connection.execute("TRUNCATE foldex.snapshots")

    def open(self) -> Store:
        """Open the store."""
        return open_postgres(self.url)

    def set_state(self, number: int, state: bytes) -> None:
        """Overwrite a commit's stored bytes."""
        with self.unguarded() as connection:
            sql = "UPDATE foldex.stored_events SET state = %s WHERE originator_version = %s"
            connection.execute(sql, (state, number))

    def renumber(self, number: int, new_number: int) -> None:
        """Overwrite a commit's number column."""
        column = "originator_version"
        with self.unguarded() as connection:
            sql = f"UPDATE foldex.stored_events SET {column} = %s WHERE {column} = %s"
            connection.execute(sql, (new_number, number))

    def remove(self, number: int) -> None:
        """Remove a commit."""
        with self.unguarded() as connection:
            sql = "DELETE FROM foldex.stored_events WHERE originator_version = %s"
            connection.execute(sql, (number,))

    def close(self) -> None:
        """Disconnect."""
        self._connection.close()

    @contextmanager
    def unguarded(self) -> Iterator[psycopg.Connection]:
        """Yield a connection on which the triggers are off, and switch them on again."""
        with self._connection.transaction():
            for table in TABLES:
                self._connection.execute(f"ALTER TABLE foldex.{table} DISABLE TRIGGER USER")
            yield self._connection
            for name, (table, _, always) in TRIGGERS.items():
                enable = "ENABLE ALWAYS" if always else "ENABLE"
                self._connection.execute(f"ALTER TABLE foldex.{table} {enable} TRIGGER {name}")
