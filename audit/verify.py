"""Proves a store: every seal, number and position, the replayed state, and every snapshot."""

import time
from typing import Final

import msgspec
from eventsourcing.domain import EventSourcingError

from domain.events import Event
from domain.exchange import Exchange
from domain.invariants import check
from domain.snapshot import FORMAT, SnapshotUnreadable, format_of, state_hash
from eventstore.commit import GENESIS, Head
from eventstore.errors import StoreDamaged, StoreError
from eventstore.gc_pause import paused_gc
from eventstore.recovery import Progress
from eventstore.store import Log, Store

CHECK_EVERY_EVENTS: Final = 10_000
"""How often the state is checked on the way; always between commits, and at the end."""
_PAGE: Final = 100


class Problem(msgspec.Struct, frozen=True):
    """Something wrong. position: the first event concerned; 0 when it is not about events."""

    position: int
    detail: str


class VerifyReport(msgspec.Struct, frozen=True, kw_only=True):
    """What was checked, and what is wrong.

    commits, events, head, state_hash: of the good part of the log, from its beginning.
    snapshots: how many were compared with the replayed state. ignored: where there are snapshots
    of another version, which starts pass over too. seconds: how long it took.
    """

    commits: int
    events: int
    head: Head
    state_hash: str
    snapshots: int
    ignored: list[int]
    seconds: float
    problems: list[Problem]

    @property
    def ok(self) -> bool:
        """Return whether nothing is wrong."""
        return not self.problems

    @property
    def first_bad_position(self) -> int | None:
        """Return the first event that cannot be trusted; None when all can."""
        return min((each.position for each in self.problems if each.position), default=None)


def verify(store: Store, *, progress: Progress | None = None) -> VerifyReport:
    """Check a whole store and report; damage is an answer, not an error.

    A running exchange may go on writing meanwhile. Raises: StoreTooNew: a newer version wrote it.
    """
    started_s = time.perf_counter()
    verification = _Verification(store, progress)
    with paused_gc():
        verification.run()
    return VerifyReport(
        commits=verification.head.number,
        events=verification.head.position,
        head=verification.head,
        state_hash=state_hash(verification.exchange),
        snapshots=verification.snapshots,
        ignored=verification.ignored,
        seconds=time.perf_counter() - started_s,
        problems=verification.problems,
    )


class _WrongState(Exception):
    """The log is whole, but what it says cannot be."""


class _Verification:
    """One run: a replay from zero that stops at the first thing that cannot be trusted."""

    def __init__(self, store: Store, progress: Progress | None) -> None:
        self._log = store.log
        self._snapshots = store.snapshots
        self._progress = progress
        self._checked_at = 0
        self.exchange = Exchange()
        self.head = GENESIS
        self.snapshots = 0
        self.ignored: list[int] = []
        self.problems: list[Problem] = []

    def run(self) -> None:
        """Check everything, the log first."""
        snapshots_at = sorted(self._snapshots.positions())
        try:
            self._replay(snapshots_at)
            self._check_state()
            self._log.stored_head()  # Raises when the last commit was removed.
            self.problems += _order_problems(self._log, self.head)
            self._refuse_snapshots_beyond_the_end(snapshots_at)
        except StoreDamaged as error:
            self._add(error.position, error.reason)
        except EventSourcingError as error:
            self._add(0, f"the database cannot list its rows: {error}")
        except _WrongState as error:
            self._add(max(self.exchange.position, 1), str(error))
        self.problems += _storage_problems(self._log)

    def _replay(self, snapshots_at: list[int]) -> None:
        last = _last_position(self._log)
        waiting = iter(snapshots_at)
        snapshot_at = next(waiting, None)
        for commit in self._log.read_all():
            for event in commit.events:
                self._apply(event)
                if self.exchange.position == snapshot_at:
                    self._compare_snapshot(snapshot_at)
                    snapshot_at = next(waiting, None)
            self.head = commit.head
            if self.head.position - self._checked_at >= CHECK_EVERY_EVENTS:
                self._check_state()
            if self._progress is not None:
                self._progress(self.head.position, max(last, self.head.position))

    def _apply(self, event: Event) -> None:
        try:
            self.exchange.apply(event)
        except (LookupError, ArithmeticError, AttributeError, TypeError, ValueError) as error:
            detail = f"the event does not fit the state: {error!r}"
            raise StoreDamaged(self.exchange.position + 1, detail) from error

    def _check_state(self) -> None:
        self._checked_at = self.exchange.position
        try:
            check(self.exchange)
        except AssertionError as error:
            detail = f"the state after event {self.exchange.position} breaks a rule: {error}"
            raise _WrongState(detail) from error

    def _compare_snapshot(self, position: int) -> None:
        """Report a snapshot that is not the replayed state; one dropped meanwhile is no matter."""
        try:
            snapshot = self._snapshots.at(position)
        except StoreError as error:
            if position in self._snapshots.positions():
                self._add(position, f"the snapshot at event {position}: {error}")
            return
        if _is_of_another_version(snapshot.state):
            self.ignored.append(position)
            return
        self.snapshots += 1
        if snapshot.state_hash != state_hash(self.exchange):
            self._add(position, f"the snapshot at event {position} is not the replayed state")

    def _refuse_snapshots_beyond_the_end(self, snapshots_at: list[int]) -> None:
        for position in snapshots_at:
            if position > self.exchange.position:
                self._add(position, f"the snapshot at event {position} is beyond the log's end")

    def _add(self, position: int, detail: str) -> None:
        self.problems.append(Problem(position, detail))


def _is_of_another_version(state: bytes) -> bool:
    try:
        return format_of(state) != FORMAT
    except SnapshotUnreadable:
        return False


def _last_position(log: Log) -> int:
    """Return where the log seems to end, for showing progress only."""
    try:
        return log.stored_head().position
    except StoreDamaged as error:
        return error.position


def _order_problems(log: Log, head: Head) -> list[Problem]:
    """Return what breaks the rule that the database lists commits in the order of their numbers."""
    expected = 1
    start: int | None = None
    while expected <= head.number:
        page = log.recorder.select_notifications(start, _PAGE, inclusive_of_start=False)
        if not page:
            return [Problem(0, f"the database does not list commit {expected} among its rows")]
        for row in page:
            if row.originator_id == log.stream and row.originator_version != expected:
                detail = f"the database lists commit {row.originator_version} before {expected}"
                return [Problem(0, detail)]
            expected += row.originator_id == log.stream
        start = page[-1].id
    return []


def _storage_problems(log: Log) -> list[Problem]:
    try:
        return [Problem(0, detail) for detail in log.recorder.check_storage()]
    except EventSourcingError as error:
        return [Problem(0, f"the database cannot be checked: {error}")]
