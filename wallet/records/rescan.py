"""A range of blocks that is looked at again, for what was not looked for the first time."""

from typing import Any, Literal
from uuid import NAMESPACE_URL, UUID, uuid5

from eventsourcing.domain import Aggregate

from wallet.types import ChainId

Status = Literal["running", "done", "failed"]


def rescan_id(chain: ChainId, name: str) -> UUID:
    """Return the id of a rescan's record."""
    return uuid5(NAMESPACE_URL, f"foldex:rescan:{chain}:{name}")


class Rescan(Aggregate):
    """name: given by whoever asked. first, last: heights, both looked at; last: None until it
    begins, when none was asked for. next: where it goes on. found: deposits that were not known.
    """

    TOPIC = "rescan"

    class Created(Aggregate.Created):
        """last: -1 means up to the block that is followed to when it begins."""

        TOPIC = "rescan_requested.v1"
        chain: str
        name: str
        first: int
        last: int
        requested_by: str

    class Begun(Aggregate.Event):
        """Every registered token is watched after this height at the latest."""

        TOPIC = "rescan_begun.v1"
        last: int

        def apply(self, aggregate: Any) -> None:
            aggregate.last = self.last

    class Scanned(Aggregate.Event):
        """Blocks were looked at up to this height, for every token that is watched.

        blocks: `[height, hash, effects]` of those with effects that were not in the books; an
        effect is as in `ChainRecord.Connected`. first: the first of the blocks.
        """

        TOPIC = "blocks_rescanned.v1"
        first: int
        height: int
        found: int
        blocks: list[Any]

        def apply(self, aggregate: Any) -> None:
            aggregate.next = self.height + 1
            aggregate.found += self.found
            if aggregate.next > aggregate.last:
                aggregate.status = "done"

    class Failed(Aggregate.Event):
        """The node could not tell; what was found so far stays."""

        TOPIC = "rescan_failed.v1"
        reason: str

        def apply(self, aggregate: Any) -> None:
            aggregate.status, aggregate.reason = "failed", self.reason

    def __init__(self, chain: str, name: str, first: int, last: int, requested_by: str) -> None:
        self.chain = ChainId(chain)
        self.name = name
        self.first = first
        self.asked_last = last if last >= 0 else None
        self.last = self.asked_last
        self.requested_by = requested_by
        self.next = first
        self.found = 0
        self.status: Status = "running"
        self.reason = ""

    @classmethod
    def request(
        cls, chain: ChainId, name: str, first: int, last: int | None, requested_by: str
    ) -> "Rescan":
        """Return a rescan of which nothing is done yet."""
        return cls._create(
            cls.Created,
            id=rescan_id(chain, name),
            chain=chain,
            name=name,
            first=first,
            last=-1 if last is None else last,
            requested_by=requested_by,
        )

    def begin(self, last: int) -> None:
        """Record how far it goes, where that was left open."""
        if self.last is None:
            self.trigger_event(self.Begun, last=last)

    def scanned(self, height: int, found: int, blocks: list[Any]) -> None:
        """Record that the blocks up to a height were looked at."""
        self.trigger_event(self.Scanned, first=self.next, height=height, found=found, blocks=blocks)

    def fail(self, reason: str) -> None:
        """Give it up."""
        self.trigger_event(self.Failed, reason=reason)
