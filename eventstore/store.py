"""The contract of the store: an append-only log of sealed commits, with its snapshots.

`Log` works over any recorder of the `eventsourcing` library (memory, SQLite, PostgreSQL): one
stored event is one commit of the stream `exchange:<shard>`, its originator_version the commit's
number. So the primary key of the database refuses a second writer, whoever it is.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from threading import Condition
from typing import Final

from eventsourcing.persistence import PersistenceError, StoredEvent

from domain.events import Event
from eventstore.codec import CODEC, TOPIC, BadRecord, Codec, Record
from eventstore.commit import GENESIS, Commit, Head, Recorded
from eventstore.errors import AppendFailed, Fenced, StoreDamaged, StoreError, StoreTooNew
from eventstore.recorder import CommitRecorder
from eventstore.snapshots import SnapshotStore

__all__ = [
    "AppendFailed",
    "Commit",
    "Fenced",
    "Head",
    "Log",
    "Recorded",
    "Store",
    "StoreDamaged",
    "StoreError",
    "StoreTooNew",
]

PAGE_COMMITS: Final = 100
"""How many commits one read takes from the database, unless told."""
POLL_S: Final = 0.05
"""How often a waiting reader looks for commits of another process."""


class Log:
    """One shard's commits, in order. One thread appends; any number read and wait."""

    def __init__(
        self, recorder: CommitRecorder, *, shard: str = "main", codec: Codec = CODEC
    ) -> None:
        self.recorder = recorder
        self.stream = f"exchange:{shard}"
        self._codec = codec
        self._head: Head | None = None
        self._read_to = GENESIS
        self._grown = Condition()

    # ---- the writer

    @property
    def head(self) -> Head:
        """Return the commit that the next append follows.

        It is read from the store once, then moved only by `append`: a writer that others have
        overtaken must not append after commits it has not applied. Raises: as `refresh_head`.
        """
        return self.refresh_head() if self._head is None else self._head

    def refresh_head(self) -> Head:
        """Return the last commit in the store, and let appends follow it. For recovery.

        Raises: StoreDamaged: the last commit is damaged or gone; StoreTooNew; StoreError.
        """
        self._head = self.stored_head()
        return self._head

    def stored_head(self) -> Head:
        """Return the last commit in the store now, whoever wrote it. Raises: as `refresh_head`."""
        witness = self._guarded(1, lambda: self.recorder.witness(self.stream))
        rows = self._guarded(
            1, lambda: self.recorder.select_events(self.stream, desc=True, limit=1)
        )
        head = self._open_alone(rows[0]).head if rows else GENESIS
        if witness is not None and head.number < witness:
            detail = f"commit {witness} was written, but the last one here is {head.number}"
            raise StoreDamaged(head.position + 1, detail)
        return head

    def append(self, events: Sequence[Event], time_ms: int) -> Commit:
        """Store events as the next commit and return it; it is durable then.

        Raises: Fenced: another writer took the number; AppendFailed: it was not stored, or nobody
        can say. After either, this log appends nothing more until `refresh_head`.
        """
        if not events:
            raise ValueError("a commit needs at least one event")
        commit, state = self._codec.encode(self.head, events, time_ms)
        row = StoredEvent(self.stream, commit.number, TOPIC, state)
        try:
            self.recorder.insert_events([row])
        except PersistenceError as error:
            self._settle(row, error)
        with self._grown:
            self._head = commit.head
            self._grown.notify_all()
        return commit

    def _settle(self, row: StoredEvent, error: PersistenceError) -> None:
        """Return if the commit landed in spite of an error, else raise what became of it."""
        self._head = None
        number = row.originator_version
        try:
            found = self.recorder.select_events(
                self.stream, gt=number - 1, lte=number, limit=1
            )
        except PersistenceError as again:
            detail = f"commit {number}: {_said(error)}; looking for it: {_said(again)}"
            raise AppendFailed(detail, outcome_known=False) from error
        if not found:
            detail = f"commit {number} was not stored: {_said(error)}"
            raise AppendFailed(detail, outcome_known=True) from error
        if bytes(found[0].state) != row.state:
            raise Fenced(f"another writer has stored commit {number}") from error

    # ---- readers

    def read(
        self, after_commit: int, limit: int = PAGE_COMMITS, *, previous: Head | None = None
    ) -> list[Commit]:
        """Return up to `limit` commits after a number, each checked to follow the one before.

        previous: the head after `after_commit` when the reader knows it; else it is looked up.
        Raises: StoreDamaged: a seal, number or position does not follow; StoreTooNew; StoreError.
        """
        head = previous or self._head_after(after_commit)
        commits: list[Commit] = []
        for row in self._fetch(head, limit):
            commit = self._open(row, head)
            commits.append(commit)
            head = commit.head
        self._read_to = head
        return commits

    def read_all(self, after: Head = GENESIS) -> Iterator[Commit]:
        """Yield every commit after a head, to the end of the log. Raises: as `read`."""
        while commits := self.read(after.number, previous=after):
            yield from commits
            after = commits[-1].head

    def read_from_position(self, position: int) -> Iterator[Commit]:
        """Yield the commit that holds an event position, and all after it. Raises: as `read`."""
        return self.read_all(self._head_after(self._commit_before(position)))

    def wait(self, after_commit: int, timeout_s: float) -> bool:
        """Return True as soon as there is a commit after a number, False after `timeout_s`.

        An append through this log wakes it at once, another process's within POLL_S.
        """
        deadline = time.monotonic() + timeout_s
        while not self._has_commit_after(after_commit):
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                return False
            with self._grown:
                if not self._knows_commit_after(after_commit):
                    self._grown.wait(min(left_s, POLL_S))
        return True

    def wake(self) -> None:
        """Let every waiting reader look again now (when stopping)."""
        with self._grown:
            self._grown.notify_all()

    def close(self) -> None:
        """Give the database back; readers and writers must have stopped."""
        self.wake()
        self.recorder.close()

    # ---- inside

    def _knows_commit_after(self, number: int) -> bool:
        return self._head is not None and self._head.number > number

    def _has_commit_after(self, number: int) -> bool:
        if self._knows_commit_after(number):
            return True
        return bool(
            self._guarded(
                0, lambda: self.recorder.select_events(self.stream, gt=number, limit=1)
            )
        )

    def _head_after(self, number: int) -> Head:
        """Return the head as it stood after a commit."""
        if number <= 0:
            return GENESIS
        if self._read_to.number == number:
            return self._read_to
        if (row := self._row(number)) is None:
            raise StoreDamaged(
                self.stored_head().position + 1,
                f"commit {number}, which was read from it before, is not in the log",
            )
        return self._open_alone(row).head

    def _commit_before(self, position: int) -> int:
        """Return the number of the commit just before the one that holds a position."""
        low, high = 0, self.stored_head().number
        while low < high:
            middle = (low + high + 1) // 2
            if self._first_position(middle) < position:
                low = middle
            else:
                high = middle - 1
        return max(low - 1, 0)

    def _first_position(self, number: int) -> int:
        if (row := self._row(number)) is None:
            raise StoreDamaged(1, f"commit {number} is missing; verify finds the first bad event")
        return self._record(row, 1).first_position

    def _row(self, number: int) -> StoredEvent | None:
        rows = self._guarded(
            1,
            lambda: self.recorder.select_events(self.stream, gt=number - 1, lte=number, limit=1),
        )
        return rows[0] if rows else None

    def _fetch(self, after: Head, limit: int) -> Sequence[StoredEvent]:
        """Return stored rows; when a page cannot be read, those before the damage, one by one."""
        try:
            return self._select_after(after, limit)
        except StoreDamaged:
            if limit == 1:
                raise
        first = self._select_after(after, 1)
        return first

    def _select_after(self, after: Head, limit: int) -> Sequence[StoredEvent]:
        return self._guarded(
            after.position + 1,
            lambda: self.recorder.select_events(self.stream, gt=after.number, limit=limit),
        )

    def _open(self, row: StoredEvent, previous: Head) -> Commit:
        """Return the commit in a row that must follow `previous`."""
        position = previous.position + 1
        number = previous.number + 1
        if row.originator_version != number:
            detail = f"commit {number} is missing, {row.originator_version} follows"
            raise StoreDamaged(position, detail)
        record = self._record(row, position)
        if record.first_position != position:
            detail = f"commit {number} starts at event {record.first_position}"
            raise StoreDamaged(position, detail)
        if record.previous_seal != previous.seal:
            raise StoreDamaged(position, f"commit {number} does not follow the one before it")
        return self._commit(record, position)

    def _open_alone(self, row: StoredEvent) -> Commit:
        """Return the commit in a row without looking at the one before."""
        record = self._record(row, 1)
        return self._commit(record, record.first_position)

    def _record(self, row: StoredEvent, position: int) -> Record:
        number = row.originator_version
        if row.topic != TOPIC:
            raise StoreTooNew(
                f"commit {number} is stored as {row.topic!r}, which this version does not know: "
                "upgrade Foldex"
            )
        try:
            record = self._codec.decode_record(bytes(row.state))
        except BadRecord as error:
            raise StoreDamaged(position, f"commit {number}: {error}") from error
        if record.number != number:
            detail = f"in the place of commit {number} there is commit {record.number}"
            raise StoreDamaged(position, detail)
        return record

    def _commit(self, record: Record, position: int) -> Commit:
        try:
            events = self._codec.decode_events(record)
        except BadRecord as error:
            raise StoreDamaged(position, f"commit {record.number}: {error}") from error
        return Commit(
            number=record.number,
            first_position=record.first_position,
            time_ms=record.time_ms,
            previous_seal=record.previous_seal,
            seal=record.seal,
            events=events,
        )

    def _guarded[T](self, position: int, query: Callable[[], T]) -> T:
        raise NotImplementedError
