"""Deposits: credited once, for ever."""

import pytest

from domain.errors import (
    AmountTooLarge,
    BadField,
    IdempotencyKeyReused,
    NotPositive,
    Rejected,
    UnknownAccount,
    UnknownAsset,
)
from domain.events import DepositCredited
from domain.snapshot import dump, load
from domain.units import UNITS_MAX
from tests.given import BTC_EACH, deposit, event, given

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
