"""What we know of a chain: the block we followed it to, and whether it is paused."""

import json
from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Any, Final
from uuid import NAMESPACE_URL, UUID, uuid5

from eventsourcing.domain import Aggregate

from wallet.errors import DifferencesNotAccepted
from wallet.types import BlockHash, BlockRef, ChainId

DIFFERENCES_MAX: Final = 100
MARK_CHARS: Final = 16
REASONS_CHARS_MAX: Final = 2_000
"""Of all that a chain is paused for; what comes when there is more of it, is in the log only."""


def mark_of(differences: Iterable[Sequence[str]]) -> str:
    """Return a short name of exactly these differences, whatever their order."""
    texts = sorted(json.dumps(list(each)) for each in differences)
    return sha256("\n".join(texts).encode()).hexdigest()[:MARK_CHARS]


def chain_record_id(chain: ChainId) -> UUID:
    """Return the id of a chain's record: there is one."""
    return uuid5(NAMESPACE_URL, f"foldex:chain:{chain}")


class ChainRecord(Aggregate):
    """genesis: of the chain we keep books of. tip: the last block followed. paused: why, or empty.

    paused_by: an operator, or custody itself. differences: what reconciliation found last, with
    unlisted many more. mark: names exactly these; empty when there are none. followed: the position
    of the exchange's log up to which withdrawals were taken over. refills: what was asked for from
    cold and has not come yet, by asset, in base units.
    """

    TOPIC = "chain"

    class Created(Aggregate.Created):
        TOPIC = "chain_opened.v1"
        chain: str
        genesis: str
        height: int
        hash: str
        parent: str

    class Connected(Aggregate.Event):
        """Blocks were followed, up to the tip given.

        blocks: `[height, hash, parent, effects]`, the oldest first, as far as they may still be
        disconnected. settled: the effects of those before. An effect is `[address, token or empty
        for the chain's own coin, change in base units]`.
        """

        TOPIC = "blocks_connected.v1"
        blocks: list[Any]
        settled: list[Any]
        height: int
        hash: str
        parent: str

        def apply(self, aggregate: Any) -> None:
            aggregate.tip = _ref(self.height, self.hash, self.parent)

    class Disconnected(Aggregate.Event):
        """The tip is gone from the chain; the block given, its parent, is the tip again."""

        TOPIC = "block_disconnected.v1"
        gone: str
        height: int
        hash: str
        parent: str

        def apply(self, aggregate: Any) -> None:
            aggregate.tip = _ref(self.height, self.hash, self.parent)

    class Paused(Aggregate.Event):
        """paused_by: an operator; empty when it was custody itself."""

        TOPIC = "chain_paused.v1"
        reason: str
        paused_by: str = ""

        def apply(self, aggregate: Any) -> None:
            aggregate.paused, aggregate.paused_by = self.reason, self.paused_by

    class Resumed(Aggregate.Event):
        """accepted: the mark of the differences that it goes on with."""

        TOPIC = "chain_resumed.v1"
        resumed_by: str
        reason: str = ""
        accepted: str = ""

        def apply(self, aggregate: Any) -> None:
            aggregate.paused = aggregate.paused_by = ""

    class ReconciliationFailed(Aggregate.Event):
        """Books, chain and ledger differed as of a block. differences: `[what, books, other]`.

        unlisted: how many more there were. mark: names all of them; in the oldest events, empty.
        """

        TOPIC = "reconciliation_failed.v1"
        height: int
        hash: str
        differences: list[Any]
        unlisted: int = 0
        mark: str = ""

        def apply(self, aggregate: Any) -> None:
            aggregate.differences = [list(each) for each in self.differences]
            aggregate.unlisted = self.unlisted
            aggregate.mark = self.mark or mark_of(self.differences)

    class ReconciliationPassed(Aggregate.Event):
        """Nothing differs any more."""

        TOPIC = "reconciliation_passed.v1"
        height: int
        hash: str

        def apply(self, aggregate: Any) -> None:
            aggregate.differences = []
            aggregate.unlisted, aggregate.mark = 0, ""

    class Followed(Aggregate.Event):
        TOPIC = "exchange_followed.v1"
        position: int

        def apply(self, aggregate: Any) -> None:
            aggregate.followed = self.position

    class RefillRequested(Aggregate.Event):
        TOPIC = "refill_requested.v1"
        asset: str
        amount: int

        def apply(self, aggregate: Any) -> None:
            aggregate.refills[self.asset] = self.amount

    class RefillArrived(Aggregate.Event):
        TOPIC = "refill_arrived.v1"
        asset: str

        def apply(self, aggregate: Any) -> None:
            del aggregate.refills[self.asset]

    def __init__(self, chain: str, genesis: str, height: int, hash: str, parent: str) -> None:
        self.chain = ChainId(chain)
        self.genesis = BlockHash(genesis)
        self.tip = _ref(height, hash, parent)
        self.paused = self.paused_by = ""
        self.differences: list[list[str]] = []
        self.unlisted = 0
        self.mark = ""
        self.followed = 0
        self.refills: dict[str, int] = {}

    @classmethod
    def open(cls, chain: ChainId, genesis: BlockHash, start: BlockRef) -> "ChainRecord":
        """Return the record of a chain that is followed from the block after `start`."""
        return cls._create(
            cls.Created,
            id=chain_record_id(chain),
            chain=chain,
            genesis=genesis,
            height=start.height,
            hash=start.hash,
            parent=start.parent,
        )

    def connect(self, tip: BlockRef, blocks: list[Any], settled: list[Any]) -> None:
        """Record blocks that were followed, up to a new tip."""
        self.trigger_event(
            self.Connected, blocks=blocks, settled=settled, height=tip.height, hash=tip.hash,
            parent=tip.parent,
        )  # fmt: skip

    def disconnect(self, parent: BlockRef) -> None:
        """Record that the tip is gone and its parent is the tip."""
        self.trigger_event(
            self.Disconnected, gone=self.tip.hash, height=parent.height, hash=parent.hash,
            parent=parent.parent,
        )  # fmt: skip

    def pause(self, reason: str, paused_by: str = "") -> None:
        """Stop crediting and paying. Paused already: the first reason stays."""
        if not self.paused:
            self.trigger_event(self.Paused, reason=reason, paused_by=paused_by)

    def alarm(self, reason: str) -> None:
        """Pause for something that happened once; paused already, it is told with the rest."""
        if not self.paused:
            self.pause(reason)
        elif reason not in self.paused and len(self.paused) + len(reason) < REASONS_CHARS_MAX:
            both = f"{self.paused}; {reason}"
            self.trigger_event(self.Paused, reason=both, paused_by=self.paused_by)

    def resume(self, resumed_by: str, reason: str = "", accepted: str = "") -> None:
        """Go on crediting and paying, with the differences that `accepted` names.

        Raises: DifferencesNotAccepted: those that are recorded now are others.
        """
        if not self.paused:
            return
        if self.mark not in ("", accepted):
            count = len(self.differences) + self.unlisted
            raise DifferencesNotAccepted(
                f"{count} differences are recorded, which were not accepted: look at them, then"
                " resume with their mark"
            )
        self.trigger_event(self.Resumed, resumed_by=resumed_by, reason=reason, accepted=self.mark)

    def fail_reconciliation(
        self, block: BlockRef, differences: list[list[str]], *, unlisted: int, mark: str
    ) -> None:
        """Record what differs: at most DIFFERENCES_MAX of it, and a mark of all."""
        self.trigger_event(
            self.ReconciliationFailed,
            height=block.height,
            hash=block.hash,
            differences=differences,
            unlisted=unlisted,
            mark=mark,
        )

    def pass_reconciliation(self, block: BlockRef) -> None:
        """Record that nothing differs any more."""
        self.trigger_event(self.ReconciliationPassed, height=block.height, hash=block.hash)

    def follow(self, position: int) -> None:
        """Record how far the exchange's log was read."""
        self.trigger_event(self.Followed, position=position)

    def request_refill(self, asset: str, amount: int) -> None:
        """Ask for coins from cold."""
        self.trigger_event(self.RefillRequested, asset=asset, amount=amount)

    def refill_arrived(self, asset: str) -> None:
        """Record that the hot wallet is full enough again."""
        self.trigger_event(self.RefillArrived, asset=asset)


def _ref(height: int, block_hash: str, parent: str) -> BlockRef:
    return BlockRef(height=height, hash=BlockHash(block_hash), parent=BlockHash(parent))
