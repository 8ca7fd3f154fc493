"""Amending: a reduction keeps its place in the queue, anything else goes to the back."""

import pytest

from domain.errors import (
    AmountTooLarge,
    BadField,
    InsufficientFunds,
    MarketCancelOnlyError,
    MarketHaltedError,
    NotPositive,
    Rejected,
    UnknownAccount,
    UnknownOrder,
    WouldTrade,
)
from domain.units import UNITS_MAX
from tests.given import (
    BTC_EACH,
    BUY,
    LOT,
    SELL,
    TICK,
    USDT_EACH,
    amend,
    amended,
    cancel,
    cancelled,
    given,
    place,
    set_status,
    trade,
)

TWO_BIDS = place("alice", BUY, 100, lots=5), place("bob", BUY, 100, lots=5)


def test_a_reduction_keeps_its_place_and_releases_the_difference() -> None:
    (
        given(*TWO_BIDS)
        .when(amend("alice", 1, quantity_lots=2))
        .then(amended(quantity_lots=2, old_quantity_lots=5, resting_lots=2, keeps_priority=True))
        .receipt(order_id=1, status="open")
        .book(BUY, (100, [1, 2]))
        .balance("alice", "USDT", free=USDT_EACH - 200 * TICK, held=200 * TICK)
    )


def test_more_quantity_goes_to_the_back_of_the_queue() -> None:
    (
        given(*TWO_BIDS)
        .when(amend("alice", 1, quantity_lots=6))
        .then(amended(quantity_lots=6, resting_lots=6, keeps_priority=False))
        .book(BUY, (100, [2, 1]))
        .balance("alice", "USDT", free=USDT_EACH - 600 * TICK, held=600 * TICK)
    )


def test_a_new_price_moves_the_order_and_its_hold() -> None:
    (
        given(*TWO_BIDS)
        .when(amend("alice", 1, price_ticks=101))
        .then(amended(price_ticks=101, old_price_ticks=100, hold=505 * TICK, old_hold=500 * TICK))
        .book(BUY, (101, [1]), (100, [2]))
    )


def test_a_new_price_that_crosses_trades_at_once() -> None:
    (
        given(place("alice", SELL, 100, lots=3), place("bob", BUY, 99, lots=5))
        .when(amend("bob", 2, price_ticks=101))
        .then(
            amended(order_id=2, resting_lots=2),
            trade(1, 2, 100, 3, released=3 * TICK),
        )
        .receipt(order_id=2, status="partially_filled", filled_lots=3)
        .book(BUY, (101, [2]))
        .balance("bob", "USDT", free=USDT_EACH - 502 * TICK, held=202 * TICK)
    )


def test_an_amended_order_can_fill_whole() -> None:
    (
        given(place("alice", BUY, 100, lots=3), place("bob", SELL, 101, lots=3))
        .when(amend("bob", 2, price_ticks=100))
        .then(amended(resting_lots=0), trade(1, 2, 100, 3))
        .receipt(status="filled")
        .balance("bob", "BTC", free=BTC_EACH - 3 * LOT)
    )


def test_an_amended_order_does_not_trade_with_its_own_account() -> None:
    (
        given(place("alice", SELL, 101, lots=3), place("alice", BUY, 100, lots=3))
        .when(amend("alice", 2, price_ticks=101))
        .then(amended(resting_lots=0), cancelled(order_id=2, in_book=False, reason="self_trade"))
        .receipt(status="cancelled")
        .balance("alice", "USDT", free=USDT_EACH)
    )


def test_what_is_already_traded_is_not_part_of_the_new_quantity() -> None:
    (
        given(place("alice", SELL, 100, lots=5), place("bob", BUY, 100, lots=2))
        .when(amend("alice", 1, quantity_lots=3))
        .nothing()
        .when(amend("alice", 1, quantity_lots=1))
        .then(amended(old_quantity_lots=3, quantity_lots=1, keeps_priority=True))
    )


def test_an_order_can_be_named_by_its_client_order_id() -> None:
    state = given(place("alice", BUY, 100, lots=5, client_order_id="mine"))
    state.when(amend("alice", 0, client_order_id="mine", price_ticks=90))
    state.then(amended(order_id=1)).when(cancel("alice", client_order_id="mine")).then(
        cancelled(order_id=1, price_ticks=90)
    )


def test_an_amendment_that_changes_nothing_stays_quiet() -> None:
    given(*TWO_BIDS).when(amend("alice", 1, price_ticks=100, quantity_lots=5)).nothing()


@pytest.mark.parametrize(
    ("account", "fields", "error"),
    [
        ("alice", {"order_id": 2, "price_ticks": 1}, UnknownOrder),
        ("alice", {"order_id": 9, "price_ticks": 1}, UnknownOrder),
        ("nobody", {"order_id": 1, "price_ticks": 1}, UnknownAccount),
        ("alice", {"order_id": 0, "price_ticks": 1}, BadField),
        ("alice", {"order_id": 1, "client_order_id": "x"}, BadField),
        ("alice", {"order_id": 1, "self_trade_prevention": "x"}, BadField),
        ("alice", {"order_id": 1, "price_ticks": -1}, NotPositive),
        ("alice", {"order_id": 1, "quantity_lots": -1}, NotPositive),
        ("alice", {"order_id": 1, "price_ticks": UNITS_MAX}, AmountTooLarge),
        ("alice", {"order_id": 1, "quantity_lots": 10_001}, InsufficientFunds),
    ],
)
def test_a_bad_amendment_is_refused(
    account: str, fields: dict[str, object], error: type[Rejected]
) -> None:
    given(*TWO_BIDS).when(amend(account, **fields)).refused(error)  # type: ignore[arg-type]


def test_a_post_only_order_is_not_amended_into_a_trade() -> None:
    state = given(place("alice", SELL, 100, lots=1), place("bob", BUY, 99, lots=1, post_only=True))
    state.when(amend("bob", 2, price_ticks=100)).refused(WouldTrade)


def test_a_cancel_only_market_takes_reductions_and_a_halted_one_nothing() -> None:
    state = given(*TWO_BIDS, set_status("cancel_only"))
    state.when(amend("alice", 1, quantity_lots=6)).refused(MarketCancelOnlyError)
    state.when(amend("alice", 1, price_ticks=90)).refused(MarketCancelOnlyError)
    state.when(amend("alice", 1, quantity_lots=4)).then(amended())
    state.when(set_status("halted"))
    state.when(amend("alice", 1, quantity_lots=3)).refused(MarketHaltedError)
