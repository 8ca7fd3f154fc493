"""What a block has that concerns us, as a chain tells it.

Amounts are whole numbers of the chain's smallest unit, as everywhere (`wallet.types`).
"""

from dataclasses import dataclass

from wallet.types import Address, BlockRef, DepositKey, Slot, TokenId, TxId


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferSeen:
    """Value that arrived at a watched address, in a transaction that succeeded.

    token: None for the chain's own coin.
    amount: what may be credited, > 0; for a measured token it may be less than its log says.
    sender: None where the chain does not tell (Bitcoin).
    own: the sender is watched too: a top-up, a sweep or a payment to oneself, not a deposit.
    """

    key: DepositKey
    txid: TxId
    locator: str
    sender: Address | None
    address: Address
    tag: int | None = None
    token: TokenId | None = None
    amount: int
    own: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Spend:
    """A transaction that one of our addresses sent; it may have failed and paid its fee.

    amount: of the chain's own coin that left with it, without the fee; 0 when it failed.
    """

    txid: TxId
    slot: Slot
    amount: int
    fee: int
    ok: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TokensLeft:
    """Tokens that left a watched address, by the log of a contract that is registered.

    own: within a transaction that one of our addresses sent; another one needs no key of ours, but
    an allowance that we gave.
    """

    txid: TxId
    locator: str
    address: Address
    token: TokenId
    amount: int
    own: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedByCall:
    """What an address of ours holds more or less after calling contracts in a block.

    Only what neither transactions nor logs show: coins that contracts sent back (token: None), and
    tokens that their own contract gave or took without a `Transfer`, as wrapped coins do.
    """

    address: Address
    token: TokenId | None
    change: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ignored:
    """What looks like a deposit and is none, for people to look at.

    contract: the unregistered contract that says so.
    """

    txid: TxId
    locator: str
    contract: TokenId
    address: Address
    amount: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockScan:
    """All that concerns us in one block, in the order of the block."""

    ref: BlockRef
    transfers: tuple[TransferSeen, ...] = ()
    spends: tuple[Spend, ...] = ()
    left: tuple[TokensLeft, ...] = ()
    changed: tuple[ChangedByCall, ...] = ()
    ignored: tuple[Ignored, ...] = ()
