"""Orders: open ones and history, with what each filled, at which average price, for which fees."""

import sqlite3
from typing import Any

import msgspec

from domain.events import (
    Event,
    OrderAmended,
    OrderCancelled,
    OrderPlaced,
    SelfTradePrevented,
    TradeExecuted,
)
from domain.units import BUY, format_units
from projections.catalogue import Catalogue
from projections.page import Page, page, where
from projections.projection import Handler

_COLUMNS = (
    "id, account, market, side, type, time_in_force, post_only, client_order_id, price_ticks,"
    " quantity_lots, open_lots, filled_lots, filled_quote, fee, status, created_ms, updated_ms,"
    " position, reason"
)


class _Order(msgspec.Struct):
    """A row. open_lots: still open; fee: units of what the order receives; position: last event."""

    id: int
    account: str
    market: str
    side: str
    type: str
    time_in_force: str
    post_only: int
    client_order_id: str
    price_ticks: int
    quantity_lots: int
    open_lots: int
    filled_lots: int
    filled_quote: int
    fee: int
    status: str
    created_ms: int
    updated_ms: int
    position: int
    reason: str

    def touch(self, position: int, time_ms: int) -> None:
        self.position = position
        self.updated_ms = time_ms


class Orders:
    """Open orders stay in memory, so that folding a trade reads nothing from the database."""

    schema = """
        CREATE TABLE orders (
            id INTEGER PRIMARY KEY, account TEXT NOT NULL, market TEXT NOT NULL,
            side TEXT NOT NULL, type TEXT NOT NULL, time_in_force TEXT NOT NULL,
            post_only INTEGER NOT NULL, client_order_id TEXT NOT NULL,
            price_ticks INTEGER NOT NULL, quantity_lots INTEGER NOT NULL,
            open_lots INTEGER NOT NULL, filled_lots INTEGER NOT NULL, filled_quote TEXT NOT NULL,
            fee TEXT NOT NULL, status TEXT NOT NULL, created_ms INTEGER NOT NULL,
            updated_ms INTEGER NOT NULL, position INTEGER NOT NULL, reason TEXT NOT NULL);
        CREATE INDEX orders_by_account ON orders (account, id);
        CREATE INDEX orders_open ON orders (account, id) WHERE open_lots > 0;
        CREATE INDEX orders_by_client_id ON orders (account, client_order_id, id)
            WHERE client_order_id <> '';
    """

    def __init__(self, db: sqlite3.Connection) -> None:
        rows = db.execute(f"SELECT {_COLUMNS} FROM orders WHERE open_lots > 0")
        self._open = {row[0]: _from_row(row) for row in rows}
        self._changed: dict[int, _Order] = {}

    def handlers(self) -> dict[type[Event], Handler]:
        return {
            OrderPlaced: self._placed,
            TradeExecuted: self._traded,
            OrderAmended: self._amended,
            OrderCancelled: self._cancelled,
            SelfTradePrevented: self._prevented,
        }

    def flush(self, db: sqlite3.Connection) -> None:
        db.executemany(
            f"INSERT OR REPLACE INTO orders ({_COLUMNS}) VALUES ({', '.join('?' * 19)})",
            [_to_row(order) for order in self._changed.values()],
        )
        self._changed.clear()

    def _placed(self, position: int, event: OrderPlaced) -> None:
        order = _Order(
            event.order_id,
            event.account,
            event.market,
            event.side,
            event.type,
            event.time_in_force,
            int(event.post_only),
            event.client_order_id,
            event.price_ticks,
            event.quantity_lots,
            event.quantity_lots,
            0,
            0,
            0,
            "open",
            event.time_ms,
            event.time_ms,
            position,
            "",
        )
        self._open[order.id] = self._changed[order.id] = order

    def _traded(self, position: int, event: TradeExecuted) -> None:
        self._fill(position, event, event.maker_order_id, event.maker_fee)
        self._fill(position, event, event.taker_order_id, event.taker_fee)

    def _fill(self, position: int, event: TradeExecuted, order_id: int, fee: int) -> None:
        order = self._changed[order_id] = self._open[order_id]
        order.open_lots -= event.quantity_lots
        order.filled_lots += event.quantity_lots
        order.filled_quote += event.quote_amount
        order.fee += fee
        order.status = "partially_filled" if order.open_lots else "filled"
        order.touch(position, event.time_ms)
        if not order.open_lots:
            del self._open[order_id]

    def _amended(self, position: int, event: OrderAmended) -> None:
        order = self._changed[event.order_id] = self._open[event.order_id]
        order.price_ticks = event.price_ticks
        order.quantity_lots += event.quantity_lots - event.old_quantity_lots
        order.open_lots = event.quantity_lots
        order.touch(position, event.time_ms)

    def _prevented(self, position: int, event: SelfTradePrevented) -> None:
        for order_id in (event.maker_order_id, event.taker_order_id):
            order = self._changed[order_id] = self._open[order_id]
            order.open_lots -= event.quantity_lots
            order.touch(position, event.time_ms)

    def _cancelled(self, position: int, event: OrderCancelled) -> None:
        order = self._changed[event.order_id] = self._open.pop(event.order_id)
        order.open_lots = 0
        order.status, order.reason = "cancelled", event.reason
        order.touch(position, event.time_ms)


class OrderView(msgspec.Struct, frozen=True):
    """An order. Decimal strings; times in ms UTC.

    quantity: as placed or last amended; open_quantity: still in the book. average_price: filled
    value by filled quantity, rounded half to even to the quote's decimals; empty before a fill.
    fee: in fee_asset, what the order receives. status: open, partially_filled, filled, cancelled.
    reason: why it was cancelled: requested, expired (what an immediate order left), self_trade.
    position: of the last event about it.
    """

    id: int
    account: str
    market: str
    side: str
    type: str
    time_in_force: str
    post_only: bool
    client_order_id: str
    price: str
    quantity: str
    open_quantity: str
    filled_quantity: str
    filled_quote: str
    average_price: str
    fee: str
    fee_asset: str
    status: str
    created_ms: int
    updated_ms: int
    position: int
    reason: str = ""


def read_order(
    db: sqlite3.Connection,
    catalogue: Catalogue,
    account: str,
    order_id: int | None,
    client_order_id: str | None,
) -> OrderView | None:
    """Return the account's order with this id, or its latest with this client order id."""
    where = "id = ?" if order_id is not None else "client_order_id = ? AND client_order_id <> ''"
    row = db.execute(
        f"SELECT {_COLUMNS} FROM orders WHERE account = ? AND {where} ORDER BY id DESC LIMIT 1",
        (account, order_id if order_id is not None else client_order_id),
    ).fetchone()
    return None if row is None else _view(catalogue, row)


def read_orders(
    db: sqlite3.Connection,
    catalogue: Catalogue,
    account: str,
    *,
    market: str | None,
    after: int | None,
    limit: int,
    only_open: bool,
) -> Page[OrderView]:
    """Return the account's open orders, or all of them, newest first."""
    clause, values = where(("account = ?", account), ("market = ?", market), ("id < ?", after))
    is_open = "AND open_lots > 0" if only_open else ""
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM orders {clause} {is_open} ORDER BY id DESC LIMIT ?",
        (*values, limit + 1),
    ).fetchall()
    return page([_view(catalogue, row) for row in rows], limit, lambda order: order.id)


def _from_row(row: tuple[Any, ...]) -> _Order:
    return _Order(*(*row[:12], int(row[12]), int(row[13]), *row[14:]))


def _to_row(order: _Order) -> tuple[object, ...]:
    row = list(msgspec.structs.astuple(order))
    row[12], row[13] = str(row[12]), str(row[13])
    return tuple(row)


def _view(catalogue: Catalogue, row: tuple[Any, ...]) -> OrderView:
    order = _from_row(row)
    listed = catalogue.markets[order.market]
    fee_asset = listed.base_asset if order.side == BUY else listed.quote_asset
    return OrderView(
        order.id,
        order.account,
        order.market,
        order.side,
        order.type,
        order.time_in_force,
        bool(order.post_only),
        order.client_order_id,
        catalogue.price(order.market, order.price_ticks) if order.price_ticks else "",
        catalogue.quantity(order.market, order.quantity_lots),
        catalogue.quantity(order.market, order.open_lots),
        catalogue.quantity(order.market, order.filled_lots),
        catalogue.amount(listed.quote_asset, order.filled_quote),
        _average_price(catalogue, order),
        catalogue.amount(fee_asset, order.fee),
        fee_asset,
        order.status,
        order.created_ms,
        order.updated_ms,
        order.position,
        order.reason,
    )


def _average_price(catalogue: Catalogue, order: _Order) -> str:
    if not order.filled_lots:
        return ""
    listed = catalogue.markets[order.market]
    base_units = order.filled_lots * listed.lot_units
    scaled = order.filled_quote * int("1" + "0" * catalogue.decimals[listed.base_asset])
    units, rest = divmod(scaled, base_units)
    if 2 * rest > base_units or (2 * rest == base_units and units % 2):
        units += 1
    return format_units(units, catalogue.decimals[listed.quote_asset])
