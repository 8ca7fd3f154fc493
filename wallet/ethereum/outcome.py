"""Find out what became of the attempts at one slot, from the chain alone."""

from collections.abc import Mapping, Sequence
from typing import Any

from wallet.errors import NodeLagging
from wallet.ethereum import transaction
from wallet.ethereum.reverts import replayed
from wallet.ethereum.rpc import Rpc
from wallet.ethereum.scan import fee_paid, ref_of
from wallet.ethereum.tokens import read_transfer
from wallet.keys.ethereum import checksummed
from wallet.types import (
    Address,
    Attempt,
    Decoded,
    InPool,
    Mined,
    NotSeen,
    Outcome,
    SlotTaken,
)

Json = Mapping[str, Any]


def outcome(rpc: Rpc, attempts: Sequence[Attempt]) -> Outcome:
    """Return what became of them; see `Chain.outcome`.

    The nonce is asked for first. Asked for last, it could count a transaction that was mined after
    its receipt was looked for, and a payment that was made would look impossible.
    """
    slot = attempts[0].slot
    tip = ref_of(rpc.call("eth_getBlockByNumber", "latest", False))
    used = int(rpc.call("eth_getTransactionCount", slot.owner, {"blockHash": tip.hash}), 16)
    receipts = rpc.batch([("eth_getTransactionReceipt", [a.txid]) for a in attempts])
    for attempt, receipt in zip(attempts, receipts, strict=True):
        if receipt is not None and receipt.get("blockHash"):
            return _mined(rpc, attempt, receipt)
    if used > slot.number:
        return SlotTaken(at=tip)
    waiting = rpc.batch([("eth_getTransactionByHash", [a.txid]) for a in attempts])
    found = [a.txid for a, known in zip(attempts, waiting, strict=True) if known is not None]
    return InPool(txid=found[-1]) if found else NotSeen()


def _mined(rpc: Rpc, attempt: Attempt, receipt: Json) -> Mined:
    meant = transaction.parse(attempt.raw)
    succeeded = receipt["status"] == "0x1"
    # Nodes name the address of a deployment that failed, too.
    contract = receipt.get("contractAddress") if succeeded else None
    moved = _moved(receipt, attempt.slot.owner, meant) if succeeded else ()
    block = _block(rpc, receipt["blockHash"])
    ok = succeeded and list(moved) == [meant.amount]
    reason = "" if ok else "it succeeded, but its log shows another transfer or none"
    if not succeeded:
        reason = replayed(rpc, attempt.slot.owner, transaction.read(attempt.raw), block)
    return Mined(
        txid=attempt.txid,
        block=ref_of(block),
        ok=ok,
        moved=sum(moved),
        fee=fee_paid(receipt),
        contract=Address(checksummed(bytes.fromhex(contract[2:]))) if contract else None,
        reason=reason,
    )


def _moved(receipt: Json, owner: Address, meant: Decoded) -> Sequence[int]:
    """Return what reached the payee: one entry for each transfer, so one that is meant is one.

    A token's success proves nothing: it may return false and move nothing, or move something else.
    """
    if meant.token is None:
        return (meant.amount,)
    transfers = filter(None, map(read_transfer, receipt["logs"]))
    parties = (meant.token.lower(), owner.lower(), (meant.to or "").lower())
    return [t.amount for t in transfers if (t.contract, t.sender, t.receiver) == parties]


def _block(rpc: Rpc, block_hash: str) -> Json:
    block: Json | None = rpc.call("eth_getBlockByHash", block_hash, False)
    if block is None:
        raise NodeLagging(f"the node does not have block {block_hash} of a receipt")
    return block
