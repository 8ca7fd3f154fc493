"""What readers of the views are told about orders, trades, candles and events."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from commands.amend_order import AmendOrder
from commands.command import Command
from commands.registry import handle
from commands.request_withdrawal import RequestWithdrawal
from commands.settle_withdrawal import ApproveWithdrawal, CompleteWithdrawal
from domain.errors import Rejected
from domain.exchange import Exchange
from eventstore.memory import open_memory
from projections.intervals import INTERVALS
from projections.page import Page
from projections.runner import catch_up
from projections.sqlite import SQLiteViews
from projections.views import Views
from tests.given import BUY, MARKET, NOW_MS, OPENING, SELL, place

MINUTE_MS = 60_000
DAY_MS = 86_400_000

Play = Callable[..., Views]


@pytest.fixture
def play(tmp_path: Path) -> Iterator[Play]:
    """Return the views of a day of commands, each of which is accepted."""
    views = Views(SQLiteViews(tmp_path))
    exchange = Exchange()
    with open_memory() as store:

        def run(*commands: Command) -> Views:
            for command in commands if exchange.position else (*OPENING, *commands):
                events, outcome = handle(exchange, command)
                assert not isinstance(outcome, Rejected), f"{command}: {outcome!r}"
                exchange.apply_all(events)
                store.log.append(events, exchange.time_ms)
            catch_up(store.log, SQLiteViews(tmp_path))
            return views

        yield run
    views.close()


def at(minutes: int) -> dict[str, Any]:
    return {"time_ms": NOW_MS // DAY_MS * DAY_MS + DAY_MS + minutes * MINUTE_MS}


def test_an_order_shows_what_it_filled_at_which_average_price_and_fee(play: Play) -> None:
    views = play(
        place("alice", SELL, 100, 1),
        place("alice", SELL, 101, 2),
        place("bob", BUY, 102, 5, client_order_id="mine"),
    )
    order = views.order("bob", client_order_id="mine")
    assert order is not None
    assert (order.status, order.reason) == ("partially_filled", "")
    assert (order.quantity, order.filled_quantity, order.open_quantity) == (
        "0.005",
        "0.003",
        "0.002",
    )
    # (1.00 + 1.01 * 2) / 3 = 1.00666…67, rounded half to even to the quote's 8 decimals.
    assert (order.filled_quote, order.average_price) == ("0.00302000", "1.00666667")
    assert (order.fee, order.fee_asset) == ("0.00000300", "BTC")
    sold = views.order("alice", order_id=1)
    assert sold is not None
    assert (sold.status, sold.open_quantity, sold.fee_asset) == ("filled", "0.000", "USDT")


def test_an_order_of_another_account_is_not_shown(play: Play) -> None:
    views = play(place("alice", SELL, 100, 1))
    assert views.order("bob", order_id=1) is None
    assert views.order("alice", order_id=1) is not None


def test_what_an_immediate_order_leaves_is_cancelled_as_expired(play: Play) -> None:
    views = play(place("alice", SELL, 100, 1), place("bob", BUY, 100, 3, time_in_force="ioc"))
    order = views.order("bob", order_id=2)
    assert order is not None
    assert (order.status, order.reason, order.filled_quantity) == ("cancelled", "expired", "0.001")
    assert views.open_orders("bob").items == []


def test_an_amended_order_shows_its_new_size_and_place_in_the_book(play: Play) -> None:
    views = play(
        place("alice", SELL, 100, 5),
        place("bob", BUY, 100, 2),
        AmendOrder(**at(1), account="alice", order_id=1, price_ticks=110, quantity_lots=7),
    )
    order = views.order("alice", order_id=1)
    assert order is not None
    assert (order.price, order.quantity, order.open_quantity) == ("1.10", "0.009", "0.007")
    assert (order.status, order.updated_ms) == ("partially_filled", at(1)["time_ms"])
    depth = views.depth(MARKET)
    assert depth is not None
    assert (depth.bids, depth.asks) == ([], [("1.10", "0.007", 1)])


def test_a_trade_with_oneself_is_shown_from_both_sides(play: Play) -> None:
    views = play(
        place("alice", SELL, 100, 1), place("alice", BUY, 100, 1, self_trade_prevention="none")
    )
    own = views.account_trades("alice").items
    assert [(each.role, each.side, each.order_id) for each in own] == [
        ("maker", "sell", 1),
        ("taker", "buy", 2),
    ]
    assert [each.order_id for each in views.account_trades("alice", order_id=2).items] == [2]
    assert [each.order_id for each in views.account_trades("alice", order_id=1).items] == [1]
    assert views.account_trades("bob", order_id=1).items == []


def test_pages_of_own_trades_statement_and_events_join_without_gap_or_repeat(play: Play) -> None:
    views = play(
        *(place("alice", SELL, 100 + n, 1) for n in range(9)),
        *(place("bob", BUY, 100 + n, 1) for n in range(9)),
        *(place("alice", BUY, 90 + n, 1) for n in range(4)),
        *(place("bob", SELL, 93 - n, 1) for n in range(4)),
    )
    lists: dict[str, Callable[[int | None], Page[Any]]] = {
        "own": lambda after: views.account_trades("alice", after=after, limit=4),
        "statement": lambda after: views.statement("alice", after=after, limit=4),
        "of an asset": lambda after: views.statement("bob", "BTC", after=after, limit=4),
        "events": lambda after: views.events(account="bob", after=after, limit=4),
        "orders": lambda after: views.order_history("alice", after=after, limit=4),
    }
    for name, ask in lists.items():
        joined = list(_walk(ask))
        assert joined == sorted(set(joined), reverse=name != "events"), name
        assert len(joined) >= 13, name


def _walk(ask: Callable[[int | None], Page[Any]]) -> Iterator[int]:
    found = ask(None)
    while True:
        assert len(found.items) <= 4
        yield from (item.id for item in found.items)
        if found.next is None:
            return
        found = ask(found.next)


def test_events_are_found_by_what_they_are_about(play: Play) -> None:
    views = play(place("alice", SELL, 100, 2), place("bob", BUY, 100, 1))

    def types(**by: str | int) -> list[str]:
        return [each.type for each in views.events(**by).items]  # type: ignore[arg-type]

    # The trade is about both orders and both accounts.
    assert types(order_id=1) == ["order_placed.v1", "trade_executed.v1"]
    assert types(order_id=2) == ["order_placed.v1", "trade_executed.v1"]
    assert types(account="alice", type="trade_executed.v1") == ["trade_executed.v1"]
    assert types(account="bob", order_id=1) == ["trade_executed.v1"]
    assert types(market=MARKET, type="market_listed.v1") == ["market_listed.v1"]
    assert types(stream="account:carol")[0] == "account_opened.v1"
    assert types(account="carol", market=MARKET) == []


def test_a_withdrawal_shows_each_step(play: Play) -> None:
    request = RequestWithdrawal(
        **at(0), account="alice", asset="BTC", amount=5, address="there", request_id="r1"
    )
    views = play(request, ApproveWithdrawal(**at(1), withdrawal_id=1, approved_by="carol"))
    assert [each.status for each in views.withdrawals(status="approved").items] == ["approved"]
    assert views.balances("alice")[0].held == "0.00000005"
    play(CompleteWithdrawal(**at(2), withdrawal_id=1, txid="0xab"))
    done = views.withdrawal(1)
    assert done is not None
    assert (done.status, done.decided_by, done.txid) == ("completed", "carol", "0xab")
    assert (done.amount, done.created_ms, done.updated_ms) == (
        "0.00000005", at(0)["time_ms"], at(2)["time_ms"],
    )  # fmt: skip
    assert views.withdrawals(status="approved").items == []
    assert views.withdrawals("bob").items == []


def test_a_trade_is_in_one_candle_of_every_interval(play: Play) -> None:
    views = play(place("alice", SELL, 100, 2, **at(0)), place("bob", BUY, 100, 1, **at(0)))
    for interval in INTERVALS:
        (candle,) = views.candles(MARKET, interval)
        assert candle.open_ms <= at(0)["time_ms"] < candle.close_ms, interval
        assert (candle.trades, candle.volume, candle.closed) == (1, "0.001", False), interval


def test_gaps_are_filled_from_the_close_before_only_when_asked(play: Play) -> None:
    views = play(
        place("alice", SELL, 100, 5, **at(0)),
        place("bob", BUY, 100, 1, **at(0)),
        place("bob", BUY, 100, 1, **at(4)),
        place("bob", BUY, 90, 1, **at(6)),
    )
    start = at(0)["time_ms"]

    def shown(**more: int) -> list[tuple[int, int]]:
        candles = views.candles(MARKET, "1m", fill=True, **more)
        return [((each.open_ms - start) // MINUTE_MS, each.trades) for each in candles]

    assert [each.trades for each in views.candles(MARKET, "1m")] == [1, 1]
    assert shown() == [(0, 1), (1, 0), (2, 0), (3, 0), (4, 1), (5, 0), (6, 0)]
    assert shown(limit=2) == [(5, 0), (6, 0)]
    assert shown(start_ms=at(2)["time_ms"], limit=3) == [(2, 0), (3, 0), (4, 1)]
    assert shown(start_ms=at(2)["time_ms"] - 1, end_ms=at(3)["time_ms"]) == [(2, 0), (3, 0)]
    assert shown(start_ms=at(-5)["time_ms"], end_ms=at(1)["time_ms"]) == [(0, 1), (1, 0)]
    assert shown(end_ms=at(-1)["time_ms"]) == []
    assert {each.close for each in views.candles(MARKET, "1m", fill=True)} == {"1.00"}


def test_the_ticker_keeps_the_last_price_when_the_day_is_over(play: Play) -> None:
    views = play(
        place("alice", SELL, 100, 5, **at(0)),
        place("bob", BUY, 100, 1, **at(0)),
        place("bob", BUY, 90, 1, **at(1440)),
    )
    ticker = views.ticker(MARKET)
    assert ticker is not None
    assert (ticker.last, ticker.open, ticker.trades, ticker.volume) == ("1.00", "", 0, "0.000")
    assert (ticker.bid, ticker.ask, ticker.ask_quantity) == ("0.90", "1.00", "0.004")


def test_an_unknown_market_has_no_book_and_no_ticker(play: Play) -> None:
    views = play()
    assert (views.market("NO-NO"), views.depth("NO-NO"), views.ticker("NO-NO")) == (None,) * 3
    assert views.candles("NO-NO", "1m", fill=True) == []
    assert views.trades("NO-NO").items == []
