"""Matching by price, then time: which events an incoming order causes. Changes nothing.

The taker trades with the best resting orders, oldest first, each at the resting order's price.
Fees are taken from what each side receives, rounded up to a whole unit.
"""

from typing import Final

import msgspec

from domain.events import (
    Event,
    OrderCancelled,
    SelfTradePrevented,
    SelfTradePrevention,
    TradeExecuted,
)
from domain.market import Market
from domain.order_book import NO_LEVEL, Order
from domain.units import BUY, PPM, Side

ANY_PRICE: Final = 0
"""The price of a market order, in ticks."""


class Match(msgspec.Struct, gc=False):
    """What came of a taker. remaining_lots: what is left. stopped: self-trade prevention ended it.

    ended_by_prevention: what reduced it last was a decrement, not a trade.
    """

    events: list[Event]
    remaining_lots: int
    filled_lots: int = 0
    filled_quote: int = 0
    stopped: bool = False
    ended_by_prevention: bool = False


class Taker(msgspec.Struct, frozen=True, gc=False):
    """An incoming order. lots: how much; a market order by amount has a budget (quote units)
    instead. price_ticks: its limit, or ANY_PRICE.
    """

    time_ms: int
    order_id: int
    account: str
    side: Side
    price_ticks: int
    lots: int
    budget: int
    self_trade_prevention: SelfTradePrevention


def crosses(market: Market, side: Side, price_ticks: int) -> bool:
    """Return whether an order would meet the other side of the book at once."""
    if side == BUY:
        return market.asks.best_key >= -price_ticks
    return market.bids.best_key >= price_ticks


def match(market: Market, taker: Taker) -> Match:  # noqa: C901, PLR0912, PLR0915
    """Return what happens when the order meets the book, best level first, oldest order first.

    One long function with everything in local names: this is the innermost loop of the exchange,
    and split into four it took a third longer.
    """
    time_ms, taker_id, account = taker.time_ms, taker.order_id, taker.account
    side, limit_ticks, budget = taker.side, taker.price_ticks, taker.budget
    prevents = taker.self_trade_prevention != "none"
    symbol, lot_units, tick_lot_units = market.symbol, market.lot_units, market.tick_lot_units
    maker_ppm, taker_ppm = market.maker_fee_ppm, market.taker_fee_ppm
    trade_id = market.next_trade_id
    buying = side == BUY
    if buying:
        book, limit_key = market.asks, -limit_ticks
    else:
        book, limit_key = market.bids, limit_ticks
    if limit_ticks == ANY_PRICE:
        limit_key = NO_LEVEL + 1
    result = Match([], taker.lots)
    events = result.events
    wanted, filled_lots, filled_quote = taker.lots, 0, 0
    key, deeper, done = book.best_key, None, False
    while key >= limit_key and not done:
        for maker in book.levels[key].values():
            price_ticks, maker_lots = maker.price_ticks, maker.quantity_lots
            lot_price = price_ticks * tick_lot_units
            if budget:
                wanted = (budget - filled_quote) // lot_price
            if not wanted:
                done = True
                break
            lots = wanted if wanted < maker_lots else maker_lots
            if prevents and maker.account == account:
                result.remaining_lots = wanted
                _prevent_self_trade(market, taker, maker, lots, result)
                wanted = result.remaining_lots
                if result.stopped:
                    done = True
                    break
                continue
            base_amount, quote_amount = lots * lot_units, lots * lot_price
            if buying:
                taker_fee = -(-base_amount * taker_ppm // PPM)
                maker_fee = -(-quote_amount * maker_ppm // PPM)
                better = limit_ticks - price_ticks
                released = better * lots * tick_lot_units if limit_ticks else 0
            else:
                taker_fee = -(-quote_amount * taker_ppm // PPM)
                maker_fee = -(-base_amount * maker_ppm // PPM)
                released = 0
            events.append(
                TradeExecuted(
                    time_ms,
                    symbol,
                    trade_id,
                    price_ticks,
                    lots,
                    base_amount,
                    quote_amount,
                    side,
                    maker.order_id,
                    taker_id,
                    maker.account,
                    account,
                    maker_fee,
                    taker_fee,
                    released,
                    maker_lots - lots,
                )
            )
            trade_id += 1
            filled_lots += lots
            filled_quote += quote_amount
            wanted -= lots
            if lots < maker_lots:
                # Done: nobody trades past a better order that is still there, also not a budget
                # that a lower price further down would fit again.
                done = True
                break
        if not (wanted or budget):
            break
        # The cached best key serves most takers; only one that eats a level walks the index.
        if deeper is None:
            deeper = iter(reversed(book.levels))
            next(deeper)
        key = next(deeper, NO_LEVEL)
    result.remaining_lots = 0 if budget else wanted
    result.filled_lots, result.filled_quote = filled_lots, filled_quote
    return result


def _prevent_self_trade(
    market: Market, taker: Taker, maker: Order, lots: int, result: Match
) -> None:
    mode = taker.self_trade_prevention
    if mode == "decrement":
        _decrement(market, taker, maker, lots, result)
        return
    if mode in ("cancel_maker", "cancel_both"):
        result.events.append(_maker_cancelled(taker, maker, maker.quantity_lots, maker.hold))
    if mode in ("cancel_taker", "cancel_both"):
        result.stopped = True


def _decrement(market: Market, taker: Taker, maker: Order, lots: int, result: Match) -> None:
    maker_left = maker.quantity_lots - lots
    result.remaining_lots -= lots
    result.ended_by_prevention = result.remaining_lots == 0
    result.events.append(
        SelfTradePrevented(
            taker.time_ms,
            market.symbol,
            taker.account,
            maker.price_ticks,
            lots,
            taker.side,
            maker.order_id,
            taker.order_id,
            market.hold_for(maker.side, maker.price_ticks, lots),
            market.hold_for(taker.side, taker.price_ticks, lots),
            maker_left,
            result.remaining_lots,
        )
    )
    if maker_left == 0:
        result.events.append(_maker_cancelled(taker, maker, 0, 0))


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


def end_of_taker(market: Market, taker: Taker, result: Match, *, rests: bool) -> list[Event]:
    """Return the cancellation of what is left of a taker that does not rest, if anything is.

    Also when self-trade prevention took the last of it: only a trade closes an order by itself.
    A market order that buys holds only what its fills cost, so nothing of it is released.
    """
    remaining = result.remaining_lots
    if not result.ended_by_prevention and (rests or not remaining):
        return []
    prevented = result.stopped or result.ended_by_prevention
    return [
        OrderCancelled(
            taker.time_ms,
            market.symbol,
            taker.order_id,
            taker.account,
            taker.side,
            taker.price_ticks,
            remaining,
            market.hold_for(taker.side, taker.price_ticks, remaining),
            False,
            "self_trade" if prevented else "expired",
        )
    ]
