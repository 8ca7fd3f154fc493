"""Whether one transaction may be signed: pure, in a fixed order, the first denial wins.

What it does (is it what the intent says?), who may do it (rule, keys, destination), what it costs,
how much it moves, who approved it, and what was signed before for the same payment or slot.
"""

from collections.abc import Callable
from dataclasses import dataclass

from wallet.approvals import Approval, Officers, content_hash
from wallet.keys.errors import KeysError
from wallet.keys.ethereum import checksummed, parse_address
from wallet.signer.denials import Denial, Denied
from wallet.signer.history import History, name_of
from wallet.signer.policy import ANY, OWN, ChainPolicy, Policy, Rule
from wallet.signer.transaction import Transaction, transfer_data
from wallet.types import Address, ChainId, Intent, IntentKind, Slot
from wallet.vault.document import Role

UINT256 = 1 << 256
ID_CHARS_MAX = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRef:
    """One of our addresses: the role's account and the number below it."""

    role: Role
    index: int

    def __str__(self) -> str:
        return f"{self.role}/{self.index}"


OwnAddress = Callable[[KeyRef], str]
"""Returns an address of ours; raises KeysError where there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is asked for.

    slot: as the asker has it; it must be that of the transaction.
    key: whose signature. destination: which of our addresses `intent.to` is, where the rule asks.
    """

    intent: Intent
    transaction: Transaction
    slot: Slot
    key: KeyRef
    destination: KeyRef | None = None
    approvals: tuple[Approval, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowed:
    """It may be signed. The rule that says so, and whose approvals it needed."""

    rule: Rule
    slot: str
    approved_by: tuple[str, ...]


def slot_of(request: Request, own: OwnAddress) -> str:
    """Return the slot of the transaction, from its nonce and the key that shall sign it.

    Raises: Denied: it is not on the chain, from the key or at the place that the request names.
    """
    transaction, slot = request.transaction, request.slot
    if request.intent.chain != slot.chain or slot.chain != f"eip155:{transaction.chain_id}":
        raise Denied(Denial.WRONG_CHAIN, "intent, slot and transaction are not of one chain")
    owner = _own(request.key, own, Denial.WRONG_KEY)
    if slot.owner.lower() != owner.lower():
        raise Denied(Denial.WRONG_KEY, f"{request.key} is {owner}, not {slot.owner}")
    if slot.anchor != str(transaction.nonce):
        raise Denied(Denial.WRONG_NONCE, f"the nonce is {transaction.nonce}, not {slot.anchor}")
    return str(Slot.numbered(ChainId(slot.chain), Address(owner), transaction.nonce))


def check(
    request: Request, policy: Policy, history: History, own: OwnAddress, now_ms: int
) -> Allowed:
    """Return why it is allowed. Raises: Denied."""
    intent = request.intent
    slot = slot_of(request, own)
    chain = policy.chains.get(intent.chain)
    if chain is None:
        raise Denied(Denial.UNKNOWN_CHAIN, f"the policy does not name {intent.chain}")
    check_effect(intent, request.transaction, _own(request.key, own, Denial.WRONG_KEY))
    rule = policy.rule(intent.chain, intent.kind, intent.token)
    if rule is None:
        raise no_rule(intent.kind, intent.token)
    _check_parties(request, rule, own)
    _check_fee(request, chain, history, slot, now_ms)
    _check_anchor(request, history, slot)
    _check_amount(intent, rule, history, now_ms)
    approved_by = _approvers(request, rule, policy.officers, history, now_ms)
    return Allowed(rule=rule, slot=slot, approved_by=approved_by)


def no_rule(kind: IntentKind, token: str | None) -> Denied:
    """Return the denial of what the policy does not name."""
    return Denied(
        Denial.NO_RULE,
        f"no rule of the signer's policy allows a {kind} of {token or 'coins'}:"
        " add one to its file and start the signer again",
    )


def check_effect(intent: Intent, transaction: Transaction, owner: str) -> None:
    """Compare what a transaction does with what an intent says, byte by byte.

    owner: whose transaction it is. Raises: Denied: they differ, or the intent makes no sense.
    """
    if not 0 <= intent.amount < UINT256 or not 0 < len(intent.id) <= ID_CHARS_MAX:
        raise Denied(Denial.BAD_INTENT, "the amount or the id is out of range")
    if intent.tag is not None:
        raise Denied(Denial.BAD_INTENT, "this chain has no tags")
    wanted = _effect(intent, owner)
    found = (transaction.to, transaction.value, transaction.data)
    names = ("payee or contract", "value", "data")
    wrong = [n for n, w, f in zip(names, wanted, found, strict=True) if w != f]
    if wrong:
        raise Denied(
            Denial.WRONG_EFFECT, f"not what the intent says: {', '.join(wrong)} of the transaction"
        )


def _effect(intent: Intent, owner: str) -> tuple[bytes | None, int, bytes]:
    to = None if intent.to is None else _address(intent.to)
    if intent.is_payment and to in (bytes(20), parse_address(owner)):
        raise Denied(Denial.BAD_INTENT, "it pays nobody, or itself")
    match intent.kind:
        case IntentKind.RELEASE:
            return parse_address(owner), 0, b""
        case IntentKind.DEPLOY:
            return None, intent.amount, intent.data
        case IntentKind.CALL:
            return to, intent.amount, intent.data
        case _:
            assert to is not None, "a payment has a payee"
            return _payment(intent, to)


def _payment(intent: Intent, to: bytes) -> tuple[bytes, int, bytes]:
    if intent.token is None:
        return to, intent.amount, b""
    token = _address(intent.token)
    if token == to:
        raise Denied(Denial.BAD_INTENT, "it pays a token to the token's own contract")
    return token, 0, transfer_data(to, intent.amount)


def _check_parties(request: Request, rule: Rule, own: OwnAddress) -> None:
    intent = request.intent
    if request.key.role not in rule.roles:
        raise Denied(Denial.WRONG_ROLE, f"{request.key.role} may not sign a {intent.kind}")
    if rule.to and not _is_destination(request, rule, own):
        raise Denied(Denial.DESTINATION, f"{intent.to} is not allowed for a {intent.kind}")
    if intent.kind is IntentKind.CALL and "0x" + intent.data[:4].hex() not in rule.selectors:
        raise Denied(Denial.SELECTOR, f"method 0x{intent.data[:4].hex()} is not allowed")


def _is_destination(request: Request, rule: Rule, own: OwnAddress) -> bool:
    to = _address(request.intent.to or "")
    named = [text for text in rule.to if text != ANY and not text.startswith(OWN)]
    if ANY in rule.to or to in map(parse_address, named):
        return True
    ours = request.destination
    if ours is None or f"{OWN}{ours.role}" not in rule.to:
        return False
    return _own(ours, own, Denial.DESTINATION) == checksummed(to)


def _check_fee(
    request: Request, chain: ChainPolicy, history: History, slot: str, now_ms: int
) -> None:
    intent, transaction = request.intent, request.transaction
    if transaction.gas > chain.gas_max:
        raise Denied(Denial.GAS, f"{transaction.gas} units of gas are more than {chain.gas_max}")
    if transaction.price > int(chain.gas_price_max):
        raise Denied(Denial.FEE_PRICE, f"gas at {transaction.price} is above the cap")
    if transaction.fee_max > int(chain.fee_max):
        raise Denied(Denial.FEE, f"a fee of {transaction.fee_max} is above the cap")
    is_coin = intent.kind is IntentKind.WITHDRAWAL and intent.token is None
    if is_coin and transaction.fee_max * 10_000 > intent.amount * chain.fee_share_bps_max:
        raise Denied(Denial.FEE_SHARE, "the fee is too large a part of the amount")
    before = history.slots[slot].fee_max if slot in history.slots else 0
    more = max(transaction.fee_max - before, 0)
    if history.fees_of_day(chain.id, now_ms) + more > int(chain.fees_per_day):
        raise Denied(Denial.FEES_OF_DAY, "the fees of 24 hours would be above the cap")


def _check_anchor(request: Request, history: History, slot: str) -> None:
    """One payment has one slot, and one slot one payment, whatever else happens.

    So all that is ever signed for a payment excludes each other on chain. A payment whose slot was
    released is never paid from another: what asked for it must ask again, under another id.
    """
    intent, transaction = request.intent, request.transaction
    known = history.contents.get(name_of(intent.kind, intent.id))
    if known is not None:
        content, first_slot = known
        if content != content_hash(intent):
            raise Denied(Denial.OTHER_INTENT, f"{intent.id} was something else before")
        if first_slot != slot:
            raise Denied(Denial.SECOND_SLOT, f"{intent.id} has the slot {first_slot}")
    used = history.slots.get(slot)
    if used is None:
        return
    if intent.kind is IntentKind.RELEASE:
        if used.release not in ("", intent.id):
            raise Denied(Denial.SLOT_TAKEN, f"{slot} is released by {used.release}")
    elif used.release:
        raise Denied(Denial.SLOT_RELEASED, f"{slot} is released by {used.release}")
    elif used.payment != intent.id:
        raise Denied(Denial.SLOT_TAKEN, f"{slot} is used for {used.payment}")
    if transaction.tip <= used.tip or transaction.price <= used.price:
        raise Denied(Denial.FEE_NOT_HIGHER, "a replacement offers a higher price and tip")


def _check_amount(intent: Intent, rule: Rule, history: History, now_ms: int) -> None:
    if intent.amount > int(rule.per_transaction):
        raise Denied(Denial.AMOUNT, f"{intent.amount} is more than may go at once")
    if name_of(intent.kind, intent.id) in history.contents:
        return  # Its slot is the same, so it is counted already.
    if history.amount_of_day(rule.name, now_ms) + intent.amount > int(rule.per_day):
        raise Denied(Denial.AMOUNT_OF_DAY, f"{intent.amount} is more than is left of 24 hours")


def _approvers(
    request: Request, rule: Rule, officers: Officers, history: History, now_ms: int
) -> tuple[str, ...]:
    """Return the officers whose valid approvals were given; there are enough of them.

    Their age counts when a payment is signed first: what replaces an attempt later pays the same.
    """
    intent = request.intent
    was_approved = name_of(intent.kind, intent.id) in history.contents
    approved: set[str] = set()
    expired: set[str] = set()
    for approval in request.approvals:
        name = approval.officer
        if not officers.is_genuine(approval, intent):
            raise Denied(Denial.BAD_APPROVAL, f"the approval of {name!r} is not for this payment")
        if officers.is_from_the_future(approval, now_ms):
            raise Denied(Denial.BAD_APPROVAL, f"the approval of {name!r} is dated in the future")
        too_old = officers.has_expired(approval, now_ms) and not was_approved
        (expired if too_old else approved).add(name)
    needed = rule.approvals_needed(intent.amount)
    if len(approved) < needed:
        code = Denial.APPROVAL_EXPIRED if expired - approved else Denial.APPROVALS
        old = f"; of {', '.join(sorted(expired))} it is too old" if expired else ""
        raise Denied(code, f"{len(approved)} of {needed} officers have approved it{old}")
    return tuple(sorted(approved))


def _own(key: KeyRef, own: OwnAddress, denial: Denial) -> str:
    try:
        return own(key)
    except KeysError as error:
        raise Denied(denial, str(error)) from None


def _address(text: str) -> bytes:
    try:
        return parse_address(text)
    except KeysError as error:
        raise Denied(Denial.BAD_INTENT, str(error)) from None
