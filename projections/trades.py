"""Trades: the public tape of each market, and each account's own."""

from collections import defaultdict
from itertools import groupby
from typing import ClassVar

import msgspec
from msgspec.structs import astuple

from domain.events import Event, TradeExecuted
from domain.units import BUY, SELL
from projections.catalogue import Catalogue
from projections.database import Insert, Reading, Row, Write
from projections.page import Page, page, where
from projections.pages import append, read_newest, read_second
from projections.projection import Handler
from projections.table import Series, Table

_DAY_MS = 24 * 60 * 60 * 1000
_TRADES = Table(
    "trades",
    "position INTEGER, time_ms INTEGER, market TEXT, trade_id INTEGER, price_ticks INTEGER,"
    " quantity_lots INTEGER, quote_amount INTEGER, taker_side TEXT, maker_order_id INTEGER,"
    " taker_order_id INTEGER, maker_account TEXT, taker_account TEXT, maker_fee INTEGER,"
    " taker_fee INTEGER",
    key="market, trade_id",
    indexes={"trades_by_time": "(market, time_ms)"},
    series=Series("time_ms", _DAY_MS),
)
_ACCOUNT_TRADES = Table(
    "account_trades",
    "account TEXT, market TEXT, id INTEGER, trade_id INTEGER, time_ms INTEGER, order_id INTEGER,"
    " side TEXT, role TEXT, price_ticks INTEGER, quantity_lots INTEGER, quote_amount INTEGER,"
    " fee INTEGER",
    key="account, market, id",
    in_pages=True,
)
"""Each side of a trade. id: twice the trade's position in the log, and one more for the taker."""


class Trades:
    TABLES: ClassVar = [_TRADES, _ACCOUNT_TRADES]

    def __init__(self) -> None:
        self._new: list[Row] = []
        self._own: defaultdict[tuple[str, str], list[Row]] = defaultdict(list)

    def load(self, db: Reading, market: str) -> None:
        """Do nothing: a trade needs nothing of those before it."""

    def handlers(self) -> dict[type[Event], Handler]:
        return {TradeExecuted: self._executed}

    def writes(self) -> list[Write]:
        new, self._new = self._new, []
        own = append(_ACCOUNT_TRADES, self._own)
        self._own.clear()
        return [Insert(_TRADES, new), own]

    def _executed(self, position: int, event: TradeExecuted) -> None:
        (
            time_ms, market, trade_id, price_ticks, lots, _, quote, taker_side,
            maker_order, taker_order, maker, taker, maker_fee, taker_fee, *_,
        ) = astuple(event)  # fmt: skip
        self._new.append(
            (
                position, time_ms, market, trade_id, price_ticks, lots, quote, taker_side,
                maker_order, taker_order, maker, taker, maker_fee, taker_fee,
            )
        )  # fmt: skip
        maker_side = SELL if taker_side == BUY else BUY
        self._own[maker, market].append(
            (
                2 * position, trade_id, time_ms, maker_order, maker_side, "maker",
                price_ticks, lots, quote, maker_fee,
            )
        )  # fmt: skip
        self._own[taker, market].append(
            (
                2 * position + 1, trade_id, time_ms, taker_order, taker_side, "taker",
                price_ticks, lots, quote, taker_fee,
            )
        )  # fmt: skip


class TradeView(msgspec.Struct, frozen=True):
    """A public trade. id counts from 1 in its market. Decimal strings; ms UTC."""

    id: int
    market: str
    time_ms: int
    price: str
    quantity: str
    quote_quantity: str
    taker_side: str
    position: int


class AccountTradeView(msgspec.Struct, frozen=True):
    """An account's own side of a trade. id: the trade's position in the log. fee: of fee_asset."""

    id: int
    trade_id: int
    market: str
    time_ms: int
    order_id: int
    side: str
    role: str
    price: str
    quantity: str
    quote_quantity: str
    fee: str
    fee_asset: str


def read_trades(
    db: Reading, catalogue: Catalogue, market: str, after: int | None, limit: int
) -> Page[TradeView]:
    """Return a market's trades, newest first."""
    if market not in catalogue.markets:
        return Page([], None)
    clause, values = where(("market = ?", market), ("trade_id < ?", after))
    rows = db.rows(
        f"SELECT * FROM trades {clause} ORDER BY trade_id DESC LIMIT ?",
        (*values, limit + 1),
    )
    return page([_public(catalogue, row) for row in rows], limit, lambda trade: trade.id)


def read_account_trades(
    db: Reading,
    catalogue: Catalogue,
    account: str,
    *,
    market: str | None,
    order_id: int | None,
    after: int | None,
    limit: int,
) -> Page[AccountTradeView]:
    """Return the account's trades, newest first; both sides of a trade with itself."""
    rows = read_newest(
        db,
        _ACCOUNT_TRADES,
        account,
        catalogue.listed(read_second(db, _ACCOUNT_TRADES, account), market),
        before=None if after is None else 2 * after,
        limit=2 * (limit + 1),  # A trade with oneself has two.
        only=lambda row: order_id in (None, row[5]),
    )
    by_trade = [list(sides) for _, sides in groupby(rows, lambda row: row[2] // 2)]
    following = by_trade[limit - 1][0][2] // 2 if len(by_trade) > limit else None
    items = [_own(catalogue, row) for sides in by_trade[:limit] for row in reversed(sides)]
    return Page(items, following)


def _public(catalogue: Catalogue, row: Row) -> TradeView:
    market = row[2]
    return TradeView(
        row[3],
        market,
        row[1],
        catalogue.price(market, row[4]),
        catalogue.quantity(market, row[5]),
        catalogue.amount(catalogue.markets[market].quote_asset, row[6]),
        row[7],
        row[0],
    )


def _own(catalogue: Catalogue, row: Row) -> AccountTradeView:
    _, market, id_, trade_id, time_ms, order_id, side, role, price, lots, quote, fee = row
    listed = catalogue.markets[market]
    fee_asset = listed.base_asset if side == BUY else listed.quote_asset
    return AccountTradeView(
        id_ // 2,
        trade_id,
        market,
        time_ms,
        order_id,
        side,
        role,
        catalogue.price(market, price),
        catalogue.quantity(market, lots),
        catalogue.amount(listed.quote_asset, quote),
        catalogue.amount(fee_asset, fee),
        fee_asset,
    )
