"""Orders: open ones and history, with what each filled, at which average price, for which fees."""

from collections import defaultdict
from typing import ClassVar, Final

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
from projections.catalogue import ARE_LISTED, Catalogue
from projections.database import Insert, Reading, Row, Upsert, Write
from projections.page import Page, among, in_pieces, page, where
from projections.pages import append, read_newest, read_second
from projections.projection import Handler
from projections.table import Table

_ORDERS = Table(
    "orders",
    "id INTEGER, account TEXT, market TEXT, side TEXT, type TEXT, time_in_force TEXT,"
    " post_only INTEGER, client_order_id TEXT, price_ticks INTEGER, quantity_lots INTEGER,"
    " open_lots INTEGER, filled_lots INTEGER, filled_quote AMOUNT, fee AMOUNT, status TEXT,"
    " created_ms INTEGER, updated_ms INTEGER, position INTEGER, reason TEXT",
    key="id",
    indexes={
        "orders_open": "(account, id) WHERE open_lots > 0",
        "orders_by_client_id": "(account, client_order_id, id) WHERE client_order_id <> ''",
    },
)

_ACCOUNT_ORDERS = Table(
    "account_orders",
    "account TEXT, market TEXT, id INTEGER",
    key="account, market, id",
    in_pages=True,
)
"""Every order of an account. Ids grow within a market: the markets are folded apart."""
ORDERS_PER_READ: Final = 500


class _Order(msgspec.Struct, gc=False):
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

    TABLES: ClassVar = [_ORDERS, _ACCOUNT_ORDERS]

    def __init__(self) -> None:
        self._open: dict[int, _Order] = {}
        self._changed: dict[int, _Order] = {}
        self._new: dict[int, _Order] = {}

    def load(self, db: Reading, market: str) -> None:
        for row in db.rows("SELECT * FROM orders WHERE market = ? AND open_lots > 0", (market,)):
            self._open[row[0]] = _Order(*row)

    def handlers(self) -> dict[type[Event], Handler]:
        return {
            OrderPlaced: self._placed,
            TradeExecuted: self._traded,
            OrderAmended: self._amended,
            OrderCancelled: self._cancelled,
            SelfTradePrevented: self._prevented,
        }

    def writes(self) -> list[Write]:
        new, changed = self._new, self._changed
        self._new, self._changed = {}, {}
        row = msgspec.structs.astuple
        placed: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
        for order in new.values():
            placed[order.account, order.market].append(order.id)
        return [
            Insert(_ORDERS, [row(order) for order in new.values()]),
            append(_ACCOUNT_ORDERS, placed),
            Upsert(_ORDERS, [row(order) for order in changed.values() if order.id not in new]),
        ]

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
        self._open[order.id] = self._new[order.id] = order

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
    db: Reading,
    catalogue: Catalogue,
    account: str,
    order_id: int | None,
    client_order_id: str | None,
) -> OrderView | None:
    """Return the account's order with this id, or its latest with this client order id."""
    where = "id = ?" if order_id is not None else "client_order_id = ? AND client_order_id <> ''"
    row = db.row(
        f"SELECT * FROM orders WHERE account = ? AND {where} AND {ARE_LISTED}"
        " ORDER BY id DESC LIMIT 1",
        (account, order_id if order_id is not None else client_order_id),
    )
    return None if row is None else _view(catalogue, _Order(*row))


def read_orders(
    db: Reading,
    catalogue: Catalogue,
    account: str,
    *,
    market: str | None,
    after: int | None,
    limit: int,
    only_open: bool,
) -> Page[OrderView]:
    """Return the account's open orders, or all of them, newest first."""
    if only_open:
        rows = _open_orders(db, account, market, after, limit + 1)
    else:
        markets = catalogue.listed(read_second(db, _ACCOUNT_ORDERS, account), market)
        rows = _newest_orders(db, account, markets, after, limit + 1)
    return page([_view(catalogue, _Order(*row)) for row in rows], limit, lambda order: order.id)


def _open_orders(
    db: Reading, account: str, market: str | None, after: int | None, limit: int
) -> list[Row]:
    clause, values = where(("account = ?", account), ("market = ?", market), ("id < ?", after))
    return db.rows(
        f"SELECT * FROM orders {clause} AND {ARE_LISTED} AND open_lots > 0"
        " ORDER BY id DESC LIMIT ?",
        (*values, limit),
    )


def _newest_orders(
    db: Reading, account: str, markets: list[str], after: int | None, limit: int
) -> list[Row]:
    newest = read_newest(db, _ACCOUNT_ORDERS, account, markets, before=after, limit=limit)
    return [
        row
        for some in in_pieces([row[2] for row in newest], ORDERS_PER_READ)
        for row in db.rows(f"SELECT * FROM orders WHERE {among('id', some)} ORDER BY id DESC", some)
    ]


def _view(catalogue: Catalogue, order: _Order) -> OrderView:
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
