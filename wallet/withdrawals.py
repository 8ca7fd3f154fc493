"""Takes over approved withdrawals from the exchange's log, and tells it how they ended."""

import logging
from typing import Final

from wallet.book import Book
from wallet.chain import Chain
from wallet.coins import Coins
from wallet.errors import BadAddress, BadRequest, TagRequired, TokenDisabled
from wallet.ports import ApprovedWithdrawal, Exchange, ExchangeRefused, Keys
from wallet.records.payment import Payment
from wallet.types import Address, Intent, IntentId, IntentKind

FOLLOW_EVERY: Final = 10_000
"""Events of the exchange without a withdrawal after which the position is recorded all the same."""

_log = logging.getLogger(__name__)


def withdrawal_intent_id(withdrawal_id: int) -> IntentId:
    """Return the id of the payment that a withdrawal is made by."""
    return IntentId(f"withdrawal-{withdrawal_id}")


class Withdrawals:
    """Those of one chain's coins."""

    def __init__(
        self, *, chain: Chain, book: Book, coins: Coins, keys: Keys, exchange: Exchange
    ) -> None:
        self._chain = chain
        self._book = book
        self._coins = coins
        self._keys = keys
        self._exchange = exchange
        self._looked_to = 0

    def take_over(self) -> bool:
        """Plan a payment for each withdrawal approved since; with the position, in one save."""
        record = self._book.chain_record
        after = max(self._looked_to, record.followed)
        approved, position = self._exchange.approved(after)
        planned = [self._plan(each) for each in approved if self._is_new(each)]
        if planned or position - record.followed >= FOLLOW_EVERY:
            follower = self._book.copy(record)
            follower.follow(position)
            self._book.save(follower, *planned)
        self._looked_to = position
        return bool(planned)

    def tell(self) -> bool:
        """Tell the exchange how payments ended. Raises: ExchangeUnavailable: the rest waits."""
        untold = list(self._book.untold_payments)
        for payment_id in untold:
            self._tell(self._book.copy(self._book.get(Payment, payment_id)))
        return bool(untold)

    def intent(self, withdrawal: ApprovedWithdrawal) -> Intent:
        """Return what pays a withdrawal: what officers sign and the signer compares.

        Raises: BadRequest, BadAddress, TagRequired.
        """
        coin = self._coins.of_asset(withdrawal.asset)
        if coin is None:
            raise BadRequest(f"{withdrawal.asset} is not on {self._chain.id}")
        if not coin.enabled:
            raise TokenDisabled(f"{withdrawal.asset} is disabled on {self._chain.id}")
        to = self._chain.validate_address(withdrawal.address)
        if to in self._book.account_of or to in (self._keys.hot, self._keys.gas, self._keys.cold):
            raise BadAddress("the address is the exchange's own")
        return Intent(
            id=withdrawal_intent_id(withdrawal.withdrawal_id),
            kind=IntentKind.WITHDRAWAL,
            chain=self._chain.id,
            to=to,
            token=coin.token,
            amount=coin.to_chain(withdrawal.amount),
        )

    def cancel(self, withdrawal: ApprovedWithdrawal, reason: str) -> None:
        """Decide that an approved withdrawal is not to be paid; `tell` has its hold released.

        It may be one that was not taken over yet: then it is taken over as one that is not paid.
        Raises: BadRequest: it is not of this chain; AlreadySigned, AlreadyEnded; RecordChanged.
        """
        if self._coins.of_asset(withdrawal.asset) is None:
            raise BadRequest(f"{withdrawal.asset} is not on {self._chain.id}")
        known = self._book.payment(withdrawal_intent_id(withdrawal.withdrawal_id))
        payment = self._plan(withdrawal) if known is None else self._book.copy(known)
        if known is not None or payment.status != "failed":
            payment.cancel(reason)
        self._book.save(payment)

    def _is_new(self, withdrawal: ApprovedWithdrawal) -> bool:
        if self._coins.of_asset(withdrawal.asset) is None:
            return False
        return self._book.payment(withdrawal_intent_id(withdrawal.withdrawal_id)) is None

    def _plan(self, withdrawal: ApprovedWithdrawal) -> Payment:
        """Return the plan; a withdrawal that cannot be paid is planned and given up at once."""
        try:
            intent, problem = self.intent(withdrawal), ""
        except (BadAddress, BadRequest, TagRequired) as error:
            intent, problem = self._unpayable(withdrawal), error.reason
        payment = Payment.plan(
            intent,
            self._keys.hot,
            asset=withdrawal.asset,
            withdrawal_id=withdrawal.withdrawal_id,
        )
        if problem:
            payment.give_up(problem)
        return payment

    def _unpayable(self, withdrawal: ApprovedWithdrawal) -> Intent:
        return Intent(
            id=withdrawal_intent_id(withdrawal.withdrawal_id),
            kind=IntentKind.WITHDRAWAL,
            chain=self._chain.id,
            to=Address(withdrawal.address),
            amount=withdrawal.amount,
        )

    def _tell(self, payment: Payment) -> None:
        withdrawal_id = payment.withdrawal_id
        try:
            if payment.status == "paid" and payment.final is not None:
                self._exchange.complete(withdrawal_id=withdrawal_id, txid=payment.final.txid)
            else:
                self._exchange.fail(withdrawal_id=withdrawal_id, reason=payment.failure)
        except ExchangeRefused as refusal:
            # Somebody settled it by hand: the books say what happened on chain, so stop and look.
            _log.error("withdrawal %s: the exchange says %s", withdrawal_id, refusal)
            record = self._book.copy(self._book.chain_record)
            record.alarm(f"withdrawal {withdrawal_id} ended otherwise at the exchange")
            payment.tell()
            self._book.save(record, payment)
            return
        payment.tell()
        self._book.save(payment)
