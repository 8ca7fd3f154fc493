"""Cancelling everything an account has open."""

from commands.list_market import ListMarket
from domain.errors import MarketHaltedError, UnknownAccount, UnknownMarket
from tests.given import (
    BTC_EACH,
    BUY,
    NOW_MS,
    SELL,
    USDT_EACH,
    Given,
    cancel_all,
    cancelled,
    given,
    place,
    set_status,
)


def _orders() -> Given:
    return given(
        ListMarket(
            time_ms=NOW_MS, market="BTC-EUR", base_asset="BTC", quote_asset="USDT",
            tick_size="0.01", lot_size="0.001",
        ),
        place("alice", BUY, 100, lots=1),
        place("bob", BUY, 100, lots=1),
        place("alice", SELL, 110, lots=1, market="BTC-EUR"),
        place("alice", SELL, 110, lots=1),
    )  # fmt: skip


def test_all_orders_of_the_account_are_cancelled_oldest_first() -> None:
    (
        _orders()
        .when(cancel_all("alice"))
        .then(cancelled(order_id=1), cancelled(order_id=3), cancelled(order_id=4))
        .receipt(status="cancelled")
        .balance("alice", "BTC", free=BTC_EACH)
        .balance("alice", "USDT", free=USDT_EACH)
        .book(BUY, (100, [2]))
    )


def test_only_one_markets_orders_when_it_is_named() -> None:
    _orders().when(cancel_all("alice", "BTC-EUR")).then(cancelled(order_id=3))


def test_halted_markets_are_passed_over_but_refused_when_named() -> None:
    state = _orders().when(set_status("halted"))
    state.when(cancel_all("alice", "BTC-USDT")).refused(MarketHaltedError)
    state.when(cancel_all("alice")).then(cancelled(order_id=3))


def test_nothing_to_cancel_stays_quiet() -> None:
    state = given().when(cancel_all("alice"))
    assert state.events == []


def test_unknown_names_are_refused() -> None:
    given().when(cancel_all("nobody")).refused(UnknownAccount)
    given().when(cancel_all("alice", "NO-PE")).refused(UnknownMarket)
