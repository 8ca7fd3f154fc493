"""Deposits: credited once, for ever, and reversed when their block is gone."""

import pytest

from commands.request_withdrawal import RequestWithdrawal
from commands.reverse_deposit import ReverseDeposit
from commands.settle_withdrawal import ApproveWithdrawal
from domain.errors import (
    AccountInDebt,
    AmountTooLarge,
    BadField,
    IdempotencyKeyReused,
    NotPositive,
    Rejected,
    UnknownAccount,
    UnknownAsset,
    UnknownDeposit,
)
from domain.events import DepositCredited, DepositReversed
from domain.snapshot import dump, load
from domain.units import UNITS_MAX
from tests.given import BTC_EACH, NOW_MS, SELL, deposit, event, given, place

FIRST = deposit("alice", "BTC", 50, "eth:0xab:0")


def test_a_deposit_is_free_to_spend() -> None:
    (
        given()
        .when(FIRST)
        .then(event(DepositCredited, account="alice", asset="BTC", amount=50))
        .balance("alice", "BTC", free=BTC_EACH + 50)
    )


def test_the_same_deposit_again_is_not_credited_again() -> None:
    given(FIRST).when(FIRST).nothing().balance("alice", "BTC", free=BTC_EACH + 50)


def test_a_deposit_is_remembered_by_a_snapshot() -> None:
    state = given(FIRST)
    state.exchange = load(dump(state.exchange))
    state.when(FIRST).nothing()


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        (("bob", "BTC", 50, "eth:0xab:0"), IdempotencyKeyReused),
        (("alice", "USDT", 50, "eth:0xab:0"), IdempotencyKeyReused),
        (("alice", "BTC", 51, "eth:0xab:0"), IdempotencyKeyReused),
        (("nobody", "BTC", 50, "new"), UnknownAccount),
        (("fees", "BTC", 50, "new"), UnknownAccount),
        (("alice", "XYZ", 50, "new"), UnknownAsset),
        (("alice", "BTC", 0, "new"), NotPositive),
        (("alice", "BTC", -1, "new"), NotPositive),
        (("alice", "BTC", UNITS_MAX + 1, "new"), AmountTooLarge),
        (("alice", "BTC", 1, ""), BadField),
        (("alice", "BTC", 1, "line\nbreak"), BadField),
        (("alice", "BTC", 1, "x" * 257), BadField),
    ],
)
def test_a_bad_deposit_is_refused(fields: tuple[str, str, int, str], error: type[Rejected]) -> None:
    given(FIRST).when(deposit(*fields)).refused(error)


def test_balances_have_no_bound() -> None:
    state = given(*(deposit("alice", "BTC", UNITS_MAX, f"d{number}") for number in range(3)))
    state.balance("alice", "BTC", free=BTC_EACH + 3 * UNITS_MAX)


def reverse(deposit_id: str) -> ReverseDeposit:
    return ReverseDeposit(time_ms=NOW_MS, deposit_id=deposit_id)


def withdraw(amount: int, request_id: str = "w1", asset: str = "BTC") -> RequestWithdrawal:
    return RequestWithdrawal(
        time_ms=NOW_MS,
        account="alice",
        asset=asset,
        amount=amount,
        address="there",
        request_id=request_id,
    )


SPENT = (FIRST, place("alice", SELL, 1_000, lots=1_000), reverse("eth:0xab:0"))
"""The opening balance is held by an order, and the deposit of 50 is gone."""
IN_DEBT = (*SPENT, reverse("alice-BTC"))
"""What opened the account is gone too: all of it is held, so all of it is owed."""


def test_a_reversed_deposit_is_taken_back() -> None:
    (
        given(FIRST)
        .when(reverse("eth:0xab:0"))
        .then(event(DepositReversed, account="alice", asset="BTC", amount=50, taken=50))
        .balance("alice", "BTC", free=BTC_EACH)
    )


def test_a_deposit_is_reversed_once() -> None:
    state = given(FIRST, reverse("eth:0xab:0")).when(reverse("eth:0xab:0")).nothing()
    state.balance("alice", "BTC", free=BTC_EACH)
    state.when(FIRST).nothing().balance("alice", "BTC", free=BTC_EACH)


def test_a_deposit_that_was_never_credited_is_not_reversed() -> None:
    given(FIRST).when(reverse("eth:0xab:1")).refused(UnknownDeposit)
    given(FIRST).when(reverse("")).refused(BadField)


def test_a_deposit_mined_again_is_credited_under_its_next_epoch() -> None:
    again = deposit("alice", "BTC", 50, "eth:0xab:0#1")
    state = given(FIRST, reverse("eth:0xab:0"), again)
    state.balance("alice", "BTC", free=BTC_EACH + 50).when(again).nothing()


def test_what_was_spent_of_a_reversed_deposit_becomes_debt() -> None:
    state = given(*SPENT).when(reverse("alice-BTC"))
    state.then(event(DepositReversed, amount=BTC_EACH, taken=0))
    state.balance("alice", "BTC", free=0, held=BTC_EACH)
    assert state.exchange.accounts["alice"].debts == {"BTC": BTC_EACH}


def test_deposits_repay_the_debt_first() -> None:
    state = given(*IN_DEBT)
    (
        state.when(deposit("alice", "BTC", BTC_EACH - 1, "d1"))
        .then(event(DepositCredited, amount=BTC_EACH - 1, debt_repaid=BTC_EACH - 1))
        .balance("alice", "BTC", free=0, held=BTC_EACH)
        .when(deposit("alice", "BTC", 5, "d2"))
        .then(event(DepositCredited, amount=5, debt_repaid=1))
        .balance("alice", "BTC", free=4, held=BTC_EACH)
    )
    assert state.exchange.accounts["alice"].debts == {}


def test_a_deposit_of_another_asset_repays_nothing() -> None:
    given(*IN_DEBT).when(deposit("alice", "USDT", 5, "d1")).then(
        event(DepositCredited, debt_repaid=0)
    )


def test_an_account_in_debt_withdraws_nothing_of_any_asset() -> None:
    given(*IN_DEBT).when(withdraw(1, asset="USDT")).refused(AccountInDebt)
    paid = deposit("alice", "BTC", BTC_EACH + 1, "d1")
    given(*IN_DEBT, paid).when(withdraw(1)).receipt(status="requested")


def test_a_withdrawal_requested_before_the_debt_is_not_approved() -> None:
    state = given(withdraw(7, asset="USDT"), *IN_DEBT)
    state.when(ApproveWithdrawal(time_ms=NOW_MS, withdrawal_id=1, approved_by="carol")).refused(
        AccountInDebt
    )


def test_debts_and_reversals_are_remembered_by_a_snapshot() -> None:
    state = given(*IN_DEBT)
    state.exchange = load(dump(state.exchange))
    state.when(reverse("alice-BTC")).nothing().when(withdraw(1)).refused(AccountInDebt)
