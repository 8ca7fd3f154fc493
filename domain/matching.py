"""Matching by price, then time: which events an incoming order causes. Changes nothing.

The taker trades with the best resting orders, oldest first, each at the resting order's price.
Fees are taken from what each side receives, rounded up to a whole unit.
"""

from collections.abc import Iterator
from typing import Final

from domain.events import (
    Event,
    OrderCancelled,
    SelfTradePrevention,
    SelfTradePrevented,
    TradeExecuted,
)
from domain.market import Market
from domain.order_book import NO_LEVEL, Level, Order
from domain.units import BUY, PPM, Side

ANY_PRICE: Final = 0
"""The price of a market order, in ticks."""


class Taker:
    """An incoming order while it is being matched, and what came of it.

    remaining_lots: what is left; a market order by amount has a budget (quote units) instead.
    prevented_lots: reduced by self-trade prevention. stopped: self-trade prevention ended it.
    """

    __slots__ = (
        "account",
        "budget",
        "events",
        "filled_lots",
        "filled_quote",
        "next_trade_id",
        "order_id",
        "prevented_lots",
        "price_ticks",
        "remaining_lots",
        "self_trade_prevention",
        "side",
        "stopped",
        "time_ms",
    )

    def __init__(
        self,
        *,
        time_ms: int,
        next_trade_id: int,
        order_id: int,
        account: str,
        side: Side,
        price_ticks: int,
        lots: int,
        budget: int,
        self_trade_prevention: SelfTradePrevention,
    ) -> None:
        self.time_ms = time_ms
        self.next_trade_id = next_trade_id
        self.order_id = order_id
        self.account = account
        self.side: Side = side
        self.price_ticks = price_ticks
        self.remaining_lots = lots
        self.budget = budget
        self.self_trade_prevention = self_trade_prevention
        self.events: list[Event] = []
        self.filled_lots = 0
        self.filled_quote = 0
        self.prevented_lots = 0
        self.stopped = False


def crosses(market: Market, side: Side, price_ticks: int) -> bool:
    """Return whether an order would meet the other side of the book at once."""
    if side == BUY:
        return market.asks.best_key >= -price_ticks
    return market.bids.best_key >= price_ticks


def match(market: Market, taker: Taker) -> None:
    """Fill `taker.events` with what happens when the order meets the book, best level first."""
    for level in _crossed_levels(market, taker.side, taker.price_ticks):
        for maker in level.values():
            lots = _lots_to_take(market, taker, maker)
            if lots == 0:
                return
            if maker.account == taker.account and taker.self_trade_prevention != "none":
                _prevent_self_trade(market, taker, maker, lots)
                if taker.stopped:
                    return
            else:
                _trade(market, taker, maker, lots)


def _crossed_levels(market: Market, side: Side, price_ticks: int) -> Iterator[Level]:
    if side == BUY:
        book, limit_key = market.asks, -price_ticks
    else:
        book, limit_key = market.bids, price_ticks
    if price_ticks == ANY_PRICE:
        limit_key = NO_LEVEL
    for key in reversed(book.levels):
        if key < limit_key:
            return
        yield book.levels[key]


def _lots_to_take(market: Market, taker: Taker, maker: Order) -> int:
    """Return how much of the maker the taker wants: 0 when it is done."""
    wanted = taker.remaining_lots
    if taker.budget:
        wanted = taker.budget // (maker.price_ticks * market.tick_lot_units)
    return wanted if wanted < maker.quantity_lots else maker.quantity_lots


def _trade(market: Market, taker: Taker, maker: Order, lots: int) -> None:
    price_ticks = maker.price_ticks
    base_amount = lots * market.lot_units
    quote_amount = lots * price_ticks * market.tick_lot_units
    released = 0
    if taker.side == BUY:
        taker_fee = -(-base_amount * market.taker_fee_ppm // PPM)
        maker_fee = -(-quote_amount * market.maker_fee_ppm // PPM)
        if taker.price_ticks:
            released = (taker.price_ticks - price_ticks) * lots * market.tick_lot_units
    else:
        taker_fee = -(-quote_amount * market.taker_fee_ppm // PPM)
        maker_fee = -(-base_amount * market.maker_fee_ppm // PPM)
    taker.events.append(
        TradeExecuted(
            taker.time_ms,
            market.symbol,
            taker.next_trade_id,
            price_ticks,
            lots,
            base_amount,
            quote_amount,
            taker.side,
            maker.order_id,
            taker.order_id,
            maker.account,
            taker.account,
            maker_fee,
            taker_fee,
            released,
            maker.quantity_lots - lots,
        )
    )
    taker.next_trade_id += 1
    taker.filled_lots += lots
    taker.filled_quote += quote_amount
    _use_up(taker, lots, quote_amount)


def _use_up(taker: Taker, lots: int, quote_amount: int) -> None:
    if taker.budget:
        taker.budget -= quote_amount
    else:
        taker.remaining_lots -= lots


def _prevent_self_trade(market: Market, taker: Taker, maker: Order, lots: int) -> None:
    mode = taker.self_trade_prevention
    if mode == "decrement":
        _decrement(market, taker, maker, lots)
        return
    if mode in ("cancel_maker", "cancel_both"):
        taker.events.append(_maker_cancelled(taker, maker, maker.quantity_lots, maker.hold))
    if mode in ("cancel_taker", "cancel_both"):
        taker.stopped = True


def _decrement(market: Market, taker: Taker, maker: Order, lots: int) -> None:
    maker_left = maker.quantity_lots - lots
    _use_up(taker, lots, lots * maker.price_ticks * market.tick_lot_units)
    taker.prevented_lots += lots
    maker_released = market.hold_for(maker.side, maker.price_ticks, lots)
    taker.events.append(
        SelfTradePrevented(
            taker.time_ms,
            market.symbol,
            taker.account,
            maker.price_ticks,
            lots,
            taker.side,
            maker.order_id,
            taker.order_id,
            maker_released,
            market.hold_for(taker.side, taker.price_ticks, lots),
            maker_left,
            taker.remaining_lots,
        )
    )
    if maker_left == 0:
        taker.events.append(_maker_cancelled(taker, maker, 0, 0))


def _maker_cancelled(taker: Taker, maker: Order, lots: int, released: int) -> OrderCancelled:
    return OrderCancelled(
        taker.time_ms,
        maker.market,
        maker.order_id,
        maker.account,
        maker.side,
        maker.price_ticks,
        lots,
        released,
        True,
        "self_trade",
    )


def taker_end(market: Market, taker: Taker, *, rests: bool) -> list[Event]:
    """Return the cancellation of what is left of a taker that does not rest, if anything is.

    Also when self-trade prevention took the last of it: only a trade closes an order by itself.
    A market order that buys holds only what its fills cost, so nothing of it is released.
    """
    if rests and taker.remaining_lots:
        return []
    used_up = taker.remaining_lots == 0
    if used_up and not _ended_by_prevention(taker):
        return []
    return [
        OrderCancelled(
            taker.time_ms,
            market.symbol,
            taker.order_id,
            taker.account,
            taker.side,
            taker.price_ticks,
            taker.remaining_lots,
            market.hold_for(taker.side, taker.price_ticks, taker.remaining_lots),
            False,
            "self_trade" if used_up or taker.stopped else "expired",
        )
    ]


def _ended_by_prevention(taker: Taker) -> bool:
    """Whether the last thing that reduced the taker to nothing was a decrement."""
    for event in reversed(taker.events):
        if isinstance(event, TradeExecuted):
            return False
        if isinstance(event, SelfTradePrevented):
            return True
    return False
