"""Turn an intent into an unsigned transaction."""

from collections.abc import Sequence

from wallet.errors import BadRequest, FeeAboveCap, InsufficientHotFunds, WillFail
from wallet.ethereum import fees, transaction
from wallet.ethereum.reverts import why
from wallet.ethereum.rpc import Rpc, RpcError, hint
from wallet.ethereum.tokens import says_no, transfer_call
from wallet.ethereum.transaction import Fields
from wallet.types import Attempt, BroadcastHint, FeeQuote, Intent, IntentKind, Slot, Unsigned

PLAIN_GAS = 21_000
# What a call needs may have changed a little by the time it is in a block.
GAS_ROOM_PER_CENT = 20


def build(
    rpc: Rpc, intent: Intent, slot: Slot, fee: FeeQuote, previous: Sequence[Attempt]
) -> Unsigned:
    """Return the transaction; see `Chain.build`."""
    if intent.chain != slot.chain or any(attempt.slot != slot for attempt in previous):
        raise BadRequest(f"intent {intent.id} and its attempts do not belong in slot {slot}")
    to, value, data = _effect(intent, slot)
    earlier = [transaction.read(attempt.raw) for attempt in previous]
    offer = fees.outbid(fee, [transaction.parse(attempt.raw) for attempt in previous])
    same = [old.gas for old in earlier if (old.to, old.value, old.data) == (to, value, data)]
    gas = max(same) if same else _gas(rpc, intent, slot, (to, value, data))
    fields = Fields(
        chain_id=int(slot.chain.partition(":")[2]),
        nonce=slot.number,
        tip=min(offer.tip, offer.price),
        price=offer.price,
        gas=gas,
        to=to,
        value=value,
        data=data,
    )
    fee_max = gas * offer.price
    if fee_max > fee.policy.total_max:
        raise FeeAboveCap(f"it could cost {fee_max} wei")
    return Unsigned(intent_id=intent.id, slot=slot, raw=fields.encode(), fee_max=fee_max)


def _effect(intent: Intent, slot: Slot) -> tuple[bytes, int, bytes]:
    """Return receiver, value and data."""
    if intent.kind is IntentKind.RELEASE:
        return _bytes(slot.owner), 0, b""
    if intent.kind is IntentKind.DEPLOY:
        return b"", intent.amount, intent.data
    assert intent.to is not None, "a payment and a call have a receiver"
    if intent.token is not None:
        return _bytes(intent.token), 0, transfer_call(intent.to, intent.amount)
    return _bytes(intent.to), intent.amount, intent.data


def _gas(rpc: Rpc, intent: Intent, slot: Slot, effect: tuple[bytes, int, bytes]) -> int:
    """Return how much gas to allow; first try the transaction out.

    Raises: WillFail, InsufficientHotFunds.
    """
    if intent.kind is IntentKind.RELEASE:
        return PLAIN_GAS
    to, value, data = effect
    call = {"from": slot.owner, "value": hex(value), "data": "0x" + data.hex()}
    if to:
        call["to"] = "0x" + to.hex()
    try:
        if intent.token is not None and says_no(rpc.call("eth_call", call, "latest")):
            raise WillFail("the token refuses the transfer")
        needed = int(rpc.call("eth_estimateGas", call), 16)
    except RpcError as error:
        if hint(error) is BroadcastHint.NO_FUNDS:
            raise InsufficientHotFunds(str(error)) from error
        raise WillFail(why(error)) from error
    return needed if needed == PLAIN_GAS else needed * (100 + GAS_ROOM_PER_CENT) // 100


def _bytes(address: str) -> bytes:
    return bytes.fromhex(address[2:])
