"""What people ask of custody: addresses, reviews, contracts, how it is, stop and go on.

It only adds to the books, which the process that runs custody reads: any process may have one.
"""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from wallet.approvals import IntentText, canonical
from wallet.call_text import Interface
from wallet.chain import Contracts
from wallet.contract_desk import KINDS, ContractDesk, ContractView, contract_view
from wallet.desk_views import (
    CustodyStatus,
    DepositOnChain,
    PaymentView,
    ReviewView,
    deposit_view,
    payment_view,
)
from wallet.errors import BadRequest, DuplicateMismatch
from wallet.journal_memory import JournalMemory
from wallet.ports import ApprovedWithdrawal
from wallet.reconcile import Difference
from wallet.records.deposit import Deposit
from wallet.records.payment import Payment
from wallet.service import Custody
from wallet.store import RecordChanged
from wallet.token_desk import TokenDesk
from wallet.types import Address, DepositKey, Intent, IntentId
from wallet.withdrawals import withdrawal_intent_id

CONFLICTS_MAX = 20

Answer = TypeVar("Answer")


class Desk:
    """One chain's. Threads may share it."""

    def __init__(self, custody: Custody, contracts: Contracts | None = None) -> None:
        self.contracts = ContractDesk(self, contracts, custody.chain.id)
        self._custody = custody
        self._one_at_a_time = threading.Lock()
        self.tokens = TokenDesk(custody, change=self._change, up_to_date=self._up_to_date)

    @property
    def chain(self) -> str:
        """The chain, as CAIP-2 text."""
        return self._custody.chain.id

    @property
    def hot(self) -> Address:
        """Where withdrawals are paid from."""
        return self._custody.keys.hot

    def has(self, asset: str) -> bool:
        """Return whether the asset is on the chain."""
        with self._up_to_date():
            return self._custody.coins.of_asset(asset) is not None

    def address(self, account: str) -> Address:
        """Return an account's deposit address."""
        with self._up_to_date():
            return self._custody.addresses.of(account)

    def review(self, withdrawal: ApprovedWithdrawal) -> ReviewView:
        """Return what officers are to approve. Raises: BadRequest, BadAddress."""
        with self._up_to_date():
            return self._review(self._custody.withdrawals.intent(withdrawal))

    def approve(self, withdrawal: ApprovedWithdrawal, approval: str) -> ReviewView:
        """Record an officer's approval; the very same one again changes nothing.

        Raises: BadRequest, BadAddress; BadApproval, ApprovalExpired, DuplicateApproval: nothing was
        recorded; PolicyDenied, SignerUnavailable.
        """
        self._change(lambda: self._approve(self._custody.withdrawals.intent(withdrawal), approval))
        return self.review(withdrawal)

    def approve_payment(self, intent_id: IntentId, approval: str) -> ReviewView:
        """Record an officer's approval of a planned payment. Raises: as `approve`."""
        self._change(lambda: self._approve(self._payment(intent_id).intent, approval))
        with self._up_to_date():
            return self._review(self._payment(intent_id).intent)

    def payable(self, asset: str, to: str, amount: int) -> int:
        """Return an amount of base units in ledger units, if it can be paid there.

        Raises: BadRequest: not on the chain, or finer than the ledger; BadAddress, TagRequired.
        """
        with self._up_to_date():
            coin = self._custody.coins.of_asset(asset)
            units, rest = coin.to_ledger(amount) if coin else (0, 0)
            if units <= 0 or rest:
                raise BadRequest(f"{amount} base units of {asset} are no amount of the ledger's")
            self._custody.withdrawals.intent(
                ApprovedWithdrawal(
                    withdrawal_id=0, account="", asset=asset, amount=units, address=to
                )
            )
            return units

    def cancel(self, withdrawal: ApprovedWithdrawal, reason: str) -> PaymentView:
        """Decide that an approved withdrawal is not to be paid, while nothing is signed for it.

        Its hold is released when the exchange is told: at once, or when its slot is used up.
        Raises: BadRequest, AlreadySigned, AlreadyEnded.
        """
        self._change(lambda: self._custody.withdrawals.cancel(withdrawal, reason))
        return self.payment(withdrawal_intent_id(withdrawal.withdrawal_id))

    def bump(self, intent_id: IntentId, asked_by: str) -> PaymentView:
        """Have a stuck transaction replaced in its slot at a higher fee; once for each attempt.

        Raises: BadRequest, NotSigned, AlreadyEnded, FeeCapReached.
        """
        self._change(lambda: self._custody.payments.bump(intent_id, asked_by))
        return self.payment(intent_id)

    def status(self) -> CustodyStatus:
        """Return how custody is."""
        with self._up_to_date():
            book, keys = self._custody.book, self._custody.keys
            record = book.chain_record
            known = JournalMemory(book, writes=False).known()
            statuses = Counter(deposit.status for deposit in self._deposits())
            return CustodyStatus(
                chain=self.chain,
                height=record.tip.height,
                paused=record.paused,
                paused_by=record.paused_by,
                differences=[Difference(*each) for each in record.differences],
                unlisted=record.unlisted,
                mark=record.mark,
                addresses=len(book.account_of),
                deposits=dict(sorted(statuses.items())),
                open_payments=len(book.open_payments),
                refills={asset: str(amount) for asset, amount in sorted(record.refills.items())},
                signer_journal=known.count if known else 0,
                hot=keys.hot,
                gas=keys.gas,
                cold=keys.cold,
            )

    def deposits(self, account: str = "", status: str = "") -> list[DepositOnChain]:
        """Return deposits that are not credited yet, or those of a status, of all or one."""
        wanted = (status,) if status else ("confirming", "small", "orphaned", "quarantined")
        with self._up_to_date():
            return [
                self._deposit(each)
                for each in self._deposits()
                if each.status in wanted and account in ("", each.account)
            ]

    def payments(self) -> list[PaymentView]:
        """Return every payment, the oldest first."""
        with self._up_to_date():
            found = [p for p in self._custody.book.records.values() if isinstance(p, Payment)]
            return [payment_view(each) for each in found]

    def payment(self, intent_id: IntentId) -> PaymentView:
        """Return a payment. Raises: BadRequest: there is none."""
        with self._up_to_date():
            return payment_view(self._payment(intent_id))

    def release(self, key: DepositKey, released_by: str) -> None:
        """Let a quarantined deposit be credited. Raises: BadRequest."""
        self._change(lambda: self._custody.deposits.release(key, released_by))

    def pause(self, reason: str, paused_by: str) -> None:
        """Stop crediting and paying; the chain is followed on."""
        self._change(lambda: self._custody.pause(reason, paused_by))

    def accept_journal(self, accepted_by: str, reason: str) -> None:
        """Go on with the signer's journal as it is now, though custody saw it further on.

        Only for people who compared the two; see docs/security.md.
        """
        memory = JournalMemory(self._custody.book, writes=True)
        self._change(lambda: memory.accept(accepted_by, reason))

    def resume(self, resumed_by: str, reason: str, accepted: str = "") -> None:
        """Go on crediting and paying, also with the differences that are recorded.

        accepted: their mark, as the status shows it; nobody accepts what came since unseen.
        Raises: DifferencesNotAccepted.
        """
        self._change(lambda: self._custody.resume(resumed_by, reason, accepted))

    def plan(self, intent: Intent, interface: Interface | None = None) -> None:
        """Plan a payment from the hot wallet; asked for again it changes nothing.

        interface: how its data is to be read.
        Raises: DuplicateMismatch: the id was of something else.
        """
        self._change(lambda: self._plan(intent, interface))

    def contract_payments(self) -> list[ContractView]:
        """Return every deployment and call of a contract, the oldest first."""
        with self._up_to_date():
            found = [p for p in self._custody.book.records.values() if isinstance(p, Payment)]
            return [self._contract(each) for each in found if each.intent.kind in KINDS]

    def contract_payment(self, intent_id: IntentId) -> ContractView | None:
        """Return a deployment or call, if there is one."""
        with self._up_to_date():
            found = self._custody.book.payment(intent_id)
            return self._contract(found) if found and found.intent.kind in KINDS else None

    def _plan(self, intent: Intent, interface: Interface | None) -> None:
        known = self._custody.book.payment(intent.id)
        if known is None:
            coin = self._custody.coins.of_token(None)
            asset = coin.asset if coin else ""
            hot = self._custody.keys.hot
            planned = Payment.plan(intent, hot, asset=asset, interface=interface)
            self._custody.book.save(planned)
        elif canonical(known.intent) != canonical(intent):
            raise DuplicateMismatch(f"{intent.id} was something else before")

    def _approve(self, intent: Intent, approval: str) -> None:
        self._custody.reviews.approve(intent, approval)

    def _review(self, intent: Intent) -> ReviewView:
        state = self._custody.reviews.state(intent)
        return ReviewView(
            intent=IntentText.of(intent),
            approvals=state.approved,
            expired=state.expired,
            needed=state.needed,
        )

    def _contract(self, payment: Payment) -> ContractView:
        """Return how it is; the signer, which knows better, is not asked for a list."""
        recorded = list(self._custody.reviews.recorded(payment.intent))
        needed = self._custody.policy.approvals_needed(payment.intent)
        call = self.contracts.explain(payment)
        return contract_view(payment, recorded, needed, call)

    def _payment(self, intent_id: IntentId) -> Payment:
        payment = self._custody.book.payment(intent_id)
        if payment is None:
            raise BadRequest(f"there is no payment {intent_id}")
        return payment

    def _deposits(self) -> Iterator[Deposit]:
        return (each for each in self._custody.book.records.values() if isinstance(each, Deposit))

    def _deposit(self, deposit: Deposit) -> DepositOnChain:
        tip = self._custody.book.chain_record.tip.height
        required = self._custody.deposits.confirmations(deposit)
        return deposit_view(deposit, tip, required)

    def _change(self, change: Callable[[], Answer]) -> Answer:
        """Change the books, again when the process that runs custody was faster."""
        for _ in range(CONFLICTS_MAX):
            with self._up_to_date():
                try:
                    return change()
                except RecordChanged:
                    continue
        raise RecordChanged("the books are changing too fast; try again")

    @contextmanager
    def _up_to_date(self) -> Iterator[None]:
        with self._one_at_a_time:
            self._custody.book.catch_up()
            yield
