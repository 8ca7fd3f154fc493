"""Where custody keeps its events: an application of the `eventsourcing` library.

On SQLite, PostgreSQL or in memory, chosen by the environment it is given. A save is one
transaction, whatever it holds; two processes that save the same record at the same version cannot
both succeed.
"""

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Lock
from typing import Any, ClassVar, Final
from uuid import UUID

from eventsourcing.application import Application
from eventsourcing.domain import Aggregate
from eventsourcing.persistence import (
    ConnectionPoolClosedError,
    Notification,
    PersistenceError,
    RecordConflictError,
)
from eventsourcing.utils import EnvType

from eventstore.postgres_application import environment_on
from eventstore.postgres_connection import Server, store_errors
from eventstore.sqlite_schema import prepare_file
from wallet.errors import WalletError

FILE: Final = "wallet.sqlite"
SCHEMA: Final = "foldex_wallet"
PAGE: Final = 500


class RecordChanged(WalletError):
    """Another process changed the same record; read it again and decide anew."""

    code = "BOOKS_CHANGED"
    retryable = True


class BooksUnavailable(WalletError):
    """The database does not answer. Whether something was saved is seen when it does."""

    code = "BOOKS_UNAVAILABLE"
    retryable = True


class Books(Application[UUID]):
    """Custody's own log. One thread at a time uses it; others, and who closes it, wait for that."""

    name = "wallet"
    env: ClassVar[dict[str, str]] = {"PERSISTENCE_MODULE": "eventsourcing.popo"}

    def __init__(self, env: EnvType | None = None) -> None:
        """Open what the environment names. Raises: what the library does."""
        self._one_at_a_time = Lock()
        super().__init__(env)

    def put(self, *records: Aggregate) -> None:
        """Save the records' new events, all or none. Raises: RecordChanged, BooksUnavailable."""
        events = [event for record in records for event in record.pending_events]
        with self._use():
            try:
                self.save(*records)
            except RecordConflictError:
                # When the answer to a save is lost, the library saves again, and is refused.
                if not all(map(self._has, events)):
                    raise

    def events_after(self, position: int) -> Iterator[tuple[int, Any]]:
        """Yield every event after a position of this log, with its own position.

        Raises: BooksUnavailable.
        """
        while True:
            page = self._page(position)
            for notification in page:
                position = notification.id
                yield position, self.mapper.to_domain_event(notification)
            if len(page) < PAGE:
                return

    def close(self) -> None:
        """Close when nobody uses it: SQLite ends the process when it is closed in a statement."""
        with self._one_at_a_time:
            super().close()

    def _has(self, event: Any) -> bool:
        """Return whether exactly this event is stored, and no other one in its place."""
        ours, version = self.mapper.to_stored_event(event), event.originator_version
        found = self.recorder.select_events(ours.originator_id, gt=version - 1, lte=version)
        return [(each.topic, bytes(each.state)) for each in found] == [(ours.topic, ours.state)]

    def _page(self, position: int) -> Sequence[Notification]:
        with self._use():
            return self.recorder.select_notifications(position + 1, PAGE)

    @contextmanager
    def _use(self) -> Iterator[None]:
        with self._one_at_a_time:
            try:
                yield
            except RecordConflictError as error:
                raise RecordChanged(str(error)) from error
            except ConnectionPoolClosedError as error:
                raise BooksUnavailable("the books have been closed") from error
            except PersistenceError as error:
                raise BooksUnavailable(str(error)) from error


def open_memory() -> Books:
    """Return books that live as long as the process."""
    return Books()


def open_sqlite(directory: Path) -> Books:
    """Return the books in a data directory; they are made when there are none."""
    directory.mkdir(parents=True, exist_ok=True)
    prepare_file(directory / FILE)
    return Books(
        {
            "PERSISTENCE_MODULE": "eventsourcing.sqlite",
            "SQLITE_DBNAME": str(directory / FILE),
            "SQLITE_LOCK_TIMEOUT": "10",
        }
    )


def open_postgres(url: str, *, create: bool = False) -> Books:
    """Return the books in a database, in the schema `foldex_wallet`. create: its tables, too.

    Raises: eventsourcing.persistence.PersistenceError: they cannot be opened; StoreError: the URL
    is not PostgreSQL's.
    """
    return Books(environment_on(url, schema=SCHEMA, title="foldex custody", create_table=create))


def migrate(url: str) -> None:
    """Make the schema and the tables of the books. Raises: StoreError."""
    server = Server(url)
    with store_errors(server), closing(server.connect("foldex migrate")) as connection:
        # Of two that make the same at once PostgreSQL refuses one. Held until this closes.
        connection.execute("SELECT pg_advisory_lock(hashtextextended('foldex migrate', 0))")
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
        open_postgres(url, create=True).close()
