"""Placing orders: limit and market, and how long they live."""

import pytest

from commands import place_order
from commands.list_market import ListMarket
from domain.errors import (
    AmountTooLarge,
    BadField,
    BelowMinimum,
    DuplicateClientOrderId,
    InsufficientFunds,
    MarketCancelOnlyError,
    MarketHaltedError,
    NoLiquidity,
    NotPositive,
    Rejected,
    TooManyOrders,
    UnknownAccount,
    UnknownMarket,
    WouldNotFill,
    WouldTrade,
)
from domain.units import UNITS_MAX
from tests.given import (
    BTC_EACH,
    BUY,
    LOT,
    NOW_MS,
    SELL,
    TICK,
    USDT_EACH,
    Given,
    cancelled,
    given,
    market_order,
    place,
    placed,
    set_status,
    trade,
)


def test_an_order_that_meets_nothing_rests_and_holds_its_worst_case() -> None:
    (
        given()
        .when(place("alice", BUY, 100, lots=5))
        .then(placed(order_id=1, hold=500 * TICK, resting_lots=5, filled_lots=0))
        .receipt(order_id=1, status="open", filled_lots=0)
        .book(BUY, (100, [1]))
        .balance("alice", "USDT", free=USDT_EACH - 500 * TICK, held=500 * TICK)
    )


def test_a_sell_order_holds_what_it_sells() -> None:
    (
        given()
        .when(place("alice", SELL, 100, lots=5))
        .then(placed(hold=5 * LOT))
        .balance("alice", "BTC", free=BTC_EACH - 5 * LOT, held=5 * LOT)
    )


def test_a_crossing_order_trades_at_the_price_of_the_resting_order() -> None:
    (
        given(place("alice", SELL, 100, lots=5))
        .when(place("bob", BUY, 101, lots=3))
        .then(
            placed(order_id=2, hold=303 * TICK, resting_lots=0, filled_lots=3),
            trade(1, 2, 100, lots=3, released=3 * TICK, maker_remaining_lots=2, trade_id=1),
        )
        .receipt(order_id=2, status="filled", filled_lots=3, filled_quote=300 * TICK)
        .book(SELL, (100, [1]))
        .book(BUY)
    )


def test_each_side_pays_its_fee_out_of_what_it_receives() -> None:
    (
        given(place("alice", SELL, 100, lots=5))
        .when(place("bob", BUY, 100, lots=5))
        .balance("bob", "USDT", free=USDT_EACH - 500 * TICK)
        .balance("bob", "BTC", free=BTC_EACH + 5 * LOT - 500)
        .balance("alice", "BTC", free=BTC_EACH - 5 * LOT)
        .balance("alice", "USDT", free=USDT_EACH + 500 * TICK - 500)
        .balance("fees", "BTC", free=500)
        .balance("fees", "USDT", free=500)
    )


def test_a_fee_is_rounded_up_so_that_no_trade_is_free() -> None:
    small = ListMarket(
        time_ms=NOW_MS, market="SML-USDT", base_asset="BTC", quote_asset="USDT",
        tick_size="0.00000001", lot_size="1", maker_fee_ppm=1, taker_fee_ppm=1,
    )  # fmt: skip
    state = given(small, place("alice", SELL, 1, lots=1, market="SML-USDT"))
    state.when(place("bob", BUY, 1, lots=1, market="SML-USDT"))
    state.balance("alice", "USDT", free=USDT_EACH + 1 - 1).balance("fees", "USDT", free=1)


def test_a_hold_covers_everything_the_order_can_cost_the_fee_included() -> None:
    """All the money in one order: the trade and its fee can never need more than was held."""
    lots = USDT_EACH // (1_000 * TICK)
    (
        given(place("alice", SELL, 1_000, lots=lots))
        .when(place("bob", BUY, 1_000, lots=lots))
        .balance("bob", "USDT", free=0)
        .balance("bob", "BTC", free=BTC_EACH + lots * LOT - lots * LOT // 1_000)
    )


def test_orders_trade_by_price_and_then_by_time() -> None:
    (
        given(
            place("alice", SELL, 101, lots=1),
            place("alice", SELL, 100, lots=1),
            place("carol", SELL, 100, lots=1),
        )
        .when(place("bob", BUY, 101, lots=3))
        .then(placed(), trade(2, 4, 100, 1), trade(3, 4, 100, 1), trade(1, 4, 101, 1))
    )


def test_a_sell_order_takes_the_highest_bid_first() -> None:
    (
        given(place("alice", BUY, 99, lots=1), place("alice", BUY, 100, lots=1))
        .when(place("bob", SELL, 99, lots=2))
        .then(placed(), trade(2, 3, 100, 1, released=0), trade(1, 3, 99, 1))
    )


def test_what_does_not_trade_at_once_rests() -> None:
    (
        given(place("alice", SELL, 100, lots=2))
        .when(place("bob", BUY, 100, lots=5))
        .then(placed(resting_lots=3), trade(1, 2, 100, 2))
        .receipt(status="partially_filled", filled_lots=2)
        .book(BUY, (100, [2]))
        .balance("bob", "USDT", free=USDT_EACH - 500 * TICK, held=300 * TICK)
    )


def test_an_immediate_or_cancel_order_does_not_rest() -> None:
    (
        given(place("alice", SELL, 100, lots=2))
        .when(place("bob", BUY, 101, lots=5, time_in_force="ioc"))
        .then(
            placed(resting_lots=0),
            trade(1, 2, 100, 2),
            cancelled(
                order_id=2, remaining_lots=3, released=303 * TICK, in_book=False, reason="expired"
            ),
        )
        .receipt(status="cancelled", filled_lots=2)
        .balance("bob", "USDT", free=USDT_EACH - 200 * TICK)
    )


def test_a_fill_or_kill_order_fills_whole_or_not_at_all() -> None:
    state = given(place("alice", SELL, 100, lots=2), place("alice", SELL, 101, lots=2))
    state.when(place("bob", BUY, 100, lots=3, time_in_force="fok")).refused(WouldNotFill)
    (
        state.when(place("bob", BUY, 101, lots=3, time_in_force="fok"))
        .then(placed(), trade(1, 3, 100, 2), trade(2, 3, 101, 1))
        .receipt(status="filled")
    )


def test_a_post_only_order_never_takes() -> None:
    state = given(place("alice", SELL, 100, lots=2))
    state.when(place("bob", BUY, 100, lots=1, post_only=True)).refused(WouldTrade)
    state.when(place("bob", BUY, 99, lots=1, post_only=True)).then(placed(post_only=True))


def test_a_market_order_to_buy_holds_exactly_what_its_fills_cost() -> None:
    (
        given(place("alice", SELL, 100, lots=2), place("alice", SELL, 110, lots=2))
        .when(market_order("bob", BUY, quantity_lots=3))
        .then(
            placed(price_ticks=0, hold=310 * TICK),
            trade(1, 3, 100, 2, released=0),
            trade(2, 3, 110, 1),
        )
        .balance("bob", "USDT", free=USDT_EACH - 310 * TICK)
    )


def test_what_a_market_order_cannot_fill_expires() -> None:
    (
        given(place("alice", BUY, 100, lots=2))
        .when(market_order("bob", SELL, quantity_lots=5))
        .then(placed(hold=5 * LOT), trade(1, 2, 100, 2), cancelled(released=3 * LOT))
        .balance("bob", "BTC", free=BTC_EACH - 2 * LOT)
    )


@pytest.mark.parametrize(("side", "maker"), [(BUY, SELL), (SELL, BUY)])
def test_a_market_order_by_amount_takes_the_whole_lots_it_pays_for(side: str, maker: str) -> None:
    (
        given(place("alice", maker, 100, lots=9))
        .when(market_order("bob", side, quote_amount=350 * TICK))
        .then(placed(quantity_lots=3, quote_budget=350 * TICK), trade(1, 2, 100, 3))
        .receipt(status="filled", filled_lots=3, filled_quote=300 * TICK)
    )


def test_a_market_order_needs_something_to_trade_with() -> None:
    state = given()
    state.when(market_order("bob", BUY, quantity_lots=1)).refused(NoLiquidity)
    state.when(market_order("bob", SELL, quote_amount=TICK)).refused(NoLiquidity)


def test_an_amount_too_small_for_one_lot_finds_no_liquidity() -> None:
    state = given(place("alice", SELL, 100, lots=1))
    state.when(market_order("bob", BUY, quote_amount=99 * TICK)).refused(NoLiquidity)


def test_the_last_price_is_that_of_the_last_trade() -> None:
    state = given(place("alice", SELL, 100, lots=2), place("bob", BUY, 105, lots=1))
    assert state.exchange.markets["BTC-USDT"].last_price_ticks == 100


def test_the_same_client_order_id_again_gives_the_first_result() -> None:
    order = place("alice", BUY, 100, lots=5, client_order_id="mine")
    given(order).when(order).nothing().receipt(order_id=1, status="open", repeated=True)


def test_the_first_result_is_given_although_the_market_has_halted_since() -> None:
    order = place("alice", BUY, 100, lots=5, client_order_id="mine")
    given(order, set_status("halted")).when(order).nothing().receipt(order_id=1)


def test_a_client_order_id_of_an_open_order_cannot_name_another() -> None:
    order = place("alice", BUY, 100, lots=5, client_order_id="mine")
    state = given(order)
    other = place("alice", BUY, 101, lots=5, client_order_id="mine")
    state.when(other).refused(DuplicateClientOrderId)
    state.when(place("bob", BUY, 100, lots=5, client_order_id="mine")).then(placed(order_id=2))


def test_a_client_order_id_is_free_again_once_its_order_is_closed() -> None:
    (
        given(
            place("alice", SELL, 100, lots=1, client_order_id="mine"),
            place("bob", BUY, 100, lots=1),
        )
        .when(place("alice", SELL, 100, lots=1, client_order_id="mine"))
        .then(placed(order_id=3, client_order_id="mine"))
    )


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"market": "NO-PE"}, UnknownMarket),
        ({"account": "nobody"}, UnknownAccount),
        ({"account": "fees"}, UnknownAccount),
        ({"lots": 0}, NotPositive),
        ({"lots": -1}, NotPositive),
        ({"price_ticks": 0}, NotPositive),
        ({"price_ticks": -1}, NotPositive),
        ({"price_ticks": UNITS_MAX}, AmountTooLarge),
        ({"side": SELL, "price_ticks": 1, "lots": UNITS_MAX}, AmountTooLarge),
        ({"side": "up"}, BadField),
        ({"type": "stop"}, BadField),
        ({"time_in_force": "day"}, BadField),
        ({"self_trade_prevention": "hope"}, BadField),
        ({"quote_amount": 5}, BadField),
        ({"type": "market"}, BadField),
        ({"post_only": True, "time_in_force": "ioc"}, BadField),
        ({"client_order_id": "a b"}, BadField),
        ({"client_order_id": "x" * 65}, BadField),
        ({"price_ticks": 1_001, "lots": 1_000}, InsufficientFunds),
        ({"side": SELL, "lots": 1_001}, InsufficientFunds),
    ],
)
def test_a_bad_limit_order_is_refused(fields: dict[str, object], error: type[Rejected]) -> None:
    order = {"account": "alice", "side": BUY, "price_ticks": 100, "lots": 1} | fields
    given().when(place(**order)).refused(error)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({}, NotPositive),
        ({"quantity_lots": -1}, NotPositive),
        ({"quote_amount": -1}, NotPositive),
        ({"quantity_lots": 1, "quote_amount": 1}, BadField),
        ({"quantity_lots": 1, "price_ticks": 1}, BadField),
        ({"quote_amount": 1, "time_in_force": "fok"}, BadField),
        ({"quote_amount": 1, "self_trade_prevention": "decrement"}, BadField),
        ({"quote_amount": UNITS_MAX + 1}, AmountTooLarge),
        ({"quantity_lots": UNITS_MAX}, AmountTooLarge),
        ({"quantity_lots": 20, "time_in_force": "fok"}, WouldNotFill),
        ({"quantity_lots": 9}, InsufficientFunds),
    ],
)
def test_a_bad_market_order_is_refused(fields: dict[str, object], error: type[Rejected]) -> None:
    dear = USDT_EACH // TICK // 8
    state = given(place("alice", SELL, dear, lots=9))
    state.when(market_order("bob", BUY, **fields)).refused(error)


def _with_minimum() -> Given:
    return given(
        ListMarket(
            time_ms=NOW_MS, market="MIN-USDT", base_asset="BTC", quote_asset="USDT",
            tick_size="0.01", lot_size="0.001", min_notional="0.01",
        ),
        place("alice", SELL, 100, lots=10, market="MIN-USDT"),
    )  # fmt: skip


def test_an_order_below_the_minimum_value_is_refused() -> None:
    state = _with_minimum()
    state.when(place("bob", BUY, 100, lots=9, market="MIN-USDT")).refused(BelowMinimum)
    state.when(place("bob", BUY, 99, lots=10, market="MIN-USDT")).refused(BelowMinimum)
    small = place("bob", BUY, 0, lots=9, market="MIN-USDT", type="market")
    state.when(small).refused(BelowMinimum)
    state.when(place("bob", BUY, 100, lots=10, market="MIN-USDT")).receipt(status="filled")


def test_a_market_that_does_not_trade_takes_no_orders() -> None:
    order = place("alice", BUY, 100, lots=1)
    given(set_status("halted")).when(order).refused(MarketHaltedError)
    given(set_status("cancel_only")).when(order).refused(MarketCancelOnlyError)
    given(set_status("halted"), set_status("open")).when(order).then(placed())


def test_an_account_has_a_limit_of_open_orders(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(place_order, "OPEN_ORDERS_MAX", 2)
    state = given(place("alice", BUY, 1, lots=1), place("alice", BUY, 1, lots=1))
    state.when(place("alice", BUY, 1, lots=1)).refused(TooManyOrders)
    state.when(place("bob", BUY, 1, lots=1)).then(placed())


def test_an_unfunded_order_is_refused_even_if_its_fills_alone_were_covered() -> None:
    """The hold is the worst case: the limit price for the whole quantity, also for IOC and FOK."""
    state = given(place("alice", SELL, 100, lots=1))
    for time_in_force in ("gtc", "ioc"):
        order = place("bob", BUY, 1_001, lots=1_000, time_in_force=time_in_force)
        state.when(order).refused(InsufficientFunds)


def test_a_market_order_by_amount_never_trades_past_a_better_order_that_is_still_there() -> None:
    """150 ticks' worth: one lot at 100 leaves 50, too little for another lot of the same bid."""
    (
        given(place("alice", BUY, 100, lots=2), place("carol", BUY, 50, lots=1))
        .when(market_order("bob", SELL, quote_amount=150 * TICK))
        .then(placed(quantity_lots=1), trade(1, 3, 100, 1, maker_remaining_lots=1))
        .book(BUY, (100, [1]), (50, [2]))
    )
