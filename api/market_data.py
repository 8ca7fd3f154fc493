"""Markets and what happens in them. Public: no key needed."""

from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Path, Query
from starlette.responses import Response

from api.documents import documents
from api.orders import market_named
from api.parameters import POSITION_MAX, FoldexDep, Limit, MinPosition, PageDep
from api.replies import reply
from domain import errors
from projections.views import Views

router = APIRouter(prefix="/v1", tags=["Market data"])

Symbol = Annotated[str, Path(max_length=33, examples=["BTC-USDT"])]
Interval = Literal[
    "1s",
    "1m",
    "3m",
    "5m",
    "15m",
    "30m",
    "1h",
    "2h",
    "4h",
    "6h",
    "8h",
    "12h",
    "1d",
    "3d",
    "1w",
    "1M",
]
TimeMs = Annotated[int | None, Query(ge=0, le=POSITION_MAX, examples=[1793265600000])]

_MARKET: Final = {
    "symbol": "BTC-USDT",
    "base_asset": "BTC",
    "quote_asset": "USDT",
    "tick_size": "0.01",
    "lot_size": "0.0001",
    "status": "open",
}
_TICKER: Final = {"market": "BTC-USDT", "last_price": "97000.00", "volume": "12.3400"}


@router.get("/markets", summary="Markets")
@documents(Views.markets, example=[_MARKET])
async def markets(foldex: FoldexDep, min_position: MinPosition = 0) -> Response:
    """Return every market: its assets, steps, minimum, fees and status."""
    found, position = await foldex.gateway.query(
        lambda views: views.markets(), min_position=min_position
    )
    return reply(found, position)


@router.get("/assets", summary="Assets")
@documents(Views.assets, example=[{"asset": "BTC", "decimals": 8}])
async def assets(foldex: FoldexDep, min_position: MinPosition = 0) -> Response:
    """Return every asset with its decimals."""
    found, position = await foldex.gateway.query(
        lambda views: views.assets(), min_position=min_position
    )
    return reply(found, position)


@router.get("/tickers", summary="All tickers")
@documents(Views.tickers, example=[_TICKER])
async def tickers(foldex: FoldexDep, min_position: MinPosition = 0) -> Response:
    """Return the last 24 hours of every market."""
    found, position = await foldex.gateway.query(
        lambda views: views.tickers(), min_position=min_position
    )
    return reply(found, position)


@router.get("/markets/{symbol}", summary="One market")
@documents(Views.market, example=_MARKET, refuses=(errors.UnknownMarket,))
async def market(symbol: Symbol, foldex: FoldexDep, min_position: MinPosition = 0) -> Response:
    """Return a market: its assets, steps, minimum, fees and status."""
    market_named(foldex.gateway.exchange, symbol)
    found, position = await foldex.gateway.query(
        lambda views: views.market(symbol), min_position=min_position
    )
    return reply(_shown(found, symbol), position)


@router.get("/markets/{symbol}/trades", summary="Trades")
@documents(
    Views.trades,
    example={"items": [{"trade_id": 88, "price": "97000.00", "quantity": "0.0150"}], "next": 88},
    refuses=(errors.UnknownMarket,),
)
async def market_trades(
    symbol: Symbol, foldex: FoldexDep, page: PageDep, min_position: MinPosition = 0
) -> Response:
    """Return a market's trades, newest first."""
    market_named(foldex.gateway.exchange, symbol)
    found, position = await foldex.gateway.query(
        lambda views: views.trades(symbol, after=page.after, limit=page.limit),
        min_position=min_position,
    )
    return reply(found, position)


@router.get("/markets/{symbol}/candles", summary="K-lines")
@documents(
    Views.candles,
    example=[
        {
            "open_time_ms": 1793265600000,
            "open": "96990.00",
            "high": "97010.00",
            "low": "96980.00",
            "close": "97000.00",
            "volume": "1.2000",
            "closed": True,
        }
    ],
    refuses=(errors.UnknownMarket,),
)
async def candles(
    *,
    symbol: Symbol,
    foldex: FoldexDep,
    interval: Annotated[Interval, Query(description="UTC; 1w begins on Monday, 1M on the 1st.")],
    start: TimeMs = None,
    end: TimeMs = None,
    limit: Limit = 500,
    min_position: MinPosition = 0,
) -> Response:
    """Return K-lines, oldest first; the last one may still be open (`closed` is false).

    start, end: ms since 1970, of the opening times. Without start: the newest `limit` ones.
    """
    market_named(foldex.gateway.exchange, symbol)
    found, position = await foldex.gateway.query(
        lambda views: views.candles(symbol, interval, start_ms=start, end_ms=end, limit=limit),
        min_position=min_position,
    )
    return reply(found, position)


@router.get("/markets/{symbol}/depth", summary="Order book")
@documents(
    Views.depth,
    example={
        "market": "BTC-USDT",
        "position": 90331,
        "bids": [["96999.00", "0.5000", 2]],
        "asks": [["97000.00", "0.1000", 1]],
    },
    refuses=(errors.UnknownMarket,),
)
async def depth(
    symbol: Symbol, foldex: FoldexDep, limit: Limit = 100, min_position: MinPosition = 0
) -> Response:
    """Return the book's best levels: price, open quantity, number of orders."""
    market_named(foldex.gateway.exchange, symbol)
    found, position = await foldex.gateway.query(
        lambda views: views.depth(symbol, limit=limit), min_position=min_position
    )
    return reply(_shown(found, symbol), position)


@router.get("/markets/{symbol}/ticker", summary="Ticker")
@documents(Views.ticker, example=_TICKER, refuses=(errors.UnknownMarket,))
async def ticker(symbol: Symbol, foldex: FoldexDep, min_position: MinPosition = 0) -> Response:
    """Return the market's last 24 hours: last price, change, high, low and volume."""
    market_named(foldex.gateway.exchange, symbol)
    found, position = await foldex.gateway.query(
        lambda views: views.ticker(symbol), min_position=min_position
    )
    return reply(_shown(found, symbol), position)


def _shown(found: Any, symbol: str) -> Any:
    """Raises: UnknownMarket: listed a moment ago, and not in the view yet."""
    if found is None:
        raise errors.UnknownMarket(f"There is no market {symbol!r}")
    return found
