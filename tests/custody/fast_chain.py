"""A chain in plain Python, fast enough for thousands of reorganisations: what `Chain` promises.

Transactions are JSON, a signature is a field. Blocks are replayed from zero for nothing: each keeps
the state after it. It is Ethereum-like: numbered slots, a pool with gaps, replacement by price.
"""

import hashlib
import json
from collections.abc import Collection, Sequence
from copy import copy
from dataclasses import dataclass, field
from random import Random
from typing import Any

from wallet.block_scan import BlockScan, ChangedByCall, Spend, TokensLeft, TransferSeen
from wallet.errors import (
    BadAddress,
    BadRequest,
    FeeAboveCap,
    InsufficientHotFunds,
    NodeLagging,
    UnknownContract,
)
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
    InPool,
    Intent,
    IntentKind,
    Mined,
    NotSeen,
    Outcome,
    Slot,
    SlotTaken,
    TokenId,
    TxId,
    Unsigned,
    WatchSet,
    deposit_key,
)

CHAIN = ChainId("fast:1")
COIN, TOKEN = "ETH", TokenId("0xtoken")
GAS = 21
Move = tuple[str, str, str, int]
"""Token or empty for the chain's own coin, from whom, to whom, how much."""


@dataclass(frozen=True, kw_only=True)
class Tx:
    """A signed transaction. refuses: the token answers false, so it is mined and moves nothing.

    data: what a contract does when it is called or deployed: `[token, from, to, amount]` each, all
    of it or nothing. The call's own amount has come to the contract before.
    """

    sender: str
    nonce: int
    to: str
    token: str = ""
    amount: int = 0
    price: int = 1
    refuses: bool = False
    data: str = ""

    @property
    def moves(self) -> list[Move]:
        return [(each[0], each[1], each[2], each[3]) for each in json.loads(self.data or "[]")]

    @property
    def payee(self) -> str:
        """Whom it pays: also the contract that it deploys."""
        return self.to or f"0xmade-by-{self.sender}-{self.nonce}"

    @property
    def raw(self) -> bytes:
        return json.dumps(self.__dict__ | {"signed": True}, sort_keys=True).encode()

    @property
    def txid(self) -> TxId:
        return TxId("0x" + hashlib.sha256(self.raw).hexdigest()[:24])


@dataclass
class State:
    """nonces by sender; balances by (address, token or empty)."""

    nonces: dict[str, int] = field(default_factory=dict)
    balances: dict[tuple[str, str], int] = field(default_factory=dict)

    def clone(self) -> "State":
        return State(dict(self.nonces), dict(self.balances))

    def balance(self, address: str, token: str) -> int:
        return self.balances.get((address, token), 0)

    def move(self, address: str, token: str, change: int) -> None:
        self.balances[address, token] = self.balance(address, token) + change

    def can(self, tx: Tx) -> bool:
        value = 0 if tx.token else tx.amount
        return (
            self.nonces.get(tx.sender, 0) == tx.nonce
            and self.balance(tx.sender, "") >= value + GAS * tx.price
        )

    def do(self, tx: Tx) -> bool:
        """Apply a transaction; return whether it moved what it says."""
        self.nonces[tx.sender] = tx.nonce + 1
        self.move(tx.sender, "", -GAS * tx.price)
        before = dict(self.balances)
        for token, sender, to, amount in [(tx.token, tx.sender, tx.payee, tx.amount), *tx.moves]:
            if tx.refuses or self.balance(sender, token) < amount:
                self.balances = before
                return False
            self.move(sender, token, -amount)
            self.move(to, token, amount)
        return True


@dataclass
class Block:
    ref: BlockRef
    txs: list[Tx]
    moved: list[bool]
    state: State


class FastChain:
    """`Chain`, with the means to mine and to reorganise."""

    id = CHAIN
    capabilities = Capabilities(
        coin=COIN, decimals=18, reorgs=True, numbered_slots=True, tokens=True
    )

    def __init__(self, rich: str, seed: int = 0) -> None:
        self._random = Random(seed)
        state = State(balances={(rich, ""): 10**30, (rich, TOKEN): 10**30})
        genesis = BlockRef(height=0, hash=BlockHash("g0"), parent=BlockHash("none"))
        self.blocks = [Block(genesis, [], [], state)]
        self.pool: dict[TxId, Tx] = {}
        self.price = 2
        self.made = 0
        self.tokens: dict[str, int | None] = {TOKEN: 6}
        self.fails_for: set[str] = set()
        """Payees that the token refuses to pay, but only once it is in a block."""

    # What happens on a chain.

    def mine(self, *, leave: float = 0.0) -> Block:
        """Mine a block of what is in the pool; each is left for later with this chance."""
        parent = self.blocks[-1]
        self.made += 1
        ref = BlockRef(
            height=parent.ref.height + 1, hash=BlockHash(f"b{self.made}"), parent=parent.ref.hash
        )
        state, block_txs, moved = parent.state.clone(), [], []
        pending = sorted(self.pool.values(), key=lambda tx: (tx.nonce, tx.sender))
        for tx in pending:
            if state.can(tx) and self._random.random() >= leave:
                moved.append(state.do(tx))
                block_txs.append(tx)
                del self.pool[tx.txid]
        block = Block(ref, block_txs, moved, state)
        self.blocks.append(block)
        for txid, tx in list(self.pool.items()):
            if tx.nonce < state.nonces.get(tx.sender, 0):
                del self.pool[txid]
        return block

    def reorganise(self, depth: int, *, drop: float = 0.0) -> None:
        """Replace the last blocks by one more; each transaction of theirs is lost by chance."""
        depth = min(depth, len(self.blocks) - 1)
        gone = self.blocks[len(self.blocks) - depth :]
        del self.blocks[len(self.blocks) - depth :]
        for block in gone:
            for tx in block.txs:
                if self._random.random() >= drop:
                    self.pool.setdefault(tx.txid, tx)
        for _ in range(depth + 1):
            self.mine(leave=0.3)

    def wipe_pool(self) -> None:
        """Forget what waits, as a node does that restarts."""
        self.pool.clear()

    def send(
        self, sender: str, to: str, amount: int, token: str = "", *, moves: Sequence[Move] = ()
    ) -> Tx:
        """Put a transaction of somebody else into the pool."""
        waiting = [tx.nonce + 1 for tx in self.pool.values() if tx.sender == sender]
        nonce = max([self.state.nonces.get(sender, 0), *waiting])
        tx = Tx(
            sender=sender, nonce=nonce, to=to, amount=amount, token=token, price=1,
            data=json.dumps(moves) if moves else "",
        )  # fmt: skip
        self.pool[tx.txid] = tx
        return tx

    @property
    def state(self) -> State:
        """As of the tip."""
        return self.blocks[-1].state

    # What `Chain` promises.

    @property
    def genesis(self) -> BlockHash:
        return self.blocks[0].ref.hash

    def check(self) -> None:
        pass

    def tip(self) -> BlockRef:
        return self.blocks[-1].ref

    def heads(self) -> Any:
        raise NotImplementedError("the model looks by itself")

    def block_ref(self, height: int) -> BlockRef | None:
        return self.blocks[height].ref if 0 <= height < len(self.blocks) else None

    def scan(self, ref: BlockRef, watch: WatchSet) -> BlockScan:
        block = self._at(ref)
        if block is None:
            raise NodeLagging("no such block")
        found = _Found(self.id, watch)
        for tx, moved in zip(block.txs, block.moved, strict=True):
            found.read(tx, moved=moved)
        return BlockScan(
            ref=ref, transfers=tuple(found.transfers), spends=tuple(found.spends),
            left=tuple(found.left), changed=tuple(found.changed),
        )  # fmt: skip

    def scan_range(self, first: int, count: int, watch: WatchSet) -> list[BlockScan]:
        return [self.scan(block.ref, watch) for block in self.blocks[first : first + count]]

    def finality(self, ref: BlockRef) -> Finality:
        return Finality.HEAD

    def confirmations(self, ref: BlockRef) -> int | None:
        return None if self._at(ref) is None else self.tip().height - ref.height + 1

    def validate_address(self, text: str, tag: int | None = None) -> Address:
        if not text.startswith("0x"):
            raise BadAddress(text)
        return Address(text)

    def balances(
        self, addresses: Collection[Address], token: TokenId | None, at: BlockRef | None = None
    ) -> dict[Address, int]:
        block = self.blocks[-1] if at is None else self._at(at)
        if block is None:
            raise NodeLagging("no such block")
        return {address: block.state.balance(address, token or "") for address in addresses}

    def token_decimals(self, token: TokenId) -> int | None:
        if token not in self.tokens:
            raise UnknownContract(token)
        return self.tokens[token]

    def estimate_fee(self, policy: FeePolicy) -> FeeQuote:
        return FeeQuote(price=self.price, tip=1, policy=policy)

    def build(
        self, intent: Intent, slot: Slot, fee: FeeQuote, previous: Sequence[Attempt] = ()
    ) -> Unsigned:
        if any(attempt.slot != slot for attempt in previous):
            raise BadRequest("another slot")
        outbid = [_read(attempt.raw).price * 9 // 8 + 1 for attempt in previous]
        price = max([fee.price, *outbid])
        if price > fee.policy.price_max:
            raise FeeAboveCap(f"it would cost {price}")
        if intent.kind is IntentKind.RELEASE:
            tx = Tx(sender=slot.owner, nonce=slot.number, to=slot.owner, price=price)
        else:
            tx = Tx(
                sender=slot.owner, nonce=slot.number, to=intent.to or "", price=price,
                token=intent.token or "", amount=intent.amount,
                refuses=intent.to in self.fails_for, data=intent.data.decode(),
            )  # fmt: skip
            if not previous and self.state.balance(slot.owner, tx.token) < tx.amount:
                raise InsufficientHotFunds("too little")
        raw = json.dumps(tx.__dict__, sort_keys=True).encode()
        return Unsigned(intent_id=intent.id, slot=slot, raw=raw, fee_max=GAS * price)

    def parse(self, raw: bytes) -> Decoded:
        tx = _read(raw)
        return Decoded(
            chain=self.id, anchor=str(tx.nonce), sender=Address(tx.sender), txid=tx.txid,
            to=Address(tx.to), token=TokenId(tx.token) if tx.token else None, amount=tx.amount,
            price=tx.price, tip=1, fee_max=GAS * tx.price,
        )  # fmt: skip

    def broadcast(self, raw: bytes) -> BroadcastHint:
        tx = _read(raw)
        if "signed" not in json.loads(raw):
            return BroadcastHint.REFUSED
        if tx.txid in self.pool:
            return BroadcastHint.KNOWN
        if tx.nonce < self.state.nonces.get(tx.sender, 0):
            return BroadcastHint.SLOT_USED
        for other in list(self.pool.values()):
            if (other.sender, other.nonce) == (tx.sender, tx.nonce):
                if tx.price * 10 < other.price * 11:
                    return BroadcastHint.UNDERPRICED
                del self.pool[other.txid]
        self.pool[tx.txid] = tx
        return BroadcastHint.ACCEPTED

    def outcome(self, attempts: Sequence[Attempt]) -> Outcome:
        wanted = {attempt.txid for attempt in attempts}
        for block in reversed(self.blocks):
            for tx, moved in zip(block.txs, block.moved, strict=True):
                if tx.txid in wanted:
                    return Mined(
                        txid=tx.txid, block=block.ref, ok=moved, fee=GAS * tx.price,
                        moved=tx.amount if moved else 0,
                    )  # fmt: skip
        for txid in wanted & self.pool.keys():
            return InPool(txid=txid)
        slot = attempts[0].slot
        if self.state.nonces.get(slot.owner, 0) > slot.number:
            return SlotTaken(at=self.tip())
        return NotSeen()

    def slots_used(self, owner: Address, at: BlockRef | None = None) -> int:
        return self.state.nonces.get(owner, 0)

    def _at(self, ref: BlockRef) -> Block | None:
        block = self.blocks[ref.height] if ref.height < len(self.blocks) else None
        return copy(block) if block is not None and block.ref.hash == ref.hash else None


@dataclass
class _Found:
    """What concerns us in a block, read as a node's logs and receipts are."""

    chain: ChainId
    watch: WatchSet
    transfers: list[TransferSeen] = field(default_factory=list)
    spends: list[Spend] = field(default_factory=list)
    left: list[TokensLeft] = field(default_factory=list)
    changed: list[ChangedByCall] = field(default_factory=list)

    def read(self, tx: Tx, *, moved: bool) -> None:
        sender = self.watch.find(tx.sender)
        if sender:
            slot = Slot.numbered(self.chain, sender, tx.nonce)
            native = tx.amount if moved and not tx.token else 0
            self.spends.append(
                Spend(txid=tx.txid, slot=slot, amount=native, fee=GAS * tx.price, ok=moved)
            )
        if not moved:
            return
        self._moved(tx, 0, (tx.token, tx.sender, tx.payee, tx.amount))
        for ordinal, move in enumerate(tx.moves, 1):
            token, _, to, amount = move
            if token:
                self._moved(tx, ordinal, move)
            elif sender == to:
                change = ChangedByCall(address=sender, token=None, change=amount)
                self.changed.append(change)

    def _moved(self, tx: Tx, ordinal: int, move: Move) -> None:
        token, holder, to, amount = TokenId(move[0]), *move[1:]
        if not amount or (token and self.watch.find_token(token) is None):
            return
        locator, own = f"log-{ordinal}" if token else "native", self.watch.find(tx.sender)
        payee, ours = self.watch.find(to), self.watch.find(holder)
        if payee:
            self.transfers.append(TransferSeen(
                key=deposit_key(self.chain, tx.txid, locator), txid=tx.txid, locator=locator,
                sender=Address(holder), address=payee, token=token or None, amount=amount,
                own=ours is not None,
            ))  # fmt: skip
        if ours and token:
            self.left.append(TokensLeft(
                txid=tx.txid, locator=locator, address=ours, token=token, amount=amount,
                own=own is not None,
            ))  # fmt: skip


def _read(raw: bytes) -> Tx:
    fields = json.loads(raw)
    fields.pop("signed", None)
    return Tx(**fields)


def sign(raw: bytes) -> Tx:
    """Return the transaction that unsigned bytes become."""
    return _read(raw)
