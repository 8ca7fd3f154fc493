"""Refills of the hot wallet from cold: asked for by the sweeper, signed by people off line.

A refill is a payment whose owner is the cold wallet: planned and built here, once, with the cold
wallet's next nonce; its signature comes back in a file. From then on it is broadcast and followed
like any other. It is never signed here, never replaced by itself, and gives nothing back.
"""

import logging
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal

from wallet.book import Book
from wallet.chain import Chain
from wallet.coins import Coins
from wallet.errors import BadRequest
from wallet.policy import Policy
from wallet.ports import Keys
from wallet.records.payment import Payment
from wallet.refill_file import BadFile, RefillFile, RefillItem, SignedFile, SignedItem, from_hex
from wallet.types import InPool, Intent, IntentId, IntentKind, Mined, Slot, SlotTaken, Unsigned

_log = logging.getLogger(__name__)


class Refills:
    """One chain's."""

    def __init__(
        self, *, chain: Chain, book: Book, coins: Coins, policy: Policy, keys: Keys
    ) -> None:
        self._chain = chain
        self._book = book
        self._coins = coins
        self._policy = policy
        self._keys = keys

    def export(self, *, again: bool = False) -> RefillFile:
        """Return what is to be signed for the refills that are asked for and not signed yet.

        The same file until they are signed. again: with the fees of now, also those that are
        signed and wait for a block; an earlier file cannot be handed in any more then.
        Raises: InsufficientHotFunds: the cold wallet holds too little; FeeAboveCap, WillFail;
        RecordChanged, NodeUnavailable: try again.
        """
        self._book.catch_up()
        self._give_up_used()
        asked = self._book.chain_record.refills
        planned = {each.asset for each in self.open()}
        for asset, amount in sorted(asked.items()):
            if asset not in planned:
                self._plan(asset, amount)
        if again:
            for payment in self.open():
                self._build(payment)
        items = [self._item(each) for each in self.open() if each.built is not None]
        return RefillFile(chain=self._chain.id, transactions=items)

    def take(self, file: SignedFile) -> list[Payment]:
        """Record and broadcast what was signed; what was taken before changes nothing.

        Raises: BadRequest: a part is not exactly what was exported, and nothing was recorded.
        """
        self._book.catch_up()
        if file.chain != self._chain.id:
            raise BadRequest(f"the file is of {file.chain}, not {self._chain.id}")
        given = [(self._refill(item), _raw(item)) for item in file.transactions]
        new = [(payment, raw) for payment, raw in given if raw not in _taken(payment)]
        for payment, raw in new:
            self._compare(payment, raw)
        for payment, raw in new:
            self._record(payment, raw)
        return [self._book.get(Payment, payment.id) for payment, _ in given]

    def advance(self) -> bool:
        """Follow what was signed to its end; return whether anything was recorded."""
        before = self._book.position
        self._give_up_used()
        for payment in self.open():
            if payment.signed:
                self._look(payment)
        return self._book.position > before

    def open(self) -> list[Payment]:
        """Return the refills that have not ended, in the order of their nonces."""
        found = (self._book.get(Payment, each) for each in self._book.open_payments)
        ours = [each for each in found if each.intent.kind is IntentKind.REFILL]
        return sorted(ours, key=lambda payment: int(payment.anchor))

    def _plan(self, asset: str, amount: int) -> None:
        """Plan, place and build in one save: a refill that cannot be made is not there at all."""
        coin = self._coins.of_asset(asset)
        if coin is None:
            return  # It was taken out of the configuration since.
        intent = Intent(
            id=IntentId(f"refill-{1 + sum(1 for _ in self._all())}"),
            kind=IntentKind.REFILL,
            chain=self._chain.id,
            to=self._keys.hot,
            token=coin.token,
            amount=amount,
        )
        payment = Payment.plan(intent, self._keys.cold, asset=asset)
        payment.give_slot(str(self._next_nonce()))
        payment.build(self._unsigned(payment), release=False)
        self._book.save(payment)

    def _all(self) -> Iterator[Payment]:
        for record in self._book.records.values():
            if isinstance(record, Payment) and record.intent.kind is IntentKind.REFILL:
                yield record

    def _next_nonce(self) -> int:
        """By the chain and what is under way: the cold wallet may send without us, too."""
        used = self._chain.slots_used(self._keys.cold)
        return max([used, *(1 + int(each.anchor) for each in self.open())])

    def _build(self, payment: Payment) -> None:
        built = self._book.copy(payment)
        built.build(self._unsigned(payment), release=False)
        self._book.save(built)

    def _unsigned(self, payment: Payment) -> Unsigned:
        slot = Slot.numbered(self._chain.id, self._keys.cold, int(payment.anchor))
        fee = self._chain.estimate_fee(self._policy.fee)
        return self._chain.build(payment.intent, slot, fee, payment.attempts)

    def _item(self, payment: Payment) -> RefillItem:
        assert payment.built is not None, "only what is built is exported"
        intent, raw = payment.intent, bytes.fromhex(payment.built.unsigned)
        decoded = self._chain.parse(raw)
        return RefillItem(
            id=intent.id,
            summary=self._summary(payment, decoded.fee_max),
            asset=payment.asset,
            token=intent.token or "",
            sender=payment.owner,
            to=intent.to or "",
            amount=str(intent.amount),
            nonce=decoded.anchor,
            gas=str(decoded.fee_max // decoded.price),
            max_fee_per_gas=str(decoded.price),
            max_priority_fee_per_gas=str(decoded.tip),
            fee_max=str(decoded.fee_max),
            unsigned="0x" + raw.hex(),
        )

    def _summary(self, payment: Payment, fee_max: int) -> str:
        coin, own = self._coins.of_asset(payment.asset), self._chain.capabilities
        amount = _whole(payment.intent.amount, coin.decimals if coin else 0)
        return (
            f"{amount} {payment.asset} from the cold wallet {payment.owner} to the hot wallet"
            f" {payment.intent.to} on {payment.intent.chain}, as its transaction number"
            f" {payment.anchor}; at most {_whole(fee_max, own.decimals)} {own.coin} for the chain"
        )

    def _refill(self, item: SignedItem) -> Payment:
        payment = self._book.payment(IntentId(item.id))
        if payment is None or payment.intent.kind is not IntentKind.REFILL:
            raise BadRequest(f"there is no refill {item.id}")
        return payment

    def _compare(self, payment: Payment, raw: bytes) -> None:
        """Raise BadRequest when this is not exactly the transaction that was exported."""
        name = payment.intent.id
        if payment.built is None or payment.id not in self._book.open_payments:
            raise BadRequest(f"{name} is {payment.status} and waits for no signature")
        signed = self._chain.parse(raw)
        if signed.sender != self._keys.cold:
            raise BadRequest(f"{name} is not signed by the cold wallet {self._keys.cold}")
        wanted = self._chain.parse(bytes.fromhex(payment.built.unsigned))
        if replace(signed, sender=None, txid=None) != replace(wanted, sender=None, txid=None):
            raise BadRequest(f"{name} is not the transaction that was exported")

    def _record(self, payment: Payment, raw: bytes) -> None:
        """Record what was signed before it is broadcast, as every payment."""
        txid = self._chain.parse(raw).txid
        assert txid is not None, "it is signed"
        signed = self._book.copy(self._book.get(Payment, payment.id))
        signed.sign(txid, raw, self._book.chain_record.tip.height, release=False)
        self._book.save(signed)
        self._chain.broadcast(raw)

    def _look(self, payment: Payment) -> None:
        outcome = self._chain.outcome(payment.attempts)
        match outcome:
            case Mined():
                if self._is_deep(self._chain.confirmations(outcome.block)):
                    ended = self._book.copy(payment)
                    ended.end(outcome)
                    self._book.save(ended)
            case SlotTaken():
                if self._is_deep(self._chain.confirmations(outcome.at)):
                    self._give_up(payment)
            case InPool():
                pass
            case _:
                self._chain.broadcast(payment.attempts[-1].raw)

    def _is_deep(self, confirmations: int | None) -> bool:
        return confirmations is not None and confirmations >= self._policy.payment_confirmations

    def _give_up_used(self) -> None:
        """End what was never signed here and cannot be mined: its nonce was used without us."""
        waiting = [each for each in self.open() if not each.signed]
        if not waiting:
            return
        used = self._chain.slots_used(self._keys.cold)
        for payment in waiting:
            if int(payment.anchor) < used:
                self._give_up(payment)

    def _give_up(self, payment: Payment) -> None:
        _log.warning("the cold wallet used the nonce of %s otherwise", payment.intent.id)
        ended = self._book.copy(payment)
        ended.give_up(f"the cold wallet sent its transaction {payment.anchor} without custody")
        self._book.save(ended)


def _raw(item: SignedItem) -> bytes:
    try:
        return from_hex(item.raw)
    except BadFile as error:
        raise BadRequest(f"{item.id}: {error}") from error


def _taken(payment: Payment) -> set[bytes]:
    return {bytes.fromhex(each.raw) for each in payment.signed}


def _whole(amount: int, decimals: int) -> str:
    """Return base units as whole ones, exactly."""
    return f"{Decimal(amount).scaleb(-decimals).normalize():f}"
