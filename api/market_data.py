"""Markets and what happens in them. Public: no key needed."""

from collections.abc import Callable
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from starlette.responses import Response

from api import examples
from api.documents import documents
from api.parameters import POSITION_MAX, FromViews, Limit, PageDep, Symbol, ViewAnswer
from api.problems import ViewBehind
from domain import errors
from projections.views import Views

router = APIRouter(prefix="/v1", tags=["Market data"])

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


@router.get("/markets", summary="Markets")
@documents(Views.markets, example=[examples.MARKET])
async def markets(answer: FromViews) -> Response:
    """Return every market: its assets, steps, minimum, fees and status."""
    return await answer(lambda views: views.markets())


@router.get("/assets", summary="Assets")
@documents(Views.assets, example=[{"asset": "BTC", "decimals": 8}])
async def assets(answer: FromViews) -> Response:
    """Return every asset with its decimals."""
    return await answer(lambda views: views.assets())


@router.get("/tickers", summary="All tickers")
@documents(Views.tickers, example=[examples.TICKER])
async def tickers(answer: FromViews) -> Response:
    """Return the last 24 hours of every market."""
    return await answer(lambda views: views.tickers())


@router.get("/markets/{symbol}", summary="One market")
@documents(Views.market, example=examples.MARKET, refuses=(errors.UnknownMarket,))
async def market(symbol: Symbol, answer: FromViews) -> Response:
    """Return a market: its assets, steps, minimum, fees and status."""
    return await _of_market(answer, symbol, lambda views: views.market(symbol))


@router.get("/markets/{symbol}/trades", summary="Trades")
@documents(Views.trades, example=examples.page_of(examples.TRADE), refuses=(errors.UnknownMarket,))
async def market_trades(symbol: Symbol, answer: FromViews, page: PageDep) -> Response:
    """Return a market's trades, newest first."""
    return await _of_market(
        answer, symbol, lambda views: views.trades(symbol, after=page.after, limit=page.limit)
    )


@router.get("/markets/{symbol}/candles", summary="K-lines")
@documents(Views.candles, example=[examples.CANDLE], refuses=(errors.UnknownMarket,))
async def candles(
    *,
    symbol: Symbol,
    answer: FromViews,
    interval: Annotated[Interval, Query(description="UTC; 1w begins on Monday, 1M on the 1st.")],
    start: TimeMs = None,
    end: TimeMs = None,
    limit: Limit = 500,
) -> Response:
    """Return K-lines, oldest first; the last one may still be open (`closed` is false).

    start, end: ms since 1970, of the opening times. Without start: the newest `limit` ones.
    """
    return await _of_market(
        answer,
        symbol,
        lambda views: views.candles(symbol, interval, start_ms=start, end_ms=end, limit=limit),
    )


@router.get("/markets/{symbol}/depth", summary="Order book")
@documents(Views.depth, example=examples.DEPTH, refuses=(errors.UnknownMarket,))
async def depth(symbol: Symbol, answer: FromViews, limit: Limit = 100) -> Response:
    """Return the book's best levels: price, open quantity, number of orders."""
    return await _of_market(answer, symbol, lambda views: views.depth(symbol, limit=limit))


@router.get("/markets/{symbol}/ticker", summary="Ticker")
@documents(Views.ticker, example=examples.TICKER, refuses=(errors.UnknownMarket,))
async def ticker(symbol: Symbol, answer: FromViews) -> Response:
    """Return the market's last 24 hours: last price, change, high, low and volume."""
    return await _of_market(answer, symbol, lambda views: views.ticker(symbol))


async def _of_market(answer: ViewAnswer, symbol: str, ask: Callable[[Views], Any]) -> Response:
    """Raises: UnknownMarket; ViewBehind: listed a moment ago, and not in the views yet.

    The engine is asked only about markets that the views do not have.
    """

    def ask_when_listed(views: Views) -> Any:
        if views.market(symbol) is None:
            raise _NotInViews
        return ask(views)

    try:
        return await answer(ask_when_listed)
    except _NotInViews:
        await answer.gateway.market(symbol)
        raise ViewBehind(f"{symbol} is not in the views yet") from None


class _NotInViews(Exception):
    """The views know no such market."""
