"""The contract of the store: an append-only log of sealed commits, with its snapshots.

`Log` works over any recorder of the `eventsourcing` library (memory, SQLite, PostgreSQL): one
stored event is one commit of the stream `exchange:<shard>`, its originator_version the commit's
number. So the primary key of the database refuses a second writer, whoever it is.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from threading import Condition
from typing import Final, Self

from eventsourcing.persistence import PersistenceError, StoredEvent

from domain.events import Event
from eventstore.chain import open_alone, open_next
from eventstore.codec import CODEC, TOPIC, Codec
from eventstore.commit import GENESIS, Commit, Head, Recorded
from eventstore.errors import (
    AppendFailed,
    AppendOutcomeUnknown,
    Fenced,
    StoreDamaged,
    StoreError,
    StoreTooNew,
)
from eventstore.recorder import CommitRecorder
from eventstore.rows import Rows
from eventstore.snapshots import SnapshotStore

__all__ = [
    "AppendFailed",
    "AppendOutcomeUnknown",
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


class Log:
    """One shard's commits, in order. One thread appends; any number read and wait."""

    def __init__(
        self, recorder: CommitRecorder, *, shard: str = "main", codec: Codec = CODEC
    ) -> None:
        self.recorder = recorder
        self.stream = f"exchange:{shard}"
        self._codec = codec
        self._rows = Rows(recorder, self.stream)
        self._head: Head | None = None
        self._read_to = GENESIS
        self._grown = Condition()
        self._watched = False
        self._notices = 0

    @property
    def head(self) -> Head:
        """Return the commit that the next append follows.

        It is read from the store once, then moved only by `append`: a writer that another has
        overtaken must not append after commits it has not applied. Raises: as `refresh_head`.
        """
        return self._head or self.refresh_head()

    def refresh_head(self) -> Head:
        """Return the last commit in the store, and let appends follow it. For recovery.

        Raises: StoreDamaged: the last commit is damaged or gone; StoreTooNew; StoreError.
        """
        self._head = self.stored_head()
        return self._head

    def stored_head(self) -> Head:
        """Return the last commit in the store now, whoever wrote it. Raises: as `refresh_head`."""
        witness = self._rows.witness()
        row = self._rows.last()
        head = GENESIS if row is None else self._head_of(row)
        if witness is not None and head.number < witness:
            detail = f"commit {witness} was written, but the log ends with commit {head.number}"
            raise StoreDamaged(head.position + 1, detail)
        return head

    def append(self, events: Sequence[Event], time_ms: int) -> Commit:
        """Store events as the next commit and return it; it is durable then.

        Raises: Fenced: another writer took the number; AppendFailed: it was not stored;
        AppendOutcomeUnknown. After any of them, recover before appending again.
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

    def read(
        self, after_commit: int, limit: int = PAGE_COMMITS, *, previous: Head | None = None
    ) -> list[Commit]:
        """Return up to `limit` commits after a number, each checked to follow the one before.

        Fewer does not mean the end: only an empty list does.
        previous: the head after `after_commit` when the reader knows it; else it is looked up.
        Raises: StoreDamaged: a seal, number or position does not follow; StoreTooNew; StoreError.
        """
        start = head = previous or self._head_after(after_commit)
        commits: list[Commit] = []
        for row in self._rows.after(start, limit):
            try:
                commit = open_next(self._codec, row, head)
            except (StoreDamaged, StoreTooNew):
                if commits:
                    break  # What is before the bad commit is good; the next read meets it first.
                raise
            commits.append(commit)
            head = commit.head
        self._read_to = head
        return commits

    def read_all(self, after: Head = GENESIS, *, limit: int = PAGE_COMMITS) -> Iterator[Commit]:
        """Yield every commit after a head, to the end of the log. Raises: as `read`."""
        while commits := self.read(after.number, limit, previous=after):
            yield from commits
            after = commits[-1].head

    def head_at(self, number: int) -> Head | None:
        """Return the head as it stood after a commit; None when the log has no such commit."""
        row = self._rows.at(number)
        return None if row is None else self._head_of(row)

    def wait(self, after_commit: int, timeout_s: float) -> bool:
        """Return True as soon as there is a commit after a number, False after `timeout_s`.

        An append through this log wakes it at once, another process's within the recorder's
        `poll_s`, or as soon as the recorder gets notice of it.
        """
        self._watch()
        deadline = time.monotonic() + timeout_s
        while True:
            notices = self._notices
            if self._knows_after(after_commit) or self._rows.exist_after(after_commit):
                return True
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                return False
            with self._grown:
                if not self._knows_after(after_commit) and self._notices == notices:
                    self._grown.wait(min(left_s, self.recorder.poll_s))

    def close(self) -> None:
        """Give the database back; readers and writers must have stopped."""
        self.recorder.close()

    def _settle(self, row: StoredEvent, error: PersistenceError) -> None:
        """Return if the commit landed in spite of an error, else raise what became of it."""
        head, self._head = self._head, None
        number = row.originator_version
        try:
            found = self._rows.settled_at(number)
        except StoreError as again:
            detail = f"commit {number}: {error}; and when looking for it: {again}"
            raise AppendOutcomeUnknown(detail) from error
        if found is None:
            raise AppendFailed(f"commit {number} was not stored: {error}") from error
        if found.state != row.state:
            raise Fenced(f"another writer has stored commit {number}") from error
        self._head = head

    def _watch(self) -> None:
        """Let the recorder wake those who wait. The first who waits needs it."""
        with self._grown:
            watched, self._watched = self._watched, True
        if not watched:
            self.recorder.watch(self.stream, self._notice)

    def _notice(self) -> None:
        with self._grown:
            self._notices += 1
            self._grown.notify_all()

    def _knows_after(self, number: int) -> bool:
        return self._head is not None and self._head.number > number

    def _head_of(self, row: StoredEvent) -> Head:
        """Return the head after a row's commit."""
        try:
            return open_alone(self._codec, row).head
        except StoreDamaged:
            # Alone it cannot say where it belongs, nor whether it is the first bad one. Nothing
            # runs on a damaged log, so there is time to find out.
            for _ in self.read_all():
                pass
            raise

    def _head_after(self, number: int) -> Head:
        """Return the head as it stood after a commit."""
        if number <= 0:
            return GENESIS
        if (read_to := self._read_to).number == number:
            return read_to
        if (row := self._rows.at(number)) is None:
            detail = f"commit {number}, which a reader has seen, is not in the log"
            raise StoreDamaged(self.stored_head().position + 1, detail)
        return self._head_of(row)


class Store:
    """A log, the snapshots that shorten its replay, and whatever is to be closed with them."""

    def __init__(self, log: Log, snapshots: SnapshotStore, *, resources: ExitStack) -> None:
        self.log = log
        self.snapshots = snapshots
        self._resources = resources

    def close(self) -> None:
        """Close both, and let another process write. Repeating it does nothing."""
        self._resources.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
