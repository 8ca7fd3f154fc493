"""What a coin, a block and a payment are, on any chain.

Amounts are whole numbers of the chain's smallest unit (wei, satoshi, drop, a token's unit), never
fractions. They may exceed 64 bits, so what stores or sends them writes them as text.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import NewType, Self

ChainId = NewType("ChainId", str)
"""CAIP-2: `eip155:1`, `bip122:000000000019d6689c085ae165831e93`, `xrpl:0`."""
Address = NewType("Address", str)
"""An address as `Chain.validate_address` returns it: one spelling for each place."""
TokenId = NewType("TokenId", str)
"""What is not the chain's own coin: on Ethereum the address of the token's contract."""
TxId = NewType("TxId", str)
BlockHash = NewType("BlockHash", str)
DepositKey = NewType("DepositKey", str)
"""`chain:txid:locator`: the same transfer has the same key in whatever block it is mined."""
IntentId = NewType("IntentId", str)


def deposit_key(chain: ChainId, txid: TxId, locator: str) -> DepositKey:
    """Return the key of a transfer.

    locator: where it is inside its transaction, which no reorganisation changes: `native`,
    `log-0` (the number of the log inside its receipt, not inside the block), `vout-1`.
    """
    return DepositKey(f"{chain}:{txid}:{locator}")


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockRef:
    """One block, known by its hash; another block may be at its height tomorrow."""

    height: int
    hash: BlockHash
    parent: BlockHash


class Finality(StrEnum):
    """How sure the chain itself is of a block."""

    HEAD = "head"
    SAFE = "safe"
    FINAL = "final"


class Credit(StrEnum):
    """How much of a token's transfer is believed."""

    STRICT = "strict"
    """What its log says."""
    MEASURED = "measured"
    """At most what the balance grew by: some tokens keep a fee or say what is not so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A token whose transfers are deposits. Its name and symbol mean nothing: anyone can copy."""

    id: TokenId
    credit: Credit = Credit.MEASURED


class WatchSet:
    """Every address that is ours and every token that we take.

    It is matched in memory and never sent to a node, so it may hold hundreds of thousands.
    """

    __slots__ = ("_addresses", "_tokens")

    def __init__(self, addresses: Iterable[Address] = (), tokens: Iterable[Token] = ()) -> None:
        self._addresses: dict[str, Address] = {}
        self._tokens: dict[str, Token] = {}
        for address in addresses:
            self.add(address)
        for token in tokens:
            self.add_token(token)

    def __len__(self) -> int:
        """Return how many addresses are watched."""
        return len(self._addresses)

    def add(self, address: Address) -> None:
        """Watch an address from now on."""
        self._addresses[address.lower()] = address

    def add_token(self, token: Token) -> None:
        """Take a token from now on; one that is known gets the new way to credit it."""
        self._tokens[token.id.lower()] = token

    def find(self, text: str) -> Address | None:
        """Return the watched address of this spelling, whatever the case of its letters."""
        return self._addresses.get(text.lower())

    def find_token(self, text: str) -> Token | None:
        """Return the registered token of this spelling, whatever the case of its letters."""
        return self._tokens.get(text.lower())


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """The anchor that makes all attempts at one payment exclude each other on chain.

    anchor: Ethereum's nonce, XRP's Sequence, or the outpoint `txid:vout` on Bitcoin.
    """

    chain: ChainId
    owner: Address
    anchor: str

    @classmethod
    def numbered(cls, chain: ChainId, owner: Address, number: int) -> Self:
        """Return the slot of a chain that counts them."""
        return cls(chain=chain, owner=owner, anchor=str(number))

    @property
    def number(self) -> int:
        """The nonce or sequence; raises ValueError on a chain that does not count."""
        return int(self.anchor)

    def __str__(self) -> str:
        return f"{self.chain}:{self.owner}:{self.anchor}"


class IntentKind(StrEnum):
    """Why a transaction is made; the policy of the signer differs with it."""

    WITHDRAWAL = "withdrawal"
    SWEEP = "sweep"
    REFILL = "refill"
    TOP_UP = "top_up"
    RELEASE = "release"
    """Pays nobody: it uses up a slot whose payment can never be made."""
    DEPLOY = "deploy"
    CALL = "call"


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """What one transaction shall do: decided once, then built, signed and compared with this.

    id: the withdrawal's, or of whatever asked for it; one intent is done at most once.
    to: the payee, or for a call the contract; None for a release and a deployment.
    token: what is paid; None for the chain's own coin.
    amount: paid to `to`; for a deployment or call what goes with it of the chain's own coin.
    data: for a call its method and arguments, for a deployment the code with its arguments.
    """

    id: IntentId
    kind: IntentKind
    chain: ChainId
    to: Address | None = None
    tag: int | None = None
    token: TokenId | None = None
    amount: int = 0
    data: bytes = b""

    def __post_init__(self) -> None:
        """Raise ValueError when the parts do not fit each other."""
        match self.kind:
            case IntentKind.RELEASE:
                fits = self.to is None and not self.data and self.amount == 0
            case IntentKind.DEPLOY:
                fits = self.to is None and bool(self.data) and self.amount >= 0
            case IntentKind.CALL:
                fits = self.to is not None and self.amount >= 0
            case _:
                fits = self.to is not None and not self.data and self.amount > 0
        if not fits or (self.token is not None and not self.is_payment):
            raise ValueError(f"no such {self.kind}: {self}")

    @property
    def is_payment(self) -> bool:
        """Whether it pays an amount to an address and does nothing else."""
        return self.kind not in {IntentKind.RELEASE, IntentKind.DEPLOY, IntentKind.CALL}


class Speed(StrEnum):
    """How soon a transaction should be in a block."""

    SLOW = "slow"
    NORMAL = "normal"
    FAST = "fast"


@dataclass(frozen=True, slots=True, kw_only=True)
class FeePolicy:
    """What may be paid to the chain.

    price_max: for one unit of work (gas, 1000 virtual bytes), in the chain's smallest unit.
    total_max: for the whole transaction.
    """

    speed: Speed = Speed.NORMAL
    price_max: int
    total_max: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FeeQuote:
    """What to offer now for one unit of work, within the limits of the policy it was asked for.

    price: the most, all included. tip: how much of it goes to the producer of the block.
    """

    price: int
    tip: int
    policy: FeePolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsigned:
    """A transaction to sign.

    raw: in the chain's own form for signing; on Ethereum what is hashed for the signature.
    fee_max: the most it can cost.
    """

    intent_id: IntentId
    slot: Slot
    raw: bytes
    fee_max: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """A signed transaction for a slot; it is recorded before it is broadcast."""

    intent_id: IntentId
    slot: Slot
    txid: TxId
    raw: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    """What a raw transaction would do, read from its bytes alone.

    sender, txid: None while it is not signed.
    to: the payee, also of a token; the contract for a call; None for a deployment.
    data: what is neither a plain payment nor a token's `transfer`.
    price, tip, fee_max: as in FeeQuote and Unsigned.
    """

    chain: ChainId
    anchor: str
    sender: Address | None
    txid: TxId | None
    to: Address | None
    tag: int | None = None
    token: TokenId | None = None
    amount: int
    data: bytes = b""
    price: int
    tip: int
    fee_max: int


class BroadcastHint(StrEnum):
    """What a node answered. Never proof: it may lie, lag, or be cut off after it obeyed."""

    ACCEPTED = "accepted"
    KNOWN = "known"
    SLOT_USED = "slot_used"
    SLOT_AHEAD = "slot_ahead"
    UNDERPRICED = "underpriced"
    NO_FUNDS = "no_funds"
    REFUSED = "refused"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class NotSeen:
    """No node we asked has it: broadcast it again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InPool:
    """It waits for a block. txid: the attempt that does."""

    txid: TxId


@dataclass(frozen=True, slots=True, kw_only=True)
class Mined:
    """One attempt is in a block.

    ok: it did what it should; a token's payment only when its log shows exactly that payment.
    moved: what reached the payee, by the chain's records.
    contract: of a deployment that succeeded. reason: why it failed, if the chain says so.
    """

    txid: TxId
    block: BlockRef
    ok: bool
    moved: int
    fee: int
    contract: Address | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotTaken:
    """Another transaction has used the slot, so no attempt can ever be mined on this branch.

    at: the block as of which that is so; it proves nothing until it is deep enough.
    """

    at: BlockRef


Outcome = NotSeen | InPool | Mined | SlotTaken


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a chain can do."""

    coin: str
    """The symbol of its own coin."""
    decimals: int
    """Of its own coin."""
    reorgs: bool
    numbered_slots: bool
    tags: bool = False
    tokens: bool = False
    contracts: bool = False
    finality_tags: bool = False
    internal_transfers: bool = False
    """Whether `scan` sees coins that a contract sends; where not, balances must be compared."""
