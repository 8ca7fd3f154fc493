"""Time travel: rebuild the exchange as of any event of its log, and say what it hashes to."""

import time

import msgspec

from domain.snapshot import state_hash
from eventstore.recovery import Progress, recover
from eventstore.store import Store


class ReplayReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a replay arrived at.

    position: of the last event applied. state_hash: SHA-256 of the whole state, in hex. events:
    how many were replayed, in `seconds`. from_snapshot_position: 0 when from the beginning.
    """

    position: int
    state_hash: str
    events: int
    seconds: float
    from_snapshot_position: int


def replay(
    store: Store,
    *,
    use_snapshot: bool = False,
    until_position: int | None = None,
    progress: Progress | None = None,
) -> ReplayReport:
    """Return what the log folds to, at its end or after the event `until_position`.

    The same log gives the same hash, with or without a snapshot. The store is only read.
    Raises: StoreDamaged, StoreTooNew, StoreError.
    """
    started_s = time.perf_counter()
    last = store.log.stored_head().position
    recovered = recover(
        store.log,
        store.snapshots,
        until_position=last if until_position is None else max(until_position, 0),
        use_snapshot=use_snapshot,
        progress=progress,
    )
    seconds = time.perf_counter() - started_s
    exchange = recovered.exchange
    return ReplayReport(
        position=exchange.position,
        state_hash=state_hash(exchange),
        events=exchange.position - recovered.snapshot_position,
        seconds=seconds,
        from_snapshot_position=recovered.snapshot_position,
    )
