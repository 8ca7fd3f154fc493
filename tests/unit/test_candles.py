"""K-lines: buckets in UTC whatever the server's zone is, and prices from the trades alone."""

import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.events import (
    AccountOpened,
    AssetListed,
    DepositCredited,
    Event,
    MarketListed,
    OrderPlaced,
    TradeExecuted,
)
from eventstore.memory import open_memory
from projections.intervals import FIXED_MS, INTERVALS, next_open_ms, open_time_ms
from projections.runner import catch_up
from projections.sqlite import SQLiteViews
from projections.views import Views

MARKET = "BTC-USDT"


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1000


@pytest.mark.parametrize(
    ("interval", "time", "begin", "end"),
    [
        ("1m", "2024-02-29 23:59:59", "2024-02-29 23:59", "2024-03-01 00:00"),
        ("4h", "2024-02-29 23:59:59", "2024-02-29 20:00", "2024-03-01 00:00"),
        ("1d", "2024-02-29 23:59:59", "2024-02-29", "2024-03-01"),
        ("3d", "1970-01-05 00:00:00", "1970-01-04", "1970-01-07"),
        ("1w", "2024-03-03 23:59:59", "2024-02-26", "2024-03-04"),
        ("1w", "2024-03-04 00:00:00", "2024-03-04", "2024-03-11"),
        ("1M", "2024-02-29 23:59:59", "2024-02-01", "2024-03-01"),
        ("1M", "2023-12-31 23:59:59", "2023-12-01", "2024-01-01"),
    ],
)
def test_buckets_begin_and_end_where_the_calendar_says(
    interval: str, time: str, begin: str, end: str
) -> None:
    assert open_time_ms(interval, at(time)) == at(begin)
    assert next_open_ms(interval, at(begin)) == at(end)


@given(st.sampled_from(INTERVALS), st.integers(0, 4_102_444_800_000))
def test_each_time_is_in_exactly_one_bucket(interval: str, time_ms: int) -> None:
    begin = open_time_ms(interval, time_ms)
    end = next_open_ms(interval, begin)
    assert begin <= time_ms < end
    assert open_time_ms(interval, begin) == begin
    assert open_time_ms(interval, end) == end
    assert open_time_ms(interval, end - 1) == begin


@given(st.sampled_from(sorted(FIXED_MS)), st.integers(0, 4_102_444_800_000))
def test_the_server_s_time_zone_does_not_matter(interval: str, time_ms: int) -> None:
    expected = open_time_ms(interval, time_ms), open_time_ms("1M", time_ms)
    zone = os.environ.get("TZ")
    os.environ["TZ"] = "Pacific/Kiritimati"
    time.tzset()
    try:
        assert (open_time_ms(interval, time_ms), open_time_ms("1M", time_ms)) == expected
    finally:
        os.environ.pop("TZ")
        if zone is not None:
            os.environ["TZ"] = zone
        time.tzset()


@pytest.fixture
def views(tmp_path: Path) -> Iterator[Views]:
    reader = Views(SQLiteViews(tmp_path))
    yield reader
    reader.close()


def day(*trades: tuple[str, int, int]) -> list[Event]:
    """Return events in which one seller's deep order meets (time, price, lots) at its price."""
    start = at("2024-01-01")
    listed = MarketListed(start, MARKET, "BTC", "USDT", "0.01", "1", 1, 1, 0, 0, 0)
    events: list[Event] = [
        AssetListed(start, "BTC", 0),
        AssetListed(start, "USDT", 2),
        listed,
        AccountOpened(start, "a"),
        DepositCredited(start, "a", "BTC", 10**9, "d1"),
        DepositCredited(start, "a", "USDT", 10**9, "d2"),
    ]
    for number, (when, price, lots) in enumerate(trades, 1):
        now, maker, taker = at(when), 2 * number - 1, 2 * number
        quote = price * lots
        events += [
            OrderPlaced(
                now, MARKET, maker, "a", "sell", "limit", "gtc", price, lots, lots, lots, "", 0
            ),
            OrderPlaced(
                now, MARKET, taker, "a", "buy", "limit", "gtc", price, lots, quote, 0, "", 0
            ),
            TradeExecuted(
                now, MARKET, number, price, lots, lots, quote, "buy", maker, taker, "a", "a", 0, 0,
                0, 0,
            ),
        ]  # fmt: skip
    return events


def test_high_and_low_come_from_the_prices(tmp_path: Path, views: Views) -> None:
    with open_memory() as store:
        prices = (100, 130, 90, 110)
        events = day(*(("2024-01-01 00:00:10", price, 2) for price in prices))
        store.log.append(events, events[-1].time_ms)
        catch_up(store.log, SQLiteViews(tmp_path))
    (candle,) = views.candles(MARKET, "1m")
    shown = (candle.open, candle.high, candle.low, candle.close)
    assert shown == ("1.00", "1.30", "0.90", "1.10")
    assert (candle.volume, candle.quote_volume, candle.trades) == ("8", "8.60", 4)
    assert (candle.taker_buy_volume, candle.closed) == ("8", False)


def test_a_candle_is_closed_once_the_log_has_passed_it(tmp_path: Path, views: Views) -> None:
    with open_memory() as store:
        events = day(("2024-01-01 00:00:59", 100, 1), ("2024-01-01 00:03:00", 120, 1))
        store.log.append(events, events[-1].time_ms)
        catch_up(store.log, SQLiteViews(tmp_path))
    assert [each.closed for each in views.candles(MARKET, "1m")] == [True, False]
    filled = views.candles(MARKET, "1m", fill=True)
    assert [(each.close, each.trades) for each in filled] == [
        ("1.00", 1),
        ("1.00", 0),
        ("1.00", 0),
        ("1.20", 1),
    ]
    assert [len(views.candles(MARKET, interval)) for interval in ("5m", "1h", "1w", "1M")] == [
        1
    ] * 4


def test_candles_go_on_after_the_views_are_opened_again(tmp_path: Path, views: Views) -> None:
    events = day(("2024-01-01 00:00:10", 100, 1), ("2024-01-01 00:00:20", 130, 1))
    with open_memory() as store:
        store.log.append(events[:-3], events[-4].time_ms)
        catch_up(store.log, SQLiteViews(tmp_path))
        store.log.append(events[-3:], events[-1].time_ms)
        catch_up(store.log, SQLiteViews(tmp_path))
    (candle,) = views.candles(MARKET, "1m")
    assert (candle.open, candle.high, candle.trades) == ("1.00", "1.30", 2)


def test_the_ticker_looks_back_exactly_a_day(tmp_path: Path, views: Views) -> None:
    trades = (
        ("2024-01-01 12:00:29", 500, 1),
        ("2024-01-01 12:00:31", 100, 1),
        ("2024-01-02 01:00:00", 80, 2),
        ("2024-01-02 12:00:30", 125, 3),
    )
    with open_memory() as store:
        events = day(*trades)
        store.log.append(events, events[-1].time_ms)
        catch_up(store.log, SQLiteViews(tmp_path))
    ticker = views.ticker(MARKET)
    assert ticker is not None
    assert ticker is not None
    shown = (ticker.open, ticker.high, ticker.low, ticker.last)
    assert shown == ("1.00", "1.25", "0.80", "1.25")
    assert (ticker.volume, ticker.trades, ticker.change_percent) == ("6", 3, "25.00")
