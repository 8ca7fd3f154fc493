"""A command's events are applied one by one: what the state says in the middle of them."""

from domain.snapshot import dump, load, state_hash
from tests.given import BUY, MARKET, NOW_MS, SELL, given, market_order, place

PRICE_UNITS = 100 * 1000
"""What one lot costs at 100 ticks, in units of quote."""


def test_an_order_stands_in_the_book_at_once_with_what_its_trades_will_leave() -> None:
    state = given(place("alice", SELL, 100, lots=3))
    before = load(dump(state.exchange))
    state.when(place("bob", BUY, 100, lots=5))

    before.apply(state.events[0])

    (order,) = before.accounts["bob"].open_orders.values()
    assert order.quantity_lots == 2
    assert before.accounts["bob"].balances["USDT"].held == 5 * PRICE_UNITS
    before.apply(state.events[1])
    assert before.accounts["bob"].balances["USDT"].held == 2 * PRICE_UNITS
    assert state_hash(before) == state_hash(state.exchange)


def test_an_order_that_does_not_rest_is_never_open_but_holds_what_it_pays() -> None:
    state = given(place("alice", SELL, 100, lots=3))
    before = load(dump(state.exchange))
    state.when(market_order("bob", BUY, quantity_lots=2))

    before.apply(state.events[0])

    assert before.accounts["bob"].open_orders == {}
    assert before.accounts["bob"].balances["USDT"].held == 2 * PRICE_UNITS
    before.apply(state.events[1])
    assert before.accounts["bob"].balances["USDT"].held == 0
    assert state_hash(before) == state_hash(state.exchange)


def test_a_state_kept_between_two_events_goes_on_as_the_live_one() -> None:
    state = given(place("alice", SELL, 100, lots=3), place("carol", SELL, 100, lots=1))
    kept = load(dump(state.exchange))
    state.when(place("bob", BUY, 100, lots=5))

    for event in state.events:
        kept = load(dump(kept))
        kept.apply(event)

    assert state_hash(kept) == state_hash(state.exchange)
    assert kept.markets[MARKET].bids.best_price_ticks == 100
    assert kept.time_ms == NOW_MS
