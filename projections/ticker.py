"""The 24-hour ticker: computed when asked, from trades and one-minute candles."""

import msgspec

from domain.units import format_units
from projections.catalogue import Catalogue
from projections.database import Reading
from projections.depth import read_depth
from projections.trades import read_trades

WINDOW_MS = 24 * 60 * 60 * 1000
_MINUTE_MS = 60 * 1000


class TickerView(msgspec.Struct, frozen=True):
    """The 24 hours up to close_ms, that of the log's last event. Decimal strings, empty for none.

    last: of the last trade, however long ago. change: from open to last, change_percent: the same
    with two decimals, rounded toward zero; both empty when nothing traded in the 24 hours.
    """

    market: str
    open_ms: int
    close_ms: int
    open: str
    high: str
    low: str
    last: str
    change_percent: str
    volume: str
    quote_volume: str
    trades: int
    bid: str
    bid_quantity: str
    ask: str
    ask_quantity: str
    change: str = ""


class _Window(msgspec.Struct):
    open: int = 0
    high: int = 0
    low: int = 0
    close: int = 0
    volume: int = 0
    quote_volume: int = 0
    trades: int = 0

    def add(self, prices: tuple[int, int, int, int], volume: int, quote: int, trades: int) -> None:
        first, high, low, last = prices
        self.open = self.open or first
        self.high = max(self.high, high)
        self.low = min(self.low or low, low)
        self.close = last
        self.volume += volume
        self.quote_volume += quote
        self.trades += trades


def read_ticker(db: Reading, catalogue: Catalogue, market: str, now_ms: int) -> TickerView:
    """Return the ticker of the 24 hours before now_ms: exact to the millisecond."""
    start_ms = now_ms - WINDOW_MS + 1
    window = _window(db, market, start_ms)
    depth = read_depth(db, catalogue, market, 1, 0)
    bid = depth.bids[0] if depth.bids else ("", "", 0)
    ask = depth.asks[0] if depth.asks else ("", "", 0)
    quote_asset = catalogue.markets[market].quote_asset
    first, high, low, last, change = (
        catalogue.price(market, ticks) if window.trades else ""
        for ticks in (
            window.open,
            window.high,
            window.low,
            window.close,
            window.close - window.open,
        )
    )
    return TickerView(
        market,
        start_ms,
        now_ms,
        first,
        high,
        low,
        last or _last_price(db, catalogue, market),
        _percent(window),
        catalogue.quantity(market, window.volume),
        catalogue.amount(quote_asset, window.quote_volume),
        window.trades,
        bid[0],
        bid[1],
        ask[0],
        ask[1],
        change,
    )


def _last_price(db: Reading, catalogue: Catalogue, market: str) -> str:
    trades = read_trades(db, catalogue, market, None, 1).items
    return trades[0].price if trades else ""


def _window(db: Reading, market: str, start_ms: int) -> _Window:
    """Fold the trades of the first, ragged minute and the whole minutes after it."""
    whole_ms = -(-start_ms // _MINUTE_MS) * _MINUTE_MS
    window = _Window()
    for price, lots, quote in db.rows(
        "SELECT price_ticks, quantity_lots, quote_amount FROM trades"
        " WHERE market = ? AND time_ms >= ? AND time_ms < ? ORDER BY trade_id",
        (market, start_ms, whole_ms),
    ):
        window.add((price, price, price, price), lots, quote, 1)
    for row in db.rows(
        "SELECT open, high, low, close, volume, quote_volume, trades FROM candles"
        " WHERE market = ? AND interval = '1m' AND open_ms >= ? ORDER BY open_ms",
        (market, whole_ms),
    ):
        window.add(row[:4], row[4], row[5], row[6])
    return window


def _percent(window: _Window) -> str:
    if not window.trades:
        return ""
    change = window.close - window.open
    hundredths = abs(change) * 10_000 // window.open
    return format_units(-hundredths if change < 0 else hundredths, 2)
