"""K-lines: open, high, low, close and volumes of each market and interval, exact, in UTC."""

import sqlite3
from collections.abc import Iterator
from typing import Any

import msgspec

from domain.events import Event, TradeExecuted
from domain.units import BUY
from projections.catalogue import Catalogue
from projections.intervals import INTERVALS, next_open_ms, open_time_ms
from projections.projection import Handler


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

    Trades come in order of time, once, so a candle never changes after a later one began.
    """

    schema = """
        CREATE TABLE candles (
            market TEXT NOT NULL, interval TEXT NOT NULL, open_ms INTEGER NOT NULL,
            close_ms INTEGER NOT NULL, open INTEGER NOT NULL, high INTEGER NOT NULL,
            low INTEGER NOT NULL, close INTEGER NOT NULL, volume TEXT NOT NULL,
            quote_volume TEXT NOT NULL, trades INTEGER NOT NULL, taker_buy_volume TEXT NOT NULL,
            taker_buy_quote_volume TEXT NOT NULL,
            PRIMARY KEY (market, interval, open_ms)) WITHOUT ROWID;
    """

    def __init__(self, db: sqlite3.Connection) -> None:
        self._live: dict[str, list[_Candle]] = {}
        self._changed: dict[tuple[str, str, int], _Candle] = {}
        rows = db.execute(
            "SELECT * FROM candles AS c WHERE open_ms = (SELECT max(open_ms) FROM candles"
            " WHERE market = c.market AND interval = c.interval)"
        )
        last = {(row[0], row[1]): _from_row(row) for row in rows}
        for market in {market for market, _ in last}:
            self._live[market] = [last[market, interval] for interval in INTERVALS]

    def handlers(self) -> dict[type[Event], Handler]:
        return {TradeExecuted: self._executed}

    def flush(self, db: sqlite3.Connection) -> None:
        db.executemany(
            f"INSERT OR REPLACE INTO candles VALUES ({', '.join('?' * 13)})",
            [_to_row(candle) for candle in self._changed.values()],
        )
        self._changed.clear()

    def _executed(self, _: int, event: TradeExecuted) -> None:
        live = self._live.get(event.market)
        if live is None:
            live = self._live[event.market] = [_first(interval, event) for interval in INTERVALS]
        for index, interval in enumerate(INTERVALS):
            candle = live[index]
            if event.time_ms >= candle.close_ms:
                candle = live[index] = _first(interval, event)
            _add(candle, event)
            self._changed[event.market, interval, candle.open_ms] = candle


def _first(interval: str, event: TradeExecuted) -> _Candle:
    """Return the empty candle that a trade begins."""
    begin = open_time_ms(interval, event.time_ms)
    end = next_open_ms(interval, begin)
    price = event.price_ticks
    return _Candle(event.market, interval, begin, end, price, price, price, price, 0, 0, 0, 0, 0)


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
    db: sqlite3.Connection,
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

    Without start_ms the newest `limit`. fill: also a candle of volume 0 at the close before for
    each bucket without a trade. now_ms: the time of the log's last event.
    """
    order = "ASC" if start_ms is not None else "DESC"
    rows = db.execute(
        "SELECT * FROM candles WHERE market = ? AND interval = ?"
        f" AND (? IS NULL OR open_ms >= ?) AND (? IS NULL OR open_ms <= ?) ORDER BY open_ms {order}"
        " LIMIT ?",
        (market, interval, start_ms, start_ms, end_ms, end_ms, limit),
    ).fetchall()
    candles = sorted(map(_from_row, rows), key=lambda candle: candle.open_ms)
    if fill:
        filled = list(_filled(candles, now_ms if end_ms is None else min(end_ms, now_ms)))
        candles = filled[:limit] if start_ms is not None else filled[-limit:]
    return [_view(catalogue, candle, now_ms) for candle in candles]


def _filled(candles: list[_Candle], end_ms: int) -> Iterator[_Candle]:
    before: _Candle | None = None
    for candle in candles:
        if before is not None:
            yield from _flat(before, candle.open_ms)
        yield candle
        before = candle
    if before is not None:
        yield from _flat(before, end_ms + 1)


def _flat(before: _Candle, end_ms: int) -> Iterator[_Candle]:
    """Yield empty candles at the close of the one before, until the one that begins at `end_ms`."""
    open_ms, price = before.close_ms, before.close
    while open_ms < end_ms:
        close_ms = next_open_ms(before.interval, open_ms)
        yield _Candle(
            before.market,
            before.interval,
            open_ms,
            close_ms,
            price,
            price,
            price,
            price,
            0,
            0,
            0,
            0,
            0,
        )
        open_ms = close_ms


def _from_row(row: tuple[Any, ...]) -> _Candle:
    return _Candle(*(*row[:8], int(row[8]), int(row[9]), row[10], int(row[11]), int(row[12])))


def _to_row(candle: _Candle) -> tuple[object, ...]:
    row = list(msgspec.structs.astuple(candle))
    for index in (8, 9, 11, 12):
        row[index] = str(row[index])
    return tuple(row)


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
