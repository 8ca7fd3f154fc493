"""Reads the stored rows of one stream, and turns a database's errors into the store's."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from eventsourcing.domain import EventSourcingError
from eventsourcing.persistence import StoredEvent

from eventstore.commit import Head
from eventstore.errors import StoreDamaged, StoreError
from eventstore.recorder import CommitRecorder

T = TypeVar("T")


class Rows:
    """The rows of a stream: one for each commit."""

    def __init__(self, recorder: CommitRecorder, stream: str) -> None:
        self._recorder = recorder
        self._stream = stream

    def after(self, head: Head, limit: int) -> Sequence[StoredEvent]:
        """Return up to `limit` rows after a head, in order.

        Raises: StoreDamaged: the very next row cannot be read; StoreError.
        """
        position = head.position + 1
        try:
            return self._guarded(position, lambda: self._select(head.number, limit))
        except StoreDamaged:
            if limit == 1:
                raise
        # Somewhere in the page: go on row by row, so that the damage is named exactly.
        return self._guarded(position, lambda: self._select(head.number, 1))

    def at(self, number: int) -> StoredEvent | None:
        """Return the row of one commit. Raises: StoreDamaged, StoreError."""
        rows = self._guarded(1, lambda: self._select(number - 1, 1))
        return rows[0] if rows and rows[0].originator_version == number else None

    def settled_at(self, number: int) -> StoredEvent | None:
        """Return the row of a commit whose append raised. Raises: StoreDamaged, StoreError."""
        self._guarded(1, self._recorder.settle)
        return self.at(number)

    def last(self) -> StoredEvent | None:
        """Return the row of the last commit. Raises: StoreDamaged, StoreError."""
        select = self._recorder.select_events
        rows = self._guarded(1, lambda: select(self._stream, desc=True, limit=1))
        return rows[0] if rows else None

    def witness(self) -> int | None:
        """Return the number of the last commit as the database noted it, if it keeps a note."""
        return self._guarded(1, lambda: self._recorder.witness(self._stream))

    def exist_after(self, number: int) -> bool:
        """Return whether there is a commit after a number. Raises: StoreDamaged, StoreError."""
        return bool(self._guarded(1, lambda: self._select(number, 1)))

    def _select(self, after_number: int, limit: int) -> Sequence[StoredEvent]:
        return self._recorder.select_events(self._stream, gt=after_number, limit=limit)

    def _guarded(self, position: int, query: Callable[[], T]) -> T:
        """Return what a query does; `position`: where a reader stood, for the error."""
        try:
            return query()
        except EventSourcingError as error:
            if self._recorder.is_corruption(error):
                raise StoreDamaged(position, f"the database says: {error}") from error
            raise StoreError(f"the store cannot be read: {error}") from error
