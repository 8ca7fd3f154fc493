"""Where are facts kept? The append-only log of sealed commits, its snapshots, and recovery."""

from eventstore.commit import Commit, Head, Recorded
from eventstore.errors import (
    AppendFailed,
    AppendOutcomeUnknown,
    Fenced,
    NoStore,
    StoreDamaged,
    StoreError,
    StoreLocked,
    StoreTooNew,
)
from eventstore.snapshots import Snapshot, SnapshotStore
from eventstore.store import Log, Store

__all__ = [
    "AppendFailed",
    "AppendOutcomeUnknown",
    "Commit",
    "Fenced",
    "Head",
    "Log",
    "NoStore",
    "Recorded",
    "Snapshot",
    "SnapshotStore",
    "Store",
    "StoreDamaged",
    "StoreError",
    "StoreLocked",
    "StoreTooNew",
]
