"""Snapshots: whole states kept so that a start need not replay all. A cache, never a fact.

A snapshot is used only if its bytes match its hash, and recovery also asks that its seal is the
log's own; a bad one is passed over, loudly, and an older one or a replay from zero serves.
"""

import hashlib
import logging
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Final

import msgspec
from eventsourcing.persistence import AggregateRecorder, PersistenceError, StoredEvent

from eventstore.commit import Head
from eventstore.errors import StoreError

TOPIC: Final = "snapshot.v1"
KEPT: Final = 3
"""How many snapshots are kept: the newest, and two to fall back on."""
COMPRESSION_LEVEL: Final = 1

_log = logging.getLogger(__name__)


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """The whole state after a commit.

    position: events applied. commit_number, seal: of the last of them. state_hash: SHA-256 of
    `state` in hex. state: `domain.snapshot.dump`.
    """

    position: int
    commit_number: int
    seal: bytes
    state_hash: str
    state: bytes

    @property
    def head(self) -> Head:
        """Return where the log ended when the snapshot was taken."""
        return Head(self.commit_number, self.position, self.seal)


class _Record(msgspec.Struct, frozen=True, array_like=True):
    position: int
    commit_number: int
    seal: bytes
    state_hash: str
    packed_state: bytes


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Record).decode


def snapshot_of(position: int, head: Head, state: bytes) -> Snapshot:
    """Return a snapshot of a dumped state. `head`: the last commit that the state includes."""
    return Snapshot(
        position=position,
        commit_number=head.number,
        seal=head.seal,
        state_hash=hashlib.sha256(state).hexdigest(),
        state=state,
    )


class SnapshotRecorder(AggregateRecorder, ABC):
    """A recorder of the library that can also forget."""

    @abstractmethod
    def delete(self, stream: str, version: int) -> None:
        """Remove one record."""

    @abstractmethod
    def versions(self, stream: str) -> list[int]:
        """Return the versions that are kept, newest first."""

    @abstractmethod
    def close(self) -> None:
        """Give the database back."""


class SnapshotStore:
    """The newest few snapshots of one shard."""

    def __init__(self, recorder: SnapshotRecorder, *, shard: str = "main") -> None:
        self._recorder = recorder
        self._stream = f"exchange:{shard}"

    def save(self, snapshot: Snapshot) -> None:
        """Keep a snapshot, in place of one at its position, and drop all but the newest few.

        Raises: StoreError: it cannot be written; the log is not affected.
        """
        record = _Record(
            snapshot.position,
            snapshot.commit_number,
            snapshot.seal,
            snapshot.state_hash,
            zlib.compress(snapshot.state, COMPRESSION_LEVEL),
        )
        row = StoredEvent(self._stream, snapshot.position, TOPIC, _encode(record))
        try:
            self._recorder.delete(self._stream, snapshot.position)
            self._recorder.insert_events([row])
            for version in self._recorder.versions(self._stream)[KEPT:]:
                self._recorder.delete(self._stream, version)
        except PersistenceError as error:
            raise StoreError(f"the snapshot cannot be written: {error}") from error

    def newest(self, max_position: int | None = None) -> Snapshot | None:
        """Return the newest good snapshot, at or before a position if one is given."""
        return next(self.newest_first(max_position), None)

    def newest_first(self, max_position: int | None = None) -> Iterator[Snapshot]:
        """Yield every good snapshot, newest first; a bad one is passed over with a warning."""
        for position in self.positions():
            if max_position is not None and position > max_position:
                continue
            try:
                yield self.at(position)
            except StoreError as error:
                _log.warning("snapshot at event %d ignored: %s", position, error)

    def positions(self) -> list[int]:
        """Return the positions of all snapshots, good or bad, newest first.

        When they cannot be read there are none, with a warning: the log has everything.
        """
        try:
            return self._recorder.versions(self._stream)
        except PersistenceError as error:
            _log.warning("no snapshot can be used: %s", error)
            return []

    def at(self, position: int) -> Snapshot:
        """Return the snapshot at a position. Raises: StoreError: it is unreadable or altered."""
        try:
            rows = self._recorder.select_events(self._stream, gt=position - 1, lte=position)
            record = _decode(rows[0].state)
            state = zlib.decompress(record.packed_state)
        except (PersistenceError, IndexError, msgspec.DecodeError, zlib.error) as error:
            raise StoreError(f"it cannot be read: {error}") from error
        snapshot = snapshot_of(position, Head(record.commit_number, position, record.seal), state)
        if snapshot.state_hash != record.state_hash or record.position != position:
            raise StoreError("its state does not match its hash")
        return snapshot

    def close(self) -> None:
        """Give the database back."""
        self._recorder.close()
