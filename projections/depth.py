"""Order-book depth: total quantity and number of orders at each price, from the events alone."""

import sqlite3

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
from projections.projection import Handler

Level = tuple[str, str, int]
"""market, side, price in ticks."""


class Depth:
    """Levels stay in memory; a level without orders is deleted."""

    schema = """
        CREATE TABLE depth (
            market TEXT NOT NULL, side TEXT NOT NULL, price_ticks INTEGER NOT NULL,
            quantity_lots TEXT NOT NULL, orders INTEGER NOT NULL,
            PRIMARY KEY (market, side, price_ticks)) WITHOUT ROWID;
    """

    def __init__(self, db: sqlite3.Connection) -> None:
        self._levels: dict[Level, list[int]] = {
            (market, side, price): [int(lots), orders]
            for market, side, price, lots, orders in db.execute("SELECT * FROM depth")
        }
        self._changed: set[Level] = set()

    def handlers(self) -> dict[type[Event], Handler]:
        return {
            OrderPlaced: self._placed,
            TradeExecuted: self._executed,
            OrderCancelled: self._cancelled,
            OrderAmended: self._amended,
            SelfTradePrevented: self._prevented,
        }

    def flush(self, db: sqlite3.Connection) -> None:
        gone = [level for level in self._changed if level not in self._levels]
        db.executemany("DELETE FROM depth WHERE market = ? AND side = ? AND price_ticks = ?", gone)
        db.executemany(
            "INSERT OR REPLACE INTO depth VALUES (?, ?, ?, ?, ?)",
            [
                (*level, str(now[0]), now[1])
                for level in self._changed
                if (now := self._levels.get(level)) is not None
            ],
        )
        self._changed.clear()

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
    db: sqlite3.Connection, catalogue: Catalogue, market: str, limit: int, position: int
) -> DepthView:
    """Return up to `limit` levels of each side."""
    sides = [
        [
            (catalogue.price(market, price), catalogue.quantity(market, int(lots)), orders)
            for price, lots, orders in db.execute(
                "SELECT price_ticks, quantity_lots, orders FROM depth"
                f" WHERE market = ? AND side = ? ORDER BY price_ticks {order} LIMIT ?",
                (market, side, limit),
            )
        ]
        for side, order in ((BUY, "DESC"), (SELL, "ASC"))
    ]
    return DepthView(market, position, *sides)
