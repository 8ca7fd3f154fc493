"""Rebuilds the exchange from its log: the newest good snapshot, then the commits after it."""

import logging
from collections.abc import Callable, Iterator
from typing import NamedTuple

from domain.exchange import Exchange
from domain.snapshot import SnapshotUnreadable, load
from eventstore.commit import GENESIS, Commit, Head
from eventstore.errors import StoreDamaged
from eventstore.gc_pause import paused_gc
from eventstore.snapshots import Snapshot, SnapshotStore
from eventstore.store import Log

Progress = Callable[[int, int], None]
"""Called now and then with the events applied so far (as a position) and the last position."""

_log = logging.getLogger(__name__)


class Recovered(NamedTuple):
    """A rebuilt exchange. head: its last whole commit. snapshot_position: 0 without a snapshot."""

    exchange: Exchange
    head: Head
    snapshot_position: int


def recover(
    log: Log,
    snapshots: SnapshotStore | None,
    until_position: int | None = None,
    use_snapshot: bool = True,
    progress: Progress | None = None,
) -> Recovered:
    """Return the exchange as of the end of the log, or of the event `until_position`.

    Without `until_position` the log's next append follows what was read here.
    Raises: StoreDamaged, StoreTooNew, StoreError.
    """
    end = log.refresh_head() if until_position is None else log.stored_head()
    last = end.position if until_position is None else min(until_position, end.position)
    exchange, head = Exchange(), GENESIS
    if use_snapshot and snapshots is not None:
        exchange, head = _from_snapshot(log, snapshots, last)
    start = head.position
    with paused_gc():
        for commit in _up_to(log, head, last):
            wanted = last - exchange.position
            apply_commit(exchange, commit, wanted)
            if wanted >= len(commit.events):
                head = commit.head
            if progress is not None:
                progress(exchange.position, last)
    return Recovered(exchange, head, start)


def apply_commit(exchange: Exchange, commit: Commit, limit: int) -> None:
    """Apply up to `limit` events of a commit. Raises: StoreDamaged: one of them makes no sense."""
    events = commit.events if limit >= len(commit.events) else commit.events[:limit]
    before = exchange.position
    try:
        exchange.apply_all(events)
    except (LookupError, ArithmeticError, AttributeError, TypeError, ValueError) as error:
        position = before + 1
        detail = f"an event of commit {commit.number} does not fit the state: {error!r}"
        raise StoreDamaged(position, detail) from error


def _up_to(log: Log, head: Head, last: int) -> Iterator[Commit]:
    if head.position >= last:
        return
    for commit in log.read_all(head):
        yield commit
        if commit.last_position >= last:
            return


def _from_snapshot(log: Log, snapshots: SnapshotStore, last: int) -> tuple[Exchange, Head]:
    """Return the newest snapshot at or before a position that is one of this log, or nothing."""
    for snapshot in snapshots.newest_first(last):
        if (why := _unfit(log, snapshot)) is None:
            try:
                return load(snapshot.state), snapshot.head
            except SnapshotUnreadable as error:
                why = str(error)
        _log.warning("snapshot at event %d ignored: %s", snapshot.position, why)
    return Exchange(), GENESIS


def _unfit(log: Log, snapshot: Snapshot) -> str | None:
    """Return why a snapshot is not of this log; None when it is."""
    if log.head_at(snapshot.commit_number) != snapshot.head:
        return "it is not a state of this log"
    return None
