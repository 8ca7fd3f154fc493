"""What custody needs from a chain, whichever it is.

No keys are anywhere in here: a chain reads blocks and builds, parses and broadcasts transactions.
All calls block; whoever must not wait calls them in a thread. A chain may be called from many
threads at once. Everything here may raise NodeUnavailable (no answer, also after some retries).
"""

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from wallet.block_scan import BlockScan
from wallet.call_text import CallText, Interface
from wallet.types import (
    Address,
    Attempt,
    BlockHash,
    BlockRef,
    BroadcastHint,
    Capabilities,
    ChainId,
    Decoded,
    FeePolicy,
    FeeQuote,
    Finality,
    Intent,
    IntentId,
    Outcome,
    Slot,
    TokenId,
    Unsigned,
    WatchSet,
)


class Heads(AbstractContextManager["Heads"], Protocol):
    """Hints that the chain may have changed. They may be late, repeated or missing."""

    def wait(self, timeout_s: float) -> bool:
        """Return True soon after a hint, at the latest when it is time to look; False before."""


class Chain(Protocol):
    """One chain, through its node."""

    @property
    def id(self) -> ChainId: ...

    @property
    def capabilities(self) -> Capabilities: ...

    @property
    def genesis(self) -> BlockHash:
        """The hash of its first block, as the node said when we connected."""

    def check(self) -> None:
        """Raise WrongChain when the node now serves another chain than at first."""

    def tip(self) -> BlockRef:
        """Return the newest block the node knows."""

    def heads(self) -> Heads:
        """Return the stream of hints; close it after use."""

    def block_ref(self, height: int) -> BlockRef | None:
        """Return the block at this height; None above the node's tip.

        None is no proof of a reorganisation, for a node behind the others answers so too. Another
        hash at a known height is.
        """

    def scan(self, ref: BlockRef, watch: WatchSet) -> BlockScan:
        """Return what concerns us in exactly this block, whatever is at its height now.

        Raises: NodeLagging: the node does not have this block, or not all of it.
        """

    def scan_range(self, first: int, count: int, watch: WatchSet) -> list[BlockScan]:
        """Return `scan` of up to `count` blocks from height `first`, in few requests.

        Each is the child of the one before; fewer where the chain ends or is changing. The caller
        compares the first one's parent with the block it has.
        """

    def finality(self, ref: BlockRef) -> Finality:
        """Return how sure the chain is of a block; HEAD when it is not on the chain any more."""

    def confirmations(self, ref: BlockRef) -> int | None:
        """Return how deep a block is: 1 for the tip; None when it is not on the chain any more."""

    def validate_address(self, text: str, tag: int | None = None) -> Address:
        """Return the one spelling of an address; its checksum is verified where it has one.

        Raises: BadAddress, TagRequired.
        """

    def balances(
        self, addresses: Collection[Address], token: TokenId | None, at: BlockRef | None = None
    ) -> dict[Address, int]:
        """Return what each address holds as of a block; of the tip when none is given.

        Raises: NodeLagging: the node does not have this block, or not the state at it.
        """

    def token_decimals(self, token: TokenId) -> int | None:
        """Return how many decimals a token says that it has; None when it tells none.

        Only where there are tokens.

        Raises: UnknownContract: nothing is there; TokenMismatch: what is there is no token.
        """

    def estimate_fee(self, policy: FeePolicy) -> FeeQuote:
        """Return what to offer now.

        Raises: FeeAboveCap: the chain asks for more than `policy.price_max`.
        """

    def build(
        self, intent: Intent, slot: Slot, fee: FeeQuote, previous: Sequence[Attempt] = ()
    ) -> Unsigned:
        """Return the transaction that does what the intent says, in this slot.

        previous: earlier attempts in the same slot: the new one offers enough to replace them all.
        A release may replace a payment. Nothing else is asked of the node then.
        Raises: FeeAboveCap: it would cost more than the policy allows. WillFail: the chain says
        that it would fail, or the token says no. InsufficientHotFunds: the slot's owner has too
        little. BadRequest: intent, slot and previous attempts do not belong together.
        """

    def parse(self, raw: bytes) -> Decoded:
        """Return what a transaction would do, signed or not, from its bytes alone.

        Raises: BadRequest: these bytes are no transaction that we would make.
        """

    def broadcast(self, raw: bytes) -> BroadcastHint:
        """Hand a signed transaction to the node. Safe to repeat; the answer is no proof."""

    def outcome(self, attempts: Sequence[Attempt]) -> Outcome:
        """Return what became of the attempts, which all have the same slot: any may be mined."""

    def slots_used(self, owner: Address, at: BlockRef | None = None) -> int:
        """Return the number of the next free slot by the chain, as of a block or of the tip.

        Only where slots are numbered. It tells of use by others and never gives out a slot: that
        is the log's.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Artefact:
    """A compiled contract. abi: as compilers write it. bytecode: without constructor arguments."""

    name: str
    abi: Sequence[Mapping[str, Any]]
    bytecode: bytes


class Contracts(Protocol):
    """Contracts of a chain that has them. Arguments may be as JSON has them: numbers as text."""

    def artefact(self, given: Any) -> Artefact:
        """Return a contract: one that comes with Foldex by its name, or as compilers write it.

        Raises: UnknownContract: there is none of that name; BadRequest: it is none.
        """

    def deploy(
        self, intent_id: IntentId, artefact: Artefact, arguments: Sequence[Any], *, value: int = 0
    ) -> Intent:
        """Return the intent that deploys a contract.

        Raises: UnknownMethod: its constructor does not take these arguments.
        """

    def transact(
        self,
        intent_id: IntentId,
        artefact: Artefact,
        address: Address,
        method: str,
        arguments: Sequence[Any],
        *,
        value: int = 0,
    ) -> Intent:
        """Return the intent that calls a method in a transaction.

        Raises: UnknownMethod; BadAddress; UnknownContract: nothing is there.
        """

    def interface(self, artefact: Artefact, intent: Intent) -> Interface | None:
        """Return how the data of a deployment or call of this contract is to be read."""

    def explain(self, intent: Intent, interface: Interface | None) -> CallText:
        """Return what the data of a deployment or call means, by what we know and what is said.

        Raises: BadInterface: what is said of it does not encode to the same data again.
        """

    def call(
        self,
        artefact: Artefact,
        address: Address,
        method: str,
        arguments: Sequence[Any],
        *,
        at: BlockRef | None = None,
    ) -> Any:
        """Return what a method answers, changing nothing.

        Raises: UnknownMethod; BadAddress; UnknownContract: nothing is there. CallFailed: it
        refused.
        """
