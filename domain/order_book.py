"""The order book: price levels in order, and in each level the orders in order of arrival."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import msgspec
from sortedcontainers import SortedDict

from domain.events import OrderPlaced
from domain.units import Side

if TYPE_CHECKING:
    from domain.ledger import Balance

NO_LEVEL: Final = -(2**64)
"""The best key of an empty side: below every price."""


class Order(msgspec.Struct, gc=False):
    """An open order.

    quantity_lots: still open. hold: units still held for it, of quote (buy) or base (sell).
    placed: the fact that opened it. base, quote: the balances its trades move, kept at hand
    because looking them up by (account, asset) costs a quarter of the matching time.
    """

    order_id: int
    account: str
    side: Side
    price_ticks: int
    quantity_lots: int
    hold: int
    placed: OrderPlaced
    base: Balance
    quote: Balance

    @property
    def market(self) -> str:
        return self.placed.market

    @property
    def client_order_id(self) -> str:
        return self.placed.client_order_id


Level = OrderedDict[int, Order]


class BookSide:
    """One side of a book. Keys are prices on the bid side and negated prices on the ask side.

    So on both sides the best level has the largest key, and "crosses" is one comparison. An
    OrderedDict, not a dict: a dict finds its first key by walking over deleted slots, which is
    quadratic for a deep level that is eaten from the front.
    """

    __slots__ = ("best_key", "levels", "sign")

    def __init__(self, sign: int) -> None:
        self.sign = sign
        self.levels: SortedDict[int, Level] = SortedDict()
        self.best_key = NO_LEVEL

    def add(self, order: Order) -> None:
        """Put an order at the back of its price level."""
        key = order.price_ticks * self.sign
        level = self.levels.get(key)
        if level is None:
            level = self.levels[key] = OrderedDict()
            self.best_key = max(self.best_key, key)
        level[order.order_id] = order

    def remove(self, order: Order) -> None:
        """Take an order out of its price level."""
        key = order.price_ticks * self.sign
        level = self.levels[key]
        del level[order.order_id]
        if not level:
            del self.levels[key]
            if key == self.best_key:
                self.best_key = self.levels.peekitem(-1)[0] if self.levels else NO_LEVEL

    @property
    def best_price_ticks(self) -> int | None:
        """The best price, or None when the side is empty."""
        return None if self.best_key == NO_LEVEL else self.best_key * self.sign

    def levels_best_first(self) -> Iterator[tuple[int, list[Order]]]:
        """Yield (price_ticks, orders in queue order), best price first."""
        for key in reversed(self.levels):
            yield key * self.sign, list(self.levels[key].values())
