"""Trades: the public tape of each market, and each account's own."""

import sqlite3
from typing import Any

import msgspec

from domain.events import Event, TradeExecuted
from domain.units import BUY, SELL
from projections.catalogue import Catalogue
from projections.page import Page, page, where
from projections.projection import Handler

_COLUMNS = (
    "position, time_ms, market, trade_id, price_ticks, quantity_lots, quote_amount, taker_side,"
    " maker_order_id, taker_order_id, maker_account, taker_account, maker_fee, taker_fee"
)


class Trades:
    schema = """
        CREATE TABLE trades (
            position INTEGER PRIMARY KEY, time_ms INTEGER NOT NULL, market TEXT NOT NULL,
            trade_id INTEGER NOT NULL, price_ticks INTEGER NOT NULL,
            quantity_lots INTEGER NOT NULL, quote_amount INTEGER NOT NULL,
            taker_side TEXT NOT NULL, maker_order_id INTEGER NOT NULL,
            taker_order_id INTEGER NOT NULL, maker_account TEXT NOT NULL,
            taker_account TEXT NOT NULL, maker_fee INTEGER NOT NULL, taker_fee INTEGER NOT NULL);
        CREATE UNIQUE INDEX trades_by_id ON trades (market, trade_id);
        CREATE INDEX trades_by_time ON trades (market, time_ms);
        CREATE INDEX trades_by_maker ON trades (maker_account, position);
        CREATE INDEX trades_by_taker ON trades (taker_account, position);
        CREATE INDEX trades_by_maker_order ON trades (maker_order_id, position);
        CREATE INDEX trades_by_taker_order ON trades (taker_order_id, position);
    """

    def __init__(self) -> None:
        self._new: list[tuple[object, ...]] = []

    def handlers(self) -> dict[type[Event], Handler]:
        return {TradeExecuted: self._executed}

    def flush(self, db: sqlite3.Connection) -> None:
        db.executemany(f"INSERT INTO trades VALUES ({', '.join('?' * 14)})", self._new)
        self._new.clear()

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
    db: sqlite3.Connection, catalogue: Catalogue, market: str, after: int | None, limit: int
) -> Page[TradeView]:
    """Return a market's trades, newest first."""
    clause, values = where(("market = ?", market), ("trade_id < ?", after))
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM trades {clause} ORDER BY trade_id DESC LIMIT ?",
        (*values, limit + 1),
    ).fetchall()
    return page([_public(catalogue, row) for row in rows], limit, lambda trade: trade.id)


def read_account_trades(
    db: sqlite3.Connection,
    catalogue: Catalogue,
    account: str,
    *,
    market: str | None,
    order_id: int | None,
    after: int | None,
    limit: int,
) -> Page[AccountTradeView]:
    """Return the account's trades, newest first; both sides of a trade with itself."""
    found: set[tuple[Any, ...]] = set()
    for role in ("maker", "taker"):
        # One role at a time: so an index gives the newest trades, however long the history is.
        clause, values = where(
            (f"{role}_order_id = ?", order_id), (f"{role}_account = ?", account),
            ("market = ?", market), ("position < ?", after),
        )  # fmt: skip
        found.update(
            db.execute(
                f"SELECT {_COLUMNS} FROM trades {clause} ORDER BY position DESC LIMIT ?",
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


def _public(catalogue: Catalogue, row: tuple[Any, ...]) -> TradeView:
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


def _own(catalogue: Catalogue, row: tuple[Any, ...], role: str) -> AccountTradeView:
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
