"""Find in a block and its receipts what concerns us. Pure: it asks no node.

A transfer is known by the number of its log inside its receipt. A node's `logIndex` and
`transactionIndex` count through the block, so they change when it is mined again in another one.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from wallet.block_scan import BlockScan, ChangedByCall, Ignored, Spend, TokensLeft, TransferSeen
from wallet.effects import effects_of
from wallet.errors import NodeLagging
from wallet.ethereum.tokens import TransferLog, read_transfer, read_transfer_call
from wallet.keys.ethereum import checksummed
from wallet.types import (
    Address,
    BlockHash,
    BlockRef,
    ChainId,
    Credit,
    Slot,
    TokenId,
    TxId,
    WatchSet,
    deposit_key,
)

Json = Mapping[str, Any]
NATIVE = "native"
Holding = tuple[TokenId, Address]
"""A token and the address that holds it."""
CalledHolding = tuple[TokenId | None, Address]
"""The same; None: the chain's own coin."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a block says, before tokens that may say too much are measured.

    measured: what must be measured. sent: what of it left in the same block, by its logs. called:
    the callers of contracts with what those may have changed without a trace: coins, and the token
    that was called itself.
    """

    scan: BlockScan
    measured: frozenset[Holding] = frozenset()
    sent: Mapping[Holding, int] = field(default_factory=dict)
    called: frozenset[CalledHolding] = frozenset()


def ref_of(block: Json | None) -> BlockRef:
    """Return the reference of a block or header.

    Raises: NodeLagging: there is none, which nodes say even of their newest one while they start.
    """
    if block is None:
        raise NodeLagging("the node does not have the block that was asked for")
    return BlockRef(
        height=int(block["number"], 16),
        hash=BlockHash(block["hash"]),
        parent=BlockHash(block["parentHash"]),
    )


def find(chain: ChainId, block: Json, receipts: Sequence[Json], watch: WatchSet) -> Found:
    """Return what concerns us in a block of full transactions.

    Raises: NodeLagging: these are not the receipts of this block.
    """
    _check(block, receipts)
    reader = _Reader(chain, watch)
    for transaction, receipt in zip(block["transactions"], receipts, strict=True):
        reader.read(transaction, receipt)
    return reader.found(ref_of(block))


def measure(found: Found, before: Mapping[Holding, int], after: Mapping[Holding, int]) -> BlockScan:
    """Return the scan with each measured transfer cut down to what really arrived.

    before, after: the balances as of the parent and as of the block. What nothing is left of
    becomes ignored.
    """
    left = {
        holding: max(0, after[holding] - before[holding] + found.sent.get(holding, 0))
        for holding in found.measured
    }
    kept, ignored = [], list(found.scan.ignored)
    for seen in found.scan.transfers:
        holding = (seen.token, seen.address) if seen.token is not None else None
        if holding is None or holding not in left:
            kept.append(seen)
            continue
        amount = min(seen.amount, left[holding])
        left[holding] -= amount
        if amount:
            kept.append(replace(seen, amount=amount))
        else:
            ignored.append(_ignored(seen, holding[0]))
    return replace(found.scan, transfers=tuple(kept), ignored=tuple(ignored))


def measure_calls(
    scan: BlockScan, before: Mapping[CalledHolding, int], after: Mapping[CalledHolding, int]
) -> tuple[ChangedByCall, ...]:
    """Return what calls changed besides all that the scan shows.

    before, after: what callers held as of the parent and as of the block. Coins that are missing
    are not made good here: no call takes them, so they are a difference that people look at.
    """
    left = {holding: after[holding] - before[holding] for holding in before}
    for address, token, change in effects_of(scan):
        holding = (TokenId(token) if token else None, address)
        if holding in left:
            left[holding] -= change
    return tuple(
        ChangedByCall(address=address, token=token, change=change)
        for (token, address), change in left.items()
        if change > 0 or (change and token is not None)
    )


class _Reader:
    """Reads the transactions of one block, in their order."""

    def __init__(self, chain: ChainId, watch: WatchSet) -> None:
        self._chain, self._watch = chain, watch
        self._transfers: list[TransferSeen] = []
        self._spends: list[Spend] = []
        self._ignored: list[Ignored] = []
        self._measured: set[Holding] = set()
        self._sent: Counter[Holding] = Counter()
        self._left: list[TokensLeft] = []
        self._called: set[CalledHolding] = set()

    def read(self, transaction: Json, receipt: Json) -> None:
        """Take in one transaction. What failed moved nothing, whatever was moved inside it."""
        ok = receipt["status"] == "0x1"
        sender = self._watch.find(transaction["from"])
        if sender is not None:
            self._read_spend(sender, transaction, receipt, ok=ok)
        if not ok:
            return
        self._read_native(transaction)
        for ordinal, transfer in _transfers(receipt):
            self._read_token(TxId(transaction["hash"]), ordinal, transfer, own=sender is not None)

    def found(self, ref: BlockRef) -> Found:
        """Return all that was read."""
        scan = BlockScan(
            ref=ref,
            transfers=tuple(self._transfers),
            spends=tuple(self._spends),
            left=tuple(self._left),
            ignored=tuple(self._ignored),
        )
        return Found(
            scan=scan,
            measured=frozenset(self._measured),
            sent=self._sent,
            called=frozenset(self._called),
        )

    def _read_spend(self, sender: Address, transaction: Json, receipt: Json, *, ok: bool) -> None:
        spend = _spend(self._chain, sender, transaction, receipt, ok=ok)
        self._spends.append(spend)
        if ok and _calls(transaction):
            token = self._watch.find_token(transaction["to"] or "")
            self._called |= {(None, sender), (token.id if token else None, sender)}

    def _read_native(self, transaction: Json) -> None:
        """Take coins that arrived with the transaction, whether it also carries data or not."""
        address = self._watch.find(transaction["to"] or "")
        amount = int(transaction["value"], 16)
        if address is not None and amount:
            txid, sender = TxId(transaction["hash"]), transaction["from"]
            seen = self._seen(txid, NATIVE, sender=sender, address=address, amount=amount)
            self._transfers.append(seen)

    def _read_token(self, txid: TxId, ordinal: int, transfer: TransferLog, *, own: bool) -> None:
        token, locator = self._watch.find_token(transfer.contract), f"log-{ordinal}"
        if not transfer.amount:
            return
        holder = self._watch.find(transfer.sender)
        if token is not None and holder is not None:
            self._sent[(token.id, holder)] += transfer.amount
            self._left.append(
                TokensLeft(
                    txid=txid,
                    locator=locator,
                    address=holder,
                    token=token.id,
                    amount=transfer.amount,
                    own=own,
                )
            )
        address = self._watch.find(transfer.receiver)
        if address is None:
            return
        contract = token.id if token is not None else TokenId(_spelled(transfer.contract))
        seen = self._seen(
            txid,
            locator,
            sender=transfer.sender,
            address=address,
            amount=transfer.amount,
            token=contract,
        )
        if token is None:
            self._ignored.append(_ignored(seen, contract))
            return
        self._transfers.append(seen)
        if token.credit is Credit.MEASURED:
            self._measured.add((token.id, address))

    def _seen(
        self,
        txid: TxId,
        locator: str,
        *,
        sender: str,
        address: Address,
        amount: int,
        token: TokenId | None = None,
    ) -> TransferSeen:
        ours = self._watch.find(sender)
        return TransferSeen(
            key=deposit_key(self._chain, txid, locator),
            txid=txid,
            locator=locator,
            sender=ours or Address(_spelled(sender)),
            address=address,
            token=token,
            amount=amount,
            own=ours is not None,
        )


def _check(block: Json, receipts: Sequence[Json]) -> None:
    hashes = [transaction["hash"] for transaction in block["transactions"]]
    of_this = [r["transactionHash"] for r in receipts if r["blockHash"] == block["hash"]]
    if hashes != of_this or len(receipts) != len(hashes):
        raise NodeLagging(f"the node has not all receipts of block {block['hash']}")


def _calls(transaction: Json) -> bool:
    """Return whether a transaction runs code that may send coins back: no plain payment does."""
    data = bytes.fromhex(transaction["input"][2:])
    return bool(data) and read_transfer_call(data) is None


def _transfers(receipt: Json) -> Iterator[tuple[int, TransferLog]]:
    for ordinal, log in enumerate(receipt["logs"]):
        transfer = read_transfer(log)
        if transfer is not None:
            yield ordinal, transfer


def _spend(chain: ChainId, sender: Address, transaction: Json, receipt: Json, *, ok: bool) -> Spend:
    return Spend(
        txid=TxId(transaction["hash"]),
        slot=Slot.numbered(chain, sender, int(transaction["nonce"], 16)),
        amount=int(transaction["value"], 16) if ok else 0,
        fee=fee_paid(receipt),
        ok=ok,
    )


def fee_paid(receipt: Json) -> int:
    """Return what a transaction cost; nodes of chains with a second fee add it as `l1Fee`."""
    own = int(receipt["gasUsed"], 16) * int(receipt["effectiveGasPrice"], 16)
    return own + int(receipt.get("l1Fee") or "0x0", 16)


def _ignored(seen: TransferSeen, contract: TokenId) -> Ignored:
    return Ignored(
        txid=seen.txid,
        locator=seen.locator,
        contract=contract,
        address=seen.address,
        amount=seen.amount,
    )


def _spelled(address: str) -> str:
    return checksummed(bytes.fromhex(address[2:]))
