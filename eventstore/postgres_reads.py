"""How the library's PostgreSQL recorders read here: on connections of ours, in binary form."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import Event
from typing import Final, TypeVar
from uuid import UUID

from eventsourcing.persistence import PersistenceError, StoredEvent
from eventsourcing.postgres import PostgresAggregateRecorder, PostgresDatastore
from psycopg.rows import tuple_row

from eventstore.postgres_connection import Connection, Connections, Server, is_gone
from eventstore.postgres_schema import SCHEMA

PATIENCE_S: Final = 10.0
"""How long a read waits for a server that was restarted."""
RETRY_S: Final = 0.1

T = TypeVar("T")


class Datastore(PostgresDatastore):
    """The library's, on connections of ours: its own pool takes long to get over a restart."""

    def __init__(self, server: Server, application: str, role: str) -> None:
        self._connections = Connections(server, application, role=role)
        # No address: the library's own pool is never opened.
        super().__init__("", "", "", "", "", schema=SCHEMA, originator_id_type="text")

    @contextmanager
    def get_connection(self) -> Iterator[Connection]:
        """Lend a connection. Raises: PersistenceError."""
        with self._connections.connection() as connection:
            yield connection

    def register_type_adapters(self) -> None:
        """Do nothing: the library's composite types are for its inserts, which ours replace."""

    def close(self) -> None:
        """Close the connections."""
        self._connections.close()


class PatientReads(PostgresAggregateRecorder):
    """A recorder whose reads wait for a server that goes away and comes back."""

    def __init__(self, datastore: Datastore, *, events_table_name: str) -> None:
        super().__init__(datastore, events_table_name=events_table_name)
        self._closing = Event()

    def select_events(
        self,
        originator_id: UUID | str,
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> Sequence[StoredEvent]:
        """Return events of one originator, in order of their versions."""
        after = "" if gt is None else "AND originator_version > %(gt)s "
        until = "" if lte is None else "AND originator_version <= %(lte)s "
        sql = (
            "SELECT originator_id, originator_version, topic, state "
            f"FROM {SCHEMA}.{self.events_table_name} "
            f"WHERE originator_id = %(id)s {after}{until}"
            f"ORDER BY originator_version {'DESC' if desc else 'ASC'} LIMIT %(limit)s"
        )
        values = {"id": str(originator_id), "gt": gt, "lte": lte, "limit": limit}

        def query(connection: Connection) -> list[StoredEvent]:
            # The library's way has the server write every state as text, twice as long.
            with connection.cursor(binary=True, row_factory=tuple_row) as cursor:
                cursor.execute(sql, values, prepare=True)
                return [StoredEvent(*row) for row in cursor]

        return self.patiently(query)

    def patiently(self, query: Callable[[Connection], T]) -> T:
        """Return what a query does, on a new connection if need be, for PATIENCE_S at most."""
        deadline_s = time.monotonic() + PATIENCE_S
        while True:
            try:
                with self.datastore.get_connection() as connection:
                    return query(connection)
            except PersistenceError as error:
                if not is_gone(error) or time.monotonic() > deadline_s or self._closing.is_set():
                    raise
            self._closing.wait(RETRY_S)

    def close(self) -> None:
        """Close every connection."""
        self._closing.set()
        self.datastore.close()
