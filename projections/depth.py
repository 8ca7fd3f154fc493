"""Order-book depth: total quantity and number of orders at each price, from the events alone."""

from typing import ClassVar

import msgspec

from domain.events import (
    Event,
    OrderAmended,
    OrderCancelled,
    OrderPlaced,
    SelfTradePrevented,
    TradeExecuted,
)
from domain.units import BUY, SELL
from projections.catalogue import Catalogue
from projections.database import Delete, Reading, Upsert, Write
from projections.projection import Handler
from projections.table import Table

_DEPTH = Table(
    "depth",
    "market TEXT, side TEXT, price_ticks INTEGER, quantity_lots AMOUNT, orders INTEGER",
    key="market, side, price_ticks",
)

Level = tuple[str, str, int]
"""market, side, price in ticks."""


class Depth:
    """Levels stay in memory; a level without orders is deleted."""

    TABLES: ClassVar = [_DEPTH]

    def __init__(self) -> None:
        self._levels: dict[Level, list[int]] = {}
        self._changed: set[Level] = set()

    def load(self, db: Reading, market: str) -> None:
        for _, side, price, lots, orders in db.rows(
            "SELECT * FROM depth WHERE market = ?", (market,)
        ):
            self._levels[market, side, price] = [lots, orders]

    def handlers(self) -> dict[type[Event], Handler]:
        return {
            OrderPlaced: self._placed,
            TradeExecuted: self._executed,
            OrderCancelled: self._cancelled,
            OrderAmended: self._amended,
            SelfTradePrevented: self._prevented,
        }

    def writes(self) -> list[Write]:
        gone = [level for level in self._changed if level not in self._levels]
        now = [(*level, *self._levels[level]) for level in self._changed if level in self._levels]
        self._changed.clear()
        return [Delete(_DEPTH, gone), Upsert(_DEPTH, now)]

    def _change(self, market: str, side: str, price_ticks: int, lots: int, orders: int) -> None:
        key = (market, side, price_ticks)
        level = self._levels.setdefault(key, [0, 0])
        level[0] += lots
        level[1] += orders
        self._changed.add(key)
        if not level[1]:
            del self._levels[key]
        if level[0] < 0 or level[1] < 0 or (level[0] and not level[1]):
            raise ValueError(f"{key} would have {level[0]} lots in {level[1]} orders")

    def _placed(self, _: int, event: OrderPlaced) -> None:
        if event.resting_lots:
            self._change(event.market, event.side, event.price_ticks, event.resting_lots, 1)

    def _executed(self, _: int, event: TradeExecuted) -> None:
        side = SELL if event.taker_side == BUY else BUY
        gone = 0 if event.maker_remaining_lots else -1
        self._change(event.market, side, event.price_ticks, -event.quantity_lots, gone)

    def _cancelled(self, _: int, event: OrderCancelled) -> None:
        if event.in_book:
            self._change(event.market, event.side, event.price_ticks, -event.remaining_lots, -1)

    def _amended(self, _: int, event: OrderAmended) -> None:
        market, side = event.market, event.side
        if event.keeps_priority:
            less = event.resting_lots - event.old_quantity_lots
            self._change(market, side, event.old_price_ticks, less, 0)
            return
        self._change(market, side, event.old_price_ticks, -event.old_quantity_lots, -1)
        if event.resting_lots:
            self._change(market, side, event.price_ticks, event.resting_lots, 1)

    def _prevented(self, _: int, event: SelfTradePrevented) -> None:
        side = SELL if event.taker_side == BUY else BUY
        self._change(event.market, side, event.price_ticks, -event.quantity_lots, 0)


class DepthView(msgspec.Struct, frozen=True):
    """The book as of an event position: (price, quantity, number of orders), best first."""

    market: str
    position: int
    bids: list[tuple[str, str, int]]
    asks: list[tuple[str, str, int]]


def read_depth(
    db: Reading, catalogue: Catalogue, market: str, limit: int, position: int
) -> DepthView:
    """Return up to `limit` levels of each side."""
    sides = [
        [
            (catalogue.price(market, price), catalogue.quantity(market, lots), orders)
            for price, lots, orders in db.rows(
                "SELECT price_ticks, quantity_lots, orders FROM depth"
                f" WHERE market = ? AND side = ? ORDER BY price_ticks {order} LIMIT ?",
                (market, side, limit),
            )
        ]
        for side, order in ((BUY, "DESC"), (SELL, "ASC"))
    ]
    return DepthView(market, position, *sides)
