"""Cancelling one order."""

from domain.errors import BadField, MarketHaltedError, UnknownAccount, UnknownOrder
from tests.given import (
    BUY,
    SELL,
    TICK,
    USDT_EACH,
    cancel,
    cancelled,
    given,
    place,
    set_status,
)

BID = place("alice", BUY, 100, lots=5, client_order_id="mine")


def test_a_cancelled_order_leaves_the_book_and_frees_its_hold() -> None:
    (
        given(BID)
        .when(cancel("alice", 1))
        .then(cancelled(order_id=1, remaining_lots=5, released=500 * TICK, reason="requested"))
        .receipt(order_id=1, status="cancelled")
        .book(BUY)
        .balance("alice", "USDT", free=USDT_EACH)
    )


def test_only_what_is_left_of_an_order_is_cancelled() -> None:
    (
        given(BID, place("bob", SELL, 100, lots=2))
        .when(cancel("alice", client_order_id="mine"))
        .then(cancelled(order_id=1, remaining_lots=3, released=300 * TICK, in_book=True))
    )


def test_an_order_that_is_not_the_accounts_own_and_open_is_unknown() -> None:
    state = given(BID)
    state.when(cancel("bob", 1)).refused(UnknownOrder)
    state.when(cancel("bob", client_order_id="mine")).refused(UnknownOrder)
    state.when(cancel("alice", 2)).refused(UnknownOrder)
    state.when(cancel("nobody", 1)).refused(UnknownAccount)
    state.when(cancel("alice", 1)).then(cancelled())
    state.when(cancel("alice", 1)).refused(UnknownOrder)


def test_exactly_one_id_names_the_order() -> None:
    state = given(BID)
    state.when(cancel("alice")).refused(BadField)
    state.when(cancel("alice", 1, client_order_id="mine")).refused(BadField)


def test_a_cancel_only_market_takes_cancels_and_a_halted_one_does_not() -> None:
    given(BID, set_status("cancel_only")).when(cancel("alice", 1)).then(cancelled())
    given(BID, set_status("halted")).when(cancel("alice", 1)).refused(MarketHaltedError)
