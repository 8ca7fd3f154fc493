"""Matching, done the obvious way: sort everything, look at the first, begin again."""

from dataclasses import dataclass
from typing import Any


class Refused(Exception):
    """A command was refused; `code` is the refusal's stable code."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True)
class Fill:
    """value: units of quote."""

    maker_id: int
    maker_account: str
    price: int
    lots: int
    value: int


@dataclass(frozen=True)
class Result:
    """What became of a command; code: why it was refused, empty when accepted."""

    code: str = ""
    order_id: int = 0
    withdrawal_id: int = 0
    status: str = ""
    filled_lots: int = 0
    filled_quote: int = 0
    repeated: bool = False
    fills: tuple[Fill, ...] = ()


@dataclass
class Order:
    """queue: who came earlier has a smaller one. first: the result when it was placed."""

    id: int
    account: str
    market: str
    side: str
    price: int
    lots: int
    queue: int
    client_id: str
    post_only: bool
    asked: tuple[Any, ...]
    first: Result = Result()


@dataclass
class Market:
    symbol: str
    base: str
    quote: str
    lot_units: int
    tick_lot_units: int
    min_notional: int
    maker_fee_ppm: int
    taker_fee_ppm: int
    status: str = "open"
    last_price: int = 0
    trades: int = 0

    def paid_asset(self, side: str) -> str:
        """Return what an order of this side pays with."""
        return self.quote if side == "buy" else self.base

    def cost(self, order: Order, asset: str) -> int:
        """Return the most of an asset that an order can cost."""
        if order.market != self.symbol or asset != self.paid_asset(order.side):
            return 0
        if order.side == "buy":
            return order.price * order.lots * self.tick_lot_units
        return order.lots * self.lot_units


def best_first(orders: list[Order], symbol: str, side: str) -> list[Order]:
    """Return the orders of one side of a book in the order in which they trade."""
    sign = -1 if side == "buy" else 1
    return sorted(
        (order for order in orders if (order.market, order.side) == (symbol, side)),
        key=lambda order: (sign * order.price, order.queue),
    )


def trade_with_book(
    orders: list[Order],
    market: Market,
    taker: Order,
    prevention: str,
    budget: int,
    *,
    any_price: bool,
) -> tuple[list[Fill], bool, bool]:
    """Let an order that is not in the book trade with it; both are changed.

    budget: units of quote that an order without a quantity spends or raises.
    Returns: the fills, whether self-trade prevention stopped the order, and whether it took any
    lots of it.
    """
    fills: list[Fill] = []
    prevented = False
    left = budget
    while True:
        maker = _next_maker(orders, market, taker, any_price=any_price)
        if maker is None:
            return fills, False, prevented
        wanted = left // (maker.price * market.tick_lot_units) if budget else taker.lots
        lots = min(wanted, maker.lots)
        if lots == 0:
            return fills, False, prevented
        own = maker.account == taker.account and prevention != "none"
        if own and prevention != "decrement":
            if prevention != "cancel_taker":
                orders.remove(maker)
            if prevention != "cancel_maker":
                return fills, True, prevented
            continue
        maker.lots -= lots
        if maker.lots == 0:
            orders.remove(maker)
        if not budget:
            taker.lots -= lots
        if own:
            prevented = True
            continue
        value = maker.price * lots * market.tick_lot_units
        left -= value
        fills.append(Fill(maker.id, maker.account, maker.price, lots, value))


def require_passive(orders: list[Order], market: Market, order: Order) -> None:
    """Raises: Refused: would_trade: a post-only order would meet another."""
    if order.post_only and _next_maker(orders, market, order, any_price=False):
        raise Refused("would_trade")


def _next_maker(
    orders: list[Order], market: Market, taker: Order, *, any_price: bool
) -> Order | None:
    other_side = "sell" if taker.side == "buy" else "buy"
    for maker in best_first(orders, market.symbol, other_side)[:1]:
        gap = maker.price - taker.price if taker.side == "buy" else taker.price - maker.price
        if any_price or gap <= 0:
            return maker
    return None
