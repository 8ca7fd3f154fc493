"""Bumping and cancelling on a real EVM, with the real signer and its rules."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from commands.request_withdrawal import RequestWithdrawal
from commands.settle_withdrawal import ApproveWithdrawal
from tests.custody.ethereum_run import ETHER, UNIT, EthereumRun, run_with_a_deposit
from tests.custody.world import status_of
from tests.ethereum_world import someone
from wallet.desk import Desk
from wallet.errors import SignerUnavailable
from wallet.ethereum.transaction import parse
from wallet.ports import ApprovedWithdrawal
from wallet.records.payment import Payment, payment_record_id
from wallet.withdrawals import withdrawal_intent_id


@pytest.fixture
def run(tmp_path: Path) -> Iterator[EthereumRun]:
    """Ann has two ETH."""
    with run_with_a_deposit(tmp_path) as run:
        yield run


def approved(run: EthereumRun) -> ApprovedWithdrawal:
    """Return a withdrawal of half an ether that has all its approvals."""
    receipt = run.exchange.do(RequestWithdrawal(
        time_ms=1, account="ann", asset="ETH", amount=ETHER // UNIT // 2,
        address=someone().address, request_id="r",
    ))  # fmt: skip
    number = int(receipt.withdrawal_id)
    run.exchange.do(ApproveWithdrawal(time_ms=1, withdrawal_id=number, approved_by="op"))
    [wanted] = [e for e in run.exchange.approved(0)[0] if e.withdrawal_id == number]
    intent = run.custody.withdrawals.intent(wanted)
    run.custody.reviews.approve(intent, run.approval(intent))
    return wanted


def payment_of(run: EthereumRun, wanted: ApprovedWithdrawal) -> Payment:
    name = payment_record_id(withdrawal_intent_id(wanted.withdrawal_id))
    return run.custody.book.get(Payment, name)


def test_a_stuck_withdrawal_is_bumped_in_its_slot_and_paid_once(run: EthereumRun) -> None:
    wanted = approved(run)
    run.work()
    Desk(run.custody).bump(withdrawal_intent_id(wanted.withdrawal_id), "op")
    run.work()
    first, second = (parse(attempt.raw) for attempt in payment_of(run, wanted).attempts)
    assert (first.anchor, first.to, first.amount) == (second.anchor, second.to, second.amount)
    assert second.price * 8 >= first.price * 9
    assert second.tip > first.tip
    run.settle(6)
    assert status_of(run.exchange, wanted.withdrawal_id) == "completed"
    paid = run.custody.chain.balances([payment_of(run, wanted).intent.to], None)  # type: ignore[list-item]
    assert list(paid.values()) == [ETHER // 2]
    run.check()


@pytest.mark.parametrize("signed", [False, True])
def test_the_slot_of_a_cancelled_withdrawal_is_used_up_by_the_real_signer(
    run: EthereumRun, monkeypatch: pytest.MonkeyPatch, *, signed: bool
) -> None:
    """signed: the signer has signed it, and its answer was lost: the release has to outbid that."""
    real = run.signer.sign

    def lost(*asked: object) -> None:
        if signed:
            real(*asked)  # type: ignore[arg-type]
        raise SignerUnavailable("no answer")

    wanted = approved(run)
    monkeypatch.setattr(run.signer, "sign", lost)
    run.work()
    assert payment_of(run, wanted).status == "slotted"
    assert Desk(run.custody).cancel(wanted, "the client asked").status == "slotted"
    monkeypatch.undo()
    run.settle(6)
    assert status_of(run.exchange, wanted.withdrawal_id) == "failed"
    payment = payment_of(run, wanted)
    assert [attempt.release for attempt in payment.signed] == [True]
    assert payment.failure == "CANCELLED: the client asked"
    assert run.exchange.ledger.accounts["ann"].free("ETH") == 2 * ETHER // UNIT
    run.check()
