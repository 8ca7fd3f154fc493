"""The order book: price levels in order, and in each level the orders in order of arrival."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import msgspec
from sortedcontainers import SortedList

from domain.events import OrderPlaced
from domain.units import BUY, Side

if TYPE_CHECKING:
    from domain.ledger import Balance

NO_BID: Final = -1
"""The best price of a bid side without orders: below every price."""
NO_ASK: Final = 2**64
"""The best price of an ask side without orders: above every price."""


class Order(msgspec.Struct, gc=False):
    """An order in the book.

    price_ticks, quantity_lots: as amended and traded since. placed: the fact that opened it.
    paying, receiving: the balances its trades move (a buyer pays quote and receives base), kept at
    hand because looking them up by (account, asset) costs a quarter of the matching time. What is
    held for it is no field of its own: it follows from price and quantity (`Market.hold_of`).
    """

    order_id: int
    account: str
    side: Side
    price_ticks: int
    quantity_lots: int
    placed: OrderPlaced
    paying: Balance
    receiving: Balance

    @property
    def market(self) -> str:
        return self.placed.market

    @property
    def client_order_id(self) -> str:
        return self.placed.client_order_id


Level = OrderedDict[int, Order]


class BookSide:
    """One side of a book: its levels by price, the prices in order, and the best one at hand.

    best_ticks: the best price, or empty_ticks, which no order meets, when there are no orders.
    A dict beside a SortedList, not a SortedDict: most orders join a level that is there, and ask
    for no more than the dict has. An OrderedDict as the level, not a dict: a dict finds its first
    key by walking over deleted slots, quadratic for a deep level that is eaten from the front.
    """

    __slots__ = ("_best_index", "_prices", "best_ticks", "empty_ticks", "levels")

    def __init__(self, side: Side) -> None:
        self._best_index, self.empty_ticks = (-1, NO_BID) if side == BUY else (0, NO_ASK)
        self._prices: SortedList[int] = SortedList()
        self.levels: dict[int, Level] = {}
        self.best_ticks = self.empty_ticks

    def add(self, order: Order) -> None:
        """Put an order at the back of its price level."""
        price_ticks = order.price_ticks
        level = self.levels.get(price_ticks)
        if level is None:
            level = self.levels[price_ticks] = OrderedDict()
            self._prices.add(price_ticks)
            self.best_ticks = self._prices[self._best_index]
        level[order.order_id] = order

    def remove(self, order: Order) -> None:
        """Take an order out of its price level."""
        price_ticks = order.price_ticks
        level = self.levels[price_ticks]
        del level[order.order_id]
        if not level:
            del self.levels[price_ticks]
            self._prices.remove(price_ticks)
            if price_ticks == self.best_ticks:
                self.best_ticks = (
                    self._prices[self._best_index] if self.levels else self.empty_ticks
                )

    @property
    def best_price_ticks(self) -> int | None:
        """The best price, or None when the side is empty."""
        return None if self.best_ticks == self.empty_ticks else self.best_ticks

    def prices_best_first(self) -> Iterator[int]:
        """Yield the price of each level, in ticks, best price first."""
        return iter(self._prices) if self._best_index == 0 else reversed(self._prices)

    def levels_best_first(self) -> Iterator[tuple[int, list[Order]]]:
        """Yield (price_ticks, orders in queue order), best price first."""
        for price_ticks in self.prices_best_first():
            yield price_ticks, list(self.levels[price_ticks].values())
