"""Makes payments: slot, signature, record, broadcast, confirmations; replaces what is stuck.

A signed transaction is recorded before it is broadcast, so that broadcasting can be repeated after
any crash. What a node answers is a hint; what became of a payment is asked of the chain.
"""

import logging
from collections import Counter

from wallet.book import Book
from wallet.chain import Chain
from wallet.errors import (
    ApprovalRequired,
    BadRequest,
    FeeAboveCap,
    FeeCapReached,
    InsufficientHotFunds,
    KeyUsedElsewhere,
    LimitExceeded,
    NonceConflict,
    PolicyDenied,
    TokenDisabled,
    WalletError,
    WillFail,
)
from wallet.policy import Policy
from wallet.ports import Signed, Signer
from wallet.records.owner import Owner
from wallet.records.payment import Payment
from wallet.reviews import Reviews
from wallet.types import (
    Address,
    BroadcastHint,
    InPool,
    Intent,
    IntentId,
    IntentKind,
    Mined,
    Slot,
    SlotTaken,
    TokenId,
    Unsigned,
)

DENIALS = (PolicyDenied, ApprovalRequired, LimitExceeded, NonceConflict, FeeAboveCap)

_log = logging.getLogger(__name__)


class Payments:
    """Everything that our addresses of one chain send."""

    def __init__(
        self, *, chain: Chain, book: Book, policy: Policy, signer: Signer, reviews: Reviews
    ) -> None:
        self._chain = chain
        self._book = book
        self._policy = policy
        self._signer = signer
        self._reviews = reviews
        self._waiting: Counter[tuple[Address, TokenId | None]] = Counter()
        self._in_flight: Counter[Address] = Counter()
        self._disconnected = -1
        self._behind: set[Address] = set()

    def advance(self) -> bool:
        """Take each payment as far as it goes now; return whether anything was recorded.

        Raises: KeyUsedElsewhere: someone else signs with our key, and the chain is paused.
        NodeUnavailable, SignerUnavailable …: try again later.
        """
        before = self._book.position
        self._waiting.clear()
        self._in_flight.clear()
        for address in self._owners_to_check():
            self._keep_slots_used(self._book.get(Owner, self._book.owners[address]))
        for payment_id in list(self._book.open_payments):
            self._advance(self._book.get(Payment, payment_id))
        return self._book.position > before

    def bump(self, intent_id: IntentId, asked_by: str) -> None:
        """Have the newest attempt replaced in its slot at a higher fee, as soon as can be.

        Raises: BadRequest: there is no such payment; NotSigned, AlreadyEnded; FeeCapReached: the
        policy pays no more; RecordChanged, NodeUnavailable.
        """
        known = self._book.payment(intent_id)
        if known is None:
            raise BadRequest(f"there is no payment {intent_id}")
        payment = self._book.copy(known)
        payment.bump(asked_by)
        intent = _release_of(payment.intent) if payment.releasing else payment.intent
        try:
            self._build(intent, payment.slot, payment)
        except FeeAboveCap as error:
            raise FeeCapReached(str(error)) from error
        self._book.save(payment)

    def _advance(self, payment: Payment) -> None:
        if payment.intent.kind is IntentKind.REFILL:
            return  # People sign it off line: see `wallet.refills`.
        if payment.status == "signed":
            self._look(payment)
        elif payment.status == "slotted":
            self._count_waiting(payment)
            if not self._book.chain_record.paused and not self._was_just_denied(payment):
                self._sign(payment)
        elif not self._book.chain_record.paused:
            self._prepare(payment)

    def _owners_to_check(self) -> list[Address]:
        """Return senders whose slots may have become free or been used: all after a reorganisation.

        Else those with something under way or to be made again, and those that are shared.
        """
        book = self._book
        if book.disconnected != self._disconnected:
            self._disconnected = book.disconnected
            return list(book.owners)
        busy = {book.get(Payment, each).owner for each in book.open_payments}
        shared = {address for address in book.owners if address not in book.account_of}
        return [each for each in book.owners if each in busy | shared | self._behind]

    def _keep_slots_used(self, owner: Owner) -> None:
        """Use up again what a deep reorganisation un-mined after its end: later slots wait for it.

        A payment that had been made is broadcast again. One that had failed was paid back, so its
        slot is released: the second time it might succeed.
        """
        used = self._chain.slots_used(owner.address)
        if used > owner.next_slot:
            self._alarm(f"slot {owner.next_slot} of {owner.address} was used by someone else")
        self._behind.discard(owner.address)
        for number in range(used, owner.next_slot):
            payment_id = self._book.payment_by_slot[owner.address, str(number)]
            payment = self._book.get(Payment, payment_id)
            if payment.final is not None:
                _log.warning("%s is not on the chain any more", payment.intent.id)
                self._behind.add(owner.address)
                self._make_again(payment, payment.final)

    def _make_again(self, payment: Payment, final: Payment.Ended) -> None:
        if final.paid:
            for attempt in payment.attempts:
                if attempt.txid == final.txid:
                    self._chain.broadcast(attempt.raw)
        elif payment.signed[-1].release:
            self._broadcast(payment)
        elif not self._was_just_denied(payment):
            self._sign(payment, release=True)

    def _alarm(self, reason: str) -> None:
        record = self._book.copy(self._book.chain_record)
        if not record.paused:
            record.pause(reason)
            self._book.save(record)
        raise KeyUsedElsewhere(reason)

    def _count_waiting(self, payment: Payment) -> None:
        self._waiting[payment.owner, payment.intent.token] += payment.intent.amount
        self._in_flight[payment.owner] += 1

    def _look(self, payment: Payment) -> None:
        """Ask the chain what became of a signed payment."""
        outcome = self._chain.outcome(payment.attempts)
        if isinstance(outcome, Mined):
            self._in_flight[payment.owner] += 1
            self._end(payment, outcome)
            return
        self._count_waiting(payment)
        if isinstance(outcome, SlotTaken):
            depth = self._chain.confirmations(outcome.at)
            if depth is not None and depth >= self._policy.payment_confirmations:
                self._alarm(f"the slot of {payment.intent.id} was used by someone else")
            return
        waits = isinstance(outcome, InPool)
        if waits or self._broadcast(payment) is BroadcastHint.UNDERPRICED:
            self._replace_if_stuck(payment)

    def _broadcast(self, payment: Payment) -> BroadcastHint:
        return self._chain.broadcast(payment.attempts[-1].raw)

    def _end(self, payment: Payment, mined: Mined) -> None:
        depth = self._chain.confirmations(mined.block)
        if depth is None or depth < self._policy.payment_confirmations:
            return
        ended = self._book.copy(payment)
        ended.end(mined)
        self._book.save(ended)

    def _replace_if_stuck(self, payment: Payment) -> None:
        record = self._book.chain_record
        waited = record.tip.height - payment.signed[-1].height
        if record.paused or (self._was_just_denied(payment) and not payment.bumping):
            return
        released = payment.releasing and not payment.signed[-1].release
        if payment.bumping or released or waited >= self._policy.replace_after:
            self._sign(payment)

    def _was_just_denied(self, payment: Payment) -> bool:
        """Whether it is too early to ask the signer again: each denial is in its journal."""
        before = payment.denied_height
        if before is None:
            return False
        return self._book.chain_record.tip.height - before < self._policy.replace_after

    def _prepare(self, payment: Payment) -> None:
        """Give a payment its slot, once it is sure that it can be made."""
        owner = self._owner(payment.owner)
        if self._in_flight[payment.owner] >= self._policy.in_flight_max:
            return
        slot = Slot.numbered(owner.chain, owner.address, owner.next_slot)
        try:
            self._check_enabled(payment.intent)
            if not self._reviews.is_done(payment.intent):
                return
            unsigned = self._build(payment.intent, slot, payment)
        except (FeeAboveCap, InsufficientHotFunds) as error:
            _log.info("%s waits: %s", payment.intent.id, error)
            return
        except (PolicyDenied, WillFail, BadRequest) as error:
            self._give_up(payment, error)
            return
        if not self._is_covered(payment, unsigned):
            return
        slotted = self._book.copy(payment)
        slotted.give_slot(owner.give_slot(payment.intent.id).anchor)
        slotted.build(unsigned, release=False)
        self._book.save(owner, slotted)
        self._count_waiting(slotted)
        self._sign(self._book.get(Payment, payment.id))

    def _check_enabled(self, intent: Intent) -> None:
        tokens = self._book.token_list
        token = tokens.find(intent.token) if tokens and intent.token else None
        if token is not None and token.disabled:
            raise TokenDisabled(f"{token.asset} is disabled: {token.disabled}")

    def _give_up(self, payment: Payment, error: WalletError) -> None:
        given_up = self._book.copy(payment)
        given_up.give_up(error.reason)
        self._book.save(given_up)

    def _owner(self, address: Address) -> Owner:
        """Return the sender's record to decide on; it begins with what the chain says once."""
        known = self._book.owner(address)
        if known is not None:
            return self._book.copy(known)
        return Owner.open(self._chain.id, address, self._chain.slots_used(address))

    def _is_covered(self, payment: Payment, unsigned: Unsigned) -> bool:
        """Whether the sender has enough, besides what already waits to leave."""
        intent = payment.intent
        coin = self._chain.balances([payment.owner], None)[payment.owner]
        needed = unsigned.fee_max + (intent.amount if intent.token is None else 0)
        if coin - self._waiting[payment.owner, None] < needed:
            return False
        if intent.token is None:
            return True
        held = self._chain.balances([payment.owner], intent.token)[payment.owner]
        return held - self._waiting[payment.owner, intent.token] >= intent.amount

    def _build(self, intent: Intent, slot: Slot, payment: Payment) -> Unsigned:
        fee = self._chain.estimate_fee(self._policy.fee)
        try:
            return self._chain.build(intent, slot, fee, payment.outbid)
        except FeeAboveCap:
            if not payment.abandoned:
                raise
            # Most likely the signer never saw what was abandoned; if it did, it says so.
            return self._chain.build(intent, slot, fee, payment.attempts)

    def _sign(self, payment: Payment, *, release: bool = False) -> None:
        """Build, record, have signed, record, broadcast: in this order, whatever happens between.

        What was built and not signed yet is asked for again as it is.
        """
        built = payment.built or self._built(payment, release=release or bool(payment.releasing))
        if built is None:
            return
        intent = _release_of(payment.intent) if built.release else payment.intent
        unsigned = Unsigned(
            intent_id=intent.id,
            slot=payment.slot,
            raw=bytes.fromhex(built.unsigned),
            fee_max=built.fee_max,
        )
        try:
            index = self._book.index_of.get(payment.owner)
            approvals = self._reviews.for_signer(intent)
            signed = self._signer.sign(intent, unsigned, approvals, index)
        except DENIALS as error:
            self._denied(payment, error)
            return
        self._check_signed(intent, payment.slot, signed)
        attempt = self._book.copy(self._book.get(Payment, payment.id))
        height = self._book.chain_record.tip.height
        attempt.sign(signed.txid, signed.raw, height, release=built.release)
        self._book.save(attempt)
        self._chain.broadcast(signed.raw)

    def _built(self, payment: Payment, *, release: bool) -> Payment.Built | None:
        """Build the next attempt and record it; None when that cannot be done now."""
        intent = _release_of(payment.intent) if release else payment.intent
        try:
            unsigned = self._build(intent, payment.slot, payment)
        except (FeeAboveCap, InsufficientHotFunds) as error:
            _log.warning("%s waits: %s", payment.intent.id, error)
            return None
        except WillFail as error:
            self._denied(payment, error)
            return None
        built = self._book.copy(payment)
        built.build(unsigned, release=release)
        self._book.save(built)
        return built.built

    def _denied(self, payment: Payment, error: WalletError) -> None:
        """Nothing was signed: give up the payment, but its slot must be used up all the same.

        What may be allowed later, and what replaces an attempt, is built anew some blocks later.
        """
        _log.warning("%s was not signed: %s", payment.intent.id, error.reason)
        denied = self._book.copy(self._book.get(Payment, payment.id))
        denied.deny(error.reason, self._book.chain_record.tip.height)
        if not (payment.signed or payment.releasing or (error.retryable and not _is_fee(error))):
            denied.ask_release(error.reason)
        self._book.save(denied)

    def _check_signed(self, intent: Intent, slot: Slot, signed: Signed) -> None:
        """What came back must be what was asked for: the signer is not trusted blindly either."""
        decoded = self._chain.parse(signed.raw)
        if (decoded.sender, decoded.anchor, decoded.txid) != (slot.owner, slot.anchor, signed.txid):
            raise BadRequest(f"the signer signed something else than {intent.id}")
        if intent.is_payment and (decoded.to, decoded.token, decoded.amount) != (
            intent.to,
            intent.token,
            intent.amount,
        ):
            raise BadRequest(f"the signer signed another payment than {intent.id}")


def _is_fee(error: WalletError) -> bool:
    """Whether the signer found the fee too high: waiting would hold up every later payment."""
    return isinstance(error, FeeAboveCap)


def _release_of(intent: Intent) -> Intent:
    return Intent(id=intent.id, kind=IntentKind.RELEASE, chain=intent.chain)
