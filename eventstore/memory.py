"""A store in memory, on the library's plain-object recorders: for tests, demos and trials."""

from bisect import bisect_right, insort
from collections import defaultdict
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any
from uuid import UUID

from eventsourcing.persistence import StoredEvent
from eventsourcing.popo import POPOAggregateRecorder, POPOApplicationRecorder

from eventstore.recorder import CommitRecorder
from eventstore.snapshots import SnapshotRecorder, SnapshotStore
from eventstore.store import Log, Store


def open_memory() -> Store:
    """Return a new, empty store that lives as long as the process."""
    log = Log(MemoryRecorder())
    return Store(log, SnapshotStore(MemorySnapshotRecorder()), resources=ExitStack())


class MemoryRecorder(POPOApplicationRecorder, CommitRecorder):
    """The library's recorder, but a page is found by bisection: theirs walks over all versions."""

    def __init__(self) -> None:
        super().__init__()
        self._versions: dict[str, list[int]] = defaultdict(list)
        self._witness: dict[str, int] = {}

    def _update_table(
        self, stored_events: Sequence[StoredEvent], **kwargs: Any
    ) -> Sequence[int] | None:
        for row in stored_events:
            stream = str(row.originator_id)
            insort(self._versions[stream], row.originator_version)
            self._witness[stream] = row.originator_version
        return super()._update_table(stored_events, **kwargs)

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
        with self._database_lock:
            versions = self._versions.get(str(originator_id), [])
            first = 0 if gt is None else bisect_right(versions, gt)
            end = len(versions) if lte is None else bisect_right(versions, lte)
            if limit is not None:
                first, end = (
                    (max(first, end - limit), end) if desc else (first, min(end, first + limit))
                )
            index = self._stored_events_index[str(originator_id)]
            rows = [self._stored_events[index[version]] for version in versions[first:end]]
            return rows[::-1] if desc else rows

    def witness(self, stream: str) -> int | None:
        """Return the number of the last commit written."""
        with self._database_lock:
            return self._witness.get(stream)


class MemorySnapshotRecorder(POPOAggregateRecorder, SnapshotRecorder):
    """Snapshots in memory."""

    def delete(self, stream: str, version: int) -> None:
        """Remove one record."""
        with self._database_lock:
            place = self._stored_events_index[stream].pop(version, None)
            if place is None:
                return
            del self._stored_events[place]
            for index in self._stored_events_index.values():
                for other, at in index.items():
                    index[other] = at - (at > place)

    def versions(self, stream: str) -> list[int]:
        """Return the versions that are kept, newest first."""
        with self._database_lock:
            return sorted(self._stored_events_index[stream], reverse=True)

    def close(self) -> None:
        """Do nothing: memory needs no closing."""
