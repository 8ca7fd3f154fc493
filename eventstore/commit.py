"""A commit: the events of one group commit, sealed together and stored as one record."""

from typing import Final, NamedTuple

import msgspec

from domain.events import Event

GENESIS_SEAL: Final = bytes(32)
"""What the first commit names as the seal before it."""


class Head(NamedTuple):
    """The end of a log, or of what was read of it: the last commit, event position and seal."""

    number: int
    position: int
    seal: bytes


GENESIS: Final = Head(0, 0, GENESIS_SEAL)
"""The head of an empty log."""


class Recorded(NamedTuple):
    """An event with its position in the log (1, 2, 3 … over all commits)."""

    position: int
    event: Event


class Commit(msgspec.Struct, frozen=True, kw_only=True):
    """Events that became true together.

    number: 1, 2, 3 … along the log. first_position: that of events[0]. time_ms: ms UTC.
    seal: SHA-256 over the previous seal, the header and the stored content.
    """

    number: int
    first_position: int
    time_ms: int
    previous_seal: bytes
    seal: bytes
    events: list[Event]

    @property
    def last_position(self) -> int:
        """Return the position of the last event."""
        return self.first_position + len(self.events) - 1

    @property
    def head(self) -> Head:
        """Return where the log ends after this commit."""
        return Head(self.number, self.last_position, self.seal)

    def recorded(self) -> list[Recorded]:
        """Return the events with their positions, in order."""
        return [Recorded(n, e) for n, e in enumerate(self.events, self.first_position)]
