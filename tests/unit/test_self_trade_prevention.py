"""What happens when an account's order meets its own."""

import pytest

from domain.errors import NoLiquidity, WouldNotFill
from tests.given import (
    BTC_EACH,
    BUY,
    LOT,
    SELL,
    TICK,
    USDT_EACH,
    Given,
    cancelled,
    given,
    market_order,
    place,
    placed,
    prevented,
    trade,
)


def _asks() -> Given:
    """bob, then alice, then bob offer three lots each."""
    return given(
        place("bob", SELL, 100, lots=3),
        place("alice", SELL, 100, lots=3),
        place("bob", SELL, 100, lots=3),
    )


def _buy(mode: str, lots: int, **more: object) -> Given:
    return _asks().when(place("alice", BUY, 100, lots=lots, self_trade_prevention=mode, **more))


def test_none_lets_the_account_trade_with_itself() -> None:
    _buy("none", 9).then(placed(), trade(1, 4, 100, 3), trade(2, 4, 100, 3), trade(3, 4, 100, 3))


def test_cancel_taker_ends_the_incoming_order() -> None:
    (
        _buy("cancel_taker", 9)
        .then(
            placed(resting_lots=0),
            trade(1, 4, 100, 3),
            cancelled(
                order_id=4, remaining_lots=6, released=600 * TICK, in_book=False,
                reason="self_trade",
            ),
        )
        .receipt(status="cancelled", filled_lots=3)
        .book(SELL, (100, [2, 3]))
    )  # fmt: skip


def test_cancel_maker_ends_the_resting_order_and_goes_on() -> None:
    (
        _buy("cancel_maker", 9)
        .then(
            placed(resting_lots=3),
            trade(1, 4, 100, 3),
            cancelled(order_id=2, remaining_lots=3, in_book=True, reason="self_trade"),
            trade(3, 4, 100, 3),
        )
        .book(SELL)
        .book(BUY, (100, [4]))
    )


def test_cancel_both_ends_both() -> None:
    (
        _buy("cancel_both", 9)
        .then(
            placed(resting_lots=0),
            trade(1, 4, 100, 3),
            cancelled(order_id=2, in_book=True),
            cancelled(order_id=4, remaining_lots=6, in_book=False),
        )
        .book(SELL, (100, [3]))
        .balance("alice", "BTC", free=BTC_EACH + 3 * LOT - 300)
    )


def test_decrement_takes_the_smaller_quantity_from_both() -> None:
    (
        _buy("decrement", 4)
        .then(
            placed(resting_lots=0),
            trade(1, 4, 100, 3),
            prevented(
                quantity_lots=1, maker_released=LOT, taker_released=100 * TICK,
                maker_remaining_lots=2, taker_remaining_lots=0,
            ),
            cancelled(order_id=4, remaining_lots=0, released=0, in_book=False),
        )
        .receipt(status="cancelled", filled_lots=3)
        .balance("alice", "BTC", free=BTC_EACH + LOT - 300, held=2 * LOT)
    )  # fmt: skip


def test_decrement_closes_both_when_they_are_equal() -> None:
    (
        _buy("decrement", 6)
        .then(
            placed(),
            trade(1, 4, 100, 3),
            prevented(quantity_lots=3),
            cancelled(order_id=2, remaining_lots=0, in_book=True),
            cancelled(order_id=4, remaining_lots=0, in_book=False),
        )
        .balance("alice", "USDT", free=USDT_EACH - 300 * TICK)
        .book(SELL, (100, [3]))
    )


def test_decrement_goes_on_when_the_resting_order_is_smaller() -> None:
    (
        _buy("decrement", 10)
        .then(
            placed(resting_lots=1),
            trade(1, 4, 100, 3),
            prevented(maker_remaining_lots=0, taker_remaining_lots=4),
            cancelled(order_id=2, remaining_lots=0),
            trade(3, 4, 100, 3),
        )
        .receipt(status="partially_filled", filled_lots=6)
        .book(BUY, (100, [4]))
    )


@pytest.mark.parametrize("mode", ["cancel_taker", "cancel_maker", "cancel_both", "decrement"])
def test_a_fill_or_kill_order_kept_from_filling_changes_nothing(mode: str) -> None:
    _buy(mode, 9, time_in_force="fok").refused(WouldNotFill).book(SELL, (100, [1, 2, 3]))


@pytest.mark.parametrize("mode", ["cancel_taker", "cancel_maker", "cancel_both", "decrement"])
def test_a_market_order_that_meets_only_its_own_account_changes_nothing(mode: str) -> None:
    order = market_order("alice", BUY, quantity_lots=1, self_trade_prevention=mode)
    given(place("alice", SELL, 100, lots=3)).when(order).refused(NoLiquidity).book(SELL, (100, [1]))


def test_the_resting_orders_own_mode_has_no_say() -> None:
    state = given(place("alice", SELL, 100, lots=1, self_trade_prevention="cancel_both"))
    state.when(place("alice", BUY, 100, lots=1, self_trade_prevention="none"))
    state.then(placed(), trade(1, 2, 100, 1))
