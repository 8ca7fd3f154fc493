"""How far the log has been published, in PostgreSQL beside the log."""

from collections.abc import Sequence
from contextlib import closing, suppress
from typing import Any, Final

import psycopg

from eventstore.errors import NoStore
from eventstore.postgres_connection import Connection, Server, store_errors
from eventstore.postgres_schema import RUN_MIGRATE, WRITER_ROLE
from eventstore.published import (
    Published,
    PublishedPositions,
    encode_last,
    overtaken,
    published_of,
)

_TABLE: Final = "foldex_publisher.published"
_MIGRATION: Final = (
    "CREATE SCHEMA IF NOT EXISTS foldex_publisher",
    f"""CREATE TABLE IF NOT EXISTS {_TABLE} (
        topic_id text PRIMARY KEY, topic text NOT NULL, commit_number bigint NOT NULL,
        position bigint NOT NULL, seal bytea NOT NULL, last text NOT NULL)""",
    f"GRANT USAGE ON SCHEMA foldex_publisher TO {WRITER_ROLE}",
    f"GRANT SELECT, INSERT, UPDATE ON {_TABLE} TO {WRITER_ROLE}",
)


def migrate(url: str) -> None:
    """Create what `PostgresPublished` needs, after the log's own schema. Repeating does nothing.

    Raises: StoreError.
    """
    server = Server(url)
    with (
        store_errors(server),
        closing(server.connect("foldex migrate")) as connection,
        connection.transaction(),
    ):
        connection.execute("SELECT pg_advisory_xact_lock(hashtextextended('foldex migrate', 0))")
        for statement in _MIGRATION:
            connection.execute(statement)


class PostgresPublished(PublishedPositions):
    """In a table; the lock is held by the connection that moves the position, and ends with it."""

    def __init__(self, url: str, *, shard: str = "main") -> None:
        """Connect when first needed. Raises: StoreError: the URL is none."""
        self._server = Server(url)
        self._lock_name = f"foldex publisher {shard}"
        self._connection: Connection | None = None
        self._locked = False

    def try_lock(self) -> bool:
        if not self._locked:
            (row,) = self._rows(
                "SELECT pg_try_advisory_lock(hashtextextended(%s, 0)) AS got", [self._lock_name]
            )
            self._locked = bool(row["got"])
        return self._locked

    def unlock(self) -> None:
        """Give the lock back and close the connection, which gives it back in any case."""
        self._locked = False
        if self._connection is not None:
            with suppress(psycopg.Error):  # It may be lost already.
                self._connection.execute("SELECT pg_advisory_unlock_all()")
            self._connection.close()
            self._connection = None

    def load(self, topic_id: str) -> Published | None:
        rows = self._rows(
            f"SELECT commit_number, position, seal, last FROM {_TABLE} WHERE topic_id = %s",
            [topic_id],
        )
        if not rows:
            return None
        row = rows[0]
        return published_of((row["commit_number"], row["position"], row["seal"], row["last"]))

    def move(self, topic_id: str, topic: str, published: Published) -> None:
        moved = self._rows(
            f"INSERT INTO {_TABLE} AS known VALUES (%s, %s, %s, %s, %s, %s)"
            " ON CONFLICT (topic_id) DO UPDATE SET"
            " commit_number = excluded.commit_number, position = excluded.position,"
            " seal = excluded.seal, last = excluded.last"
            " WHERE known.position < excluded.position RETURNING position",
            [topic_id, topic, *published.head, encode_last(published)],
        )
        if not moved:
            raise overtaken(published)

    def close(self) -> None:
        self.unlock()

    def _rows(self, statement: str, values: Sequence[object]) -> list[dict[str, Any]]:
        """Return what a statement gives, on the one connection. Raises: NoStore, StoreError."""
        with store_errors(self._server):
            if self._connection is None:
                self._connection = self._server.connect("foldex publisher", role=WRITER_ROLE)
            try:
                return self._connection.execute(statement, values).fetchall()
            except psycopg.errors.UndefinedTable:
                raise NoStore(
                    f"{_TABLE} is missing in {self._server.name}: {RUN_MIGRATE}"
                ) from None
