"""Withdrawals: held at once, and in the end either gone or free again."""

import pytest

from commands.command import Command
from commands.request_withdrawal import RequestWithdrawal
from commands.settle_withdrawal import (
    ApproveWithdrawal,
    CompleteWithdrawal,
    FailWithdrawal,
    RejectWithdrawal,
)
from domain.errors import (
    AmountTooLarge,
    BadField,
    IdempotencyKeyReused,
    InsufficientFunds,
    NotPositive,
    Rejected,
    UnknownAccount,
    UnknownAsset,
    UnknownWithdrawal,
    WrongState,
)
from domain.events import (
    WithdrawalApproved,
    WithdrawalCompleted,
    WithdrawalFailed,
    WithdrawalRejected,
    WithdrawalRequested,
)
from domain.units import UNITS_MAX
from tests.given import BTC_EACH, NOW_MS, event, given


def _request(amount: int = 50, **more: object) -> RequestWithdrawal:
    fields = {
        "account": "alice", "asset": "BTC", "address": "bc1q", "request_id": "r1",
    } | more  # fmt: skip
    return RequestWithdrawal(time_ms=NOW_MS, amount=amount, **fields)  # type: ignore[arg-type]


APPROVE = ApproveWithdrawal(time_ms=NOW_MS, withdrawal_id=1, approved_by="op")
REJECT = RejectWithdrawal(time_ms=NOW_MS, withdrawal_id=1, rejected_by="op", reason="no")
COMPLETE = CompleteWithdrawal(time_ms=NOW_MS, withdrawal_id=1, txid="0xcd")
FAIL = FailWithdrawal(time_ms=NOW_MS, withdrawal_id=1, reason="dust")


def test_a_requested_withdrawal_is_held() -> None:
    (
        given()
        .when(_request())
        .then(event(WithdrawalRequested, withdrawal_id=1, amount=50, address="bc1q"))
        .receipt(withdrawal_id=1, status="requested")
        .balance("alice", "BTC", free=BTC_EACH - 50, held=50)
    )


def test_an_approved_withdrawal_stays_held_until_it_is_paid() -> None:
    (
        given(_request())
        .when(APPROVE)
        .then(event(WithdrawalApproved, approved_by="op"))
        .balance("alice", "BTC", free=BTC_EACH - 50, held=50)
        .when(COMPLETE)
        .then(event(WithdrawalCompleted, amount=50, txid="0xcd"))
        .receipt(withdrawal_id=1, status="completed")
        .balance("alice", "BTC", free=BTC_EACH - 50)
    )


def test_a_rejected_withdrawal_is_free_again() -> None:
    (
        given(_request())
        .when(REJECT)
        .then(event(WithdrawalRejected, amount=50, reason="no"))
        .balance("alice", "BTC", free=BTC_EACH)
    )


def test_a_failed_withdrawal_is_free_again() -> None:
    (
        given(_request(), APPROVE)
        .when(FAIL)
        .then(event(WithdrawalFailed, amount=50, reason="dust"))
        .balance("alice", "BTC", free=BTC_EACH)
    )


def test_the_same_request_again_is_not_held_again() -> None:
    state = given(_request()).when(_request()).nothing().receipt(withdrawal_id=1, repeated=True)
    state.balance("alice", "BTC", free=BTC_EACH - 50, held=50)
    given(_request(), REJECT).when(_request()).nothing()


@pytest.mark.parametrize(
    ("before", "again"),
    [([], APPROVE), ([], REJECT), ([APPROVE], COMPLETE), ([APPROVE], FAIL)],
)
def test_the_same_step_again_stays_quiet(before: list[Command], again: Command) -> None:
    given(_request(), *before, again).when(again).nothing()


@pytest.mark.parametrize(
    ("before", "step"),
    [
        ([], COMPLETE),
        ([], FAIL),
        ([APPROVE], REJECT),
        ([REJECT], APPROVE),
        ([REJECT], COMPLETE),
        ([APPROVE, COMPLETE], FAIL),
        ([APPROVE, COMPLETE], APPROVE),
        ([APPROVE, FAIL], COMPLETE),
    ],
)
def test_a_step_out_of_turn_is_refused(before: list[Command], step: Command) -> None:
    given(_request(), *before).when(step).refused(WrongState)


@pytest.mark.parametrize("step", [APPROVE, REJECT, COMPLETE, FAIL])
def test_a_withdrawal_nobody_requested_is_unknown(step: Command) -> None:
    given().when(step).refused(UnknownWithdrawal)


@pytest.mark.parametrize(
    ("command", "error"),
    [
        (_request(51), IdempotencyKeyReused),
        (_request(50, address="elsewhere"), IdempotencyKeyReused),
        (_request(0, request_id="r2"), NotPositive),
        (_request(-1, request_id="r2"), NotPositive),
        (_request(UNITS_MAX + 1, request_id="r2"), AmountTooLarge),
        (_request(BTC_EACH - 49, request_id="r2"), InsufficientFunds),
        (_request(account="nobody"), UnknownAccount),
        (_request(account="fees"), UnknownAccount),
        (_request(asset="XYZ"), UnknownAsset),
        (_request(address=""), BadField),
        (_request(request_id=""), BadField),
    ],
)
def test_a_bad_request_is_refused(command: Command, error: type[Rejected]) -> None:
    given(_request()).when(command).refused(error)


def test_another_account_may_use_the_same_request_id() -> None:
    state = given(_request()).when(_request(account="bob"))
    state.then(event(WithdrawalRequested, withdrawal_id=2, account="bob"))


@pytest.mark.parametrize(
    "command",
    [
        ApproveWithdrawal(time_ms=NOW_MS, withdrawal_id=1, approved_by=""),
        RejectWithdrawal(time_ms=NOW_MS, withdrawal_id=1, rejected_by="", reason=""),
        CompleteWithdrawal(time_ms=NOW_MS, withdrawal_id=1, txid=""),
        FailWithdrawal(time_ms=NOW_MS, withdrawal_id=1, reason="x" * 257),
    ],
)
def test_a_step_says_who_or_why(command: Command) -> None:
    given(_request()).when(command).refused(BadField)
