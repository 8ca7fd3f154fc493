"""Snapshots in PostgreSQL: a table of their own, of which any may be deleted at any time."""

from collections.abc import Sequence
from typing import Any

from eventsourcing.persistence import StoredEvent

from eventstore.postgres_connection import Connection, Server
from eventstore.postgres_reads import Datastore, PatientReads
from eventstore.postgres_schema import SNAPSHOTS_TABLE, WRITER_ROLE
from eventstore.snapshots import SnapshotRecorder


class PostgresSnapshotRecorder(PatientReads, SnapshotRecorder):
    """The library's recorder, which also forgets."""

    def __init__(self, server: Server) -> None:
        """Connect nothing yet."""
        datastore = Datastore(server, "foldex snapshots", WRITER_ROLE)
        super().__init__(datastore, events_table_name=SNAPSHOTS_TABLE)

    def insert_events(self, stored_events: Sequence[StoredEvent], **_: Any) -> Sequence[int] | None:
        """Store events in one transaction; a statement for each: large states hang a pipeline."""
        with self.datastore.transaction(commit=True) as cursor:
            for event in stored_events:
                originator_id = str(event.originator_id)
                row = [originator_id, event.originator_version, event.topic, event.state]
                cursor.execute("INSERT INTO foldex.snapshots VALUES (%b, %b, %b, %b)", row)
        return None

    def delete(self, stream: str, version: int) -> None:
        """Remove one record."""

        def statement(connection: Connection) -> None:
            connection.execute(
                "DELETE FROM foldex.snapshots WHERE originator_id = %s AND originator_version = %s",
                [stream, version],
            )

        # To be repeated at will; and what comes next has a connection that answers.
        self.patiently(statement)

    def versions(self, stream: str) -> list[int]:
        """Return the versions that are kept, newest first."""

        def query(connection: Connection) -> list[int]:
            rows = connection.execute(
                "SELECT originator_version FROM foldex.snapshots WHERE originator_id = %s "
                "ORDER BY originator_version DESC",
                [stream],
            )
            return [row["originator_version"] for row in rows]

        return self.patiently(query)
