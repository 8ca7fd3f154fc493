"""What people see of custody: answers of the desk, as they are shown everywhere."""

import msgspec

from wallet.approvals import IntentText
from wallet.reconcile import Difference
from wallet.records.deposit import Deposit
from wallet.records.payment import Payment


class ReviewView(msgspec.Struct, frozen=True, kw_only=True):
    """What officers approve. intent: what is signed, as `foldex vault approve` reads it.

    approvals: by whom, that count now. expired: by whom, too long ago. needed: how many have to
    count, by the signer's policy and by custody's.
    """

    intent: IntentText
    approvals: list[str]
    expired: list[str]
    needed: int


class DepositOnChain(msgspec.Struct, frozen=True, kw_only=True):
    """A deposit as the chain has it. amount: base units, as text. status: see docs/custody.md."""

    key: str
    account: str
    address: str
    asset: str
    amount: str
    status: str
    reason: str
    height: int
    confirmations: int
    required: int


class PaymentView(msgspec.Struct, frozen=True, kw_only=True):
    """A transaction of ours. status: planned, slotted, signed, paid or failed.

    txids: all its attempts, the newest last; any may be mined. reason: why it failed, or is not
    going to be made. contract: of a deployment.
    """

    id: str
    kind: str
    owner: str
    to: str
    asset: str
    amount: str
    status: str
    txids: list[str]
    reason: str
    contract: str


class CustodyStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How custody is. height: of the last block followed. paused: why, empty when it is not.

    paused_by: an operator; empty when custody did it itself. differences: what reconciliation found
    last; unlisted: how many more; mark: names exactly these, for who resumes and accepts them.
    refills: what the hot wallet asks for from cold, base units by asset. signer_journal: how many
    records the signer's journal had when it was seen last.
    """

    chain: str
    height: int
    paused: str
    paused_by: str
    differences: list[Difference]
    unlisted: int
    mark: str
    addresses: int
    deposits: dict[str, int]
    open_payments: int
    refills: dict[str, str]
    signer_journal: int
    hot: str
    gas: str
    cold: str


def deposit_view(deposit: Deposit, tip: int, required: int) -> DepositOnChain:
    """Return a deposit as it is shown. tip: height followed to. required: confirmations."""
    there = deposit.status != "orphaned"
    return DepositOnChain(
        key=deposit.key,
        account=deposit.account,
        address=deposit.address,
        asset=deposit.asset,
        amount=str(deposit.amount),
        status=deposit.status,
        reason=deposit.reason,
        height=deposit.height,
        confirmations=tip - deposit.height + 1 if there else 0,
        required=required,
    )


def payment_view(payment: Payment) -> PaymentView:
    """Return a payment as it is shown."""
    return PaymentView(
        id=payment.intent.id,
        kind=payment.intent.kind.value,
        owner=payment.owner,
        to=payment.intent.to or "",
        asset=payment.asset,
        amount=str(payment.intent.amount),
        status=payment.status,
        txids=[each.txid for each in payment.signed],
        reason=payment.failure or payment.releasing,
        contract=payment.final.contract if payment.final else "",
    )
