"""Trades: the public tape of each market, and each account's own."""

from typing import ClassVar

import msgspec

from domain.events import Event, TradeExecuted
from domain.units import BUY, SELL
from projections.catalogue import ARE_LISTED, Catalogue
from projections.database import Insert, Reading, Row, Write
from projections.page import Page, page, where
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
    indexes={
        "trades_by_time": "(market, time_ms)",
        "trades_by_maker": "(maker_account, position)",
        "trades_by_taker": "(taker_account, position)",
        "trades_by_maker_order": "(maker_order_id, position)",
        "trades_by_taker_order": "(taker_order_id, position)",
    },
    series=Series("time_ms", _DAY_MS),
)


class Trades:
    TABLES: ClassVar = [_TRADES]

    def __init__(self) -> None:
        self._new: list[Row] = []

    def load(self, db: Reading, market: str) -> None:
        """Do nothing: a trade needs nothing of those before it."""

    def handlers(self) -> dict[type[Event], Handler]:
        return {TradeExecuted: self._executed}

    def writes(self) -> list[Write]:
        new, self._new = self._new, []
        return [Insert(_TRADES, new)]

    def _executed(self, position: int, event: TradeExecuted) -> None:
        self._new.append(
            (
                position,
                event.time_ms,
                event.market,
                event.trade_id,
                event.price_ticks,
                event.quantity_lots,
                event.quote_amount,
                event.taker_side,
                event.maker_order_id,
                event.taker_order_id,
                event.maker_account,
                event.taker_account,
                event.maker_fee,
                event.taker_fee,
            )
        )


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
    found: set[Row] = set()
    for role in ("maker", "taker"):
        # One role at a time: so an index gives the newest trades, however long the history is.
        clause, values = where(
            (f"{role}_order_id = ?", order_id), (f"{role}_account = ?", account),
            ("market = ?", market), ("position < ?", after),
        )  # fmt: skip
        found.update(
            db.rows(
                f"SELECT * FROM trades {clause} AND {ARE_LISTED} ORDER BY position DESC LIMIT ?",
                (*values, limit + 1),
            )
        )
    rows = sorted(found, reverse=True)[: limit + 1]
    following = rows[limit - 1][0] if len(rows) > limit else None
    items = [
        _own(catalogue, row, role)
        for row in rows[:limit]
        for role in ("maker", "taker")
        if row[10 if role == "maker" else 11] == account
        and order_id in (None, row[8 if role == "maker" else 9])
    ]
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


def _own(catalogue: Catalogue, row: Row, role: str) -> AccountTradeView:
    market, taker_side = row[2], row[7]
    other = SELL if taker_side == BUY else BUY
    side, order_id, fee = (
        (taker_side, row[9], row[13]) if role == "taker" else (other, row[8], row[12])
    )
    listed = catalogue.markets[market]
    fee_asset = listed.base_asset if side == BUY else listed.quote_asset
    return AccountTradeView(
        row[0],
        row[3],
        market,
        row[1],
        order_id,
        side,
        role,
        catalogue.price(market, row[4]),
        catalogue.quantity(market, row[5]),
        catalogue.amount(listed.quote_asset, row[6]),
        catalogue.amount(fee_asset, fee),
        fee_asset,
    )
