"""K-lines: open, high, low, close and volumes of each market and interval, exact, in UTC."""

from collections.abc import Iterator
from itertools import islice
from typing import ClassVar

import msgspec

from domain.events import Event, TradeExecuted
from domain.units import BUY
from projections.catalogue import Catalogue
from projections.database import Reading, Upsert, Write
from projections.intervals import INTERVALS, next_open_ms, open_time_ms
from projections.page import where
from projections.projection import Handler
from projections.table import Table

_CANDLES = Table(
    "candles",
    "market TEXT, interval TEXT, open_ms INTEGER, close_ms INTEGER, open INTEGER, high INTEGER,"
    " low INTEGER, close INTEGER, volume AMOUNT, quote_volume AMOUNT, trades INTEGER,"
    " taker_buy_volume AMOUNT, taker_buy_quote_volume AMOUNT",
    key="market, interval, open_ms",
)


class _Candle(msgspec.Struct):
    """Prices in ticks, volumes in lots, quote volumes in units, of the trades so far."""

    market: str
    interval: str
    open_ms: int
    close_ms: int
    open: int
    high: int
    low: int
    close: int
    volume: int
    quote_volume: int
    trades: int
    taker_buy_volume: int
    taker_buy_quote_volume: int


class Candles:
    """The candle that is being made, for each market and interval, stays in memory.

    Trades come in order of time, once, so a candle never changes after a later one began. A batch
    is folded into seconds first, and those into all intervals when it is written: under load a
    second holds many trades.
    """

    TABLES: ClassVar = [_CANDLES]

    def __init__(self) -> None:
        self._live: dict[str, list[_Candle]] = {}
        self._seconds: dict[tuple[str, int], _Candle] = {}

    def load(self, db: Reading, market: str) -> None:
        live = [_last(db, market, interval) for interval in INTERVALS]
        if live[0] is not None:
            self._live[market] = [candle for candle in live if candle is not None]

    def handlers(self) -> dict[type[Event], Handler]:
        return {TradeExecuted: self._executed}

    def writes(self) -> list[Write]:
        changed: dict[tuple[str, str, int], _Candle] = {}
        for second in self._seconds.values():
            for candle in self._merge(second):
                changed[candle.market, candle.interval, candle.open_ms] = candle
        self._seconds.clear()
        return [Upsert(_CANDLES, [msgspec.structs.astuple(each) for each in changed.values()])]

    def _executed(self, _: int, event: TradeExecuted) -> None:
        key = (event.market, event.time_ms // 1000)
        second = self._seconds.get(key)
        if second is None:
            price = event.price_ticks
            second = self._seconds[key] = _empty(event.market, "1s", event.time_ms, price)
        _add(second, event)

    def _merge(self, second: _Candle) -> list[_Candle]:
        """Return the candle of each interval, with the trades of one second of this batch."""
        market, price = second.market, second.open
        live = self._live.get(market)
        if live is None:
            live = [_empty(market, interval, second.open_ms, price) for interval in INTERVALS]
            self._live[market] = live
        for index, interval in enumerate(INTERVALS):
            if second.open_ms >= live[index].close_ms:
                live[index] = _empty(market, interval, second.open_ms, price)
            _join(live[index], second)
        return live


def _last(db: Reading, market: str, interval: str, before_ms: int | None = None) -> _Candle | None:
    """Return the newest candle, or the newest that begins before a time."""
    clause, values = where(("market = ?", market), ("interval = ?", interval),
                           ("open_ms < ?", before_ms))  # fmt: skip
    row = db.row(f"SELECT * FROM candles {clause} ORDER BY open_ms DESC LIMIT 1", values)
    return None if row is None else _Candle(*row)


def _empty(market: str, interval: str, time_ms: int, price: int) -> _Candle:
    """Return the candle, without trades yet, that a trade at a time and price begins."""
    begin = open_time_ms(interval, time_ms)
    end = next_open_ms(interval, begin)
    return _Candle(market, interval, begin, end, price, price, price, price, 0, 0, 0, 0, 0)


def _add(candle: _Candle, event: TradeExecuted) -> None:
    price = event.price_ticks
    candle.high = max(candle.high, price)
    candle.low = min(candle.low, price)
    candle.close = price
    candle.volume += event.quantity_lots
    candle.quote_volume += event.quote_amount
    candle.trades += 1
    if event.taker_side == BUY:
        candle.taker_buy_volume += event.quantity_lots
        candle.taker_buy_quote_volume += event.quote_amount


def _join(candle: _Candle, later: _Candle) -> None:
    candle.high = max(candle.high, later.high)
    candle.low = min(candle.low, later.low)
    candle.close = later.close
    candle.volume += later.volume
    candle.quote_volume += later.quote_volume
    candle.trades += later.trades
    candle.taker_buy_volume += later.taker_buy_volume
    candle.taker_buy_quote_volume += later.taker_buy_quote_volume


class CandleView(msgspec.Struct, frozen=True):
    """A K-line from open_ms up to, not including, close_ms (ms UTC). Decimal strings.

    closed: the log has passed close_ms, so it never changes again.
    """

    open_ms: int
    close_ms: int
    open: str
    high: str
    low: str
    close: str
    volume: str
    quote_volume: str
    trades: int
    taker_buy_volume: str
    taker_buy_quote_volume: str
    closed: bool


def read_candles(
    db: Reading,
    catalogue: Catalogue,
    market: str,
    interval: str,
    *,
    start_ms: int | None,
    end_ms: int | None,
    limit: int,
    now_ms: int,
    fill: bool = False,
) -> list[CandleView]:
    """Return candles that begin from start_ms up to and including end_ms, oldest first.

    Without start_ms the newest `limit`. fill: also a candle of volume 0 at the close before, for
    each bucket without a trade from the market's first candle to now. now_ms: the time of the
    log's last event.
    """
    if market not in catalogue.markets:
        return []
    if fill:
        end_ms = now_ms if end_ms is None else min(end_ms, now_ms)
        if start_ms is None:
            start_ms = _opens_back(interval, end_ms, limit)
    order = "ASC" if start_ms is not None else "DESC"
    clause, values = where(
        ("market = ?", market), ("interval = ?", interval), ("open_ms >= ?", start_ms),
        ("open_ms <= ?", end_ms),
    )  # fmt: skip
    rows = db.rows(
        f"SELECT * FROM candles {clause} ORDER BY open_ms {order} LIMIT ?", (*values, limit)
    )
    candles = sorted((_Candle(*row) for row in rows), key=lambda candle: candle.open_ms)
    if fill and start_ms is not None and end_ms is not None:
        before = _last(db, market, interval, start_ms)
        candles = list(islice(_filled(before, candles, start_ms, end_ms), limit))
    return [_view(catalogue, candle, now_ms) for candle in candles]


def _opens_back(interval: str, end_ms: int, buckets: int) -> int:
    """Return when the first of so many buckets begins, of which the last holds `end_ms`."""
    open_ms = open_time_ms(interval, end_ms)
    for _ in range(buckets - 1):
        if open_ms <= 0:
            break
        open_ms = open_time_ms(interval, open_ms - 1)
    return open_ms


def _filled(
    before: _Candle | None, candles: list[_Candle], start_ms: int, end_ms: int
) -> Iterator[_Candle]:
    """Yield the candles from start_ms to end_ms, and a flat one wherever one is missing."""
    for candle in candles:
        if before is not None:
            yield from _flat(before, start_ms, candle.open_ms - 1)
        yield candle
        before = candle
    if before is not None:
        yield from _flat(before, start_ms, end_ms)


def _flat(before: _Candle, start_ms: int, end_ms: int) -> Iterator[_Candle]:
    """Yield empty candles at the close of the one before, that begin from start_ms to end_ms."""
    interval, price = before.interval, before.close
    open_ms = before.close_ms
    if open_ms < start_ms:
        open_ms = open_time_ms(interval, start_ms)
        if open_ms < start_ms:
            open_ms = next_open_ms(interval, open_ms)
    while open_ms <= end_ms:
        flat = _empty(before.market, interval, open_ms, price)
        yield flat
        open_ms = flat.close_ms


def _view(catalogue: Catalogue, candle: _Candle, now_ms: int) -> CandleView:
    market, quote = candle.market, catalogue.markets[candle.market].quote_asset
    return CandleView(
        candle.open_ms,
        candle.close_ms,
        catalogue.price(market, candle.open),
        catalogue.price(market, candle.high),
        catalogue.price(market, candle.low),
        catalogue.price(market, candle.close),
        catalogue.quantity(market, candle.volume),
        catalogue.amount(quote, candle.quote_volume),
        candle.trades,
        catalogue.quantity(market, candle.taker_buy_volume),
        catalogue.amount(quote, candle.taker_buy_quote_volume),
        now_ms >= candle.close_ms,
    )
