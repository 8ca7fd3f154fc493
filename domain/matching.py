"""Matching by price, then time: which events an incoming order causes. Changes nothing.

The taker trades with the best resting orders, oldest first, each at the resting order's price.
Fees are taken from what each side receives, rounded up to a whole unit.
"""

import msgspec

from domain.events import (
    Event,
    OrderCancelled,
    SelfTradePrevented,
    SelfTradePrevention,
    TradeExecuted,
)
from domain.market import Market
from domain.order_book import NO_ASK, Order
from domain.units import BUY, PPM, Side


class Match(msgspec.Struct, frozen=True, gc=False):
    """What comes of a taker: its trades and, when something is left that does not rest, its end.

    filled_lots, filled_quote: what it trades, in lots and units of quote.
    """

    events: list[Event]
    resting_lots: int
    filled_lots: int
    filled_quote: int


class Taker(msgspec.Struct, frozen=True, gc=False):
    """An incoming order. lots: how much; a market order by amount has a budget (quote units)
    instead. price_ticks: its limit, or 0 for any. may_rest: in the book, with what is left.
    """

    time_ms: int
    order_id: int
    account: str
    side: Side
    price_ticks: int
    lots: int
    budget: int
    self_trade_prevention: SelfTradePrevention
    may_rest: bool


def crosses(market: Market, side: Side, price_ticks: int) -> bool:
    """Return whether an order would meet the other side of the book at once."""
    if side == BUY:
        return market.asks.best_ticks <= price_ticks
    return market.bids.best_ticks >= price_ticks


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
        book, worst_ticks = market.asks, limit_ticks or NO_ASK - 1
    else:
        book, worst_ticks = market.bids, limit_ticks
    events: list[Event] = []
    wanted, filled_lots, filled_quote = taker.lots, 0, 0
    stopped = ended_by_prevention = done = False
    price_ticks, deeper = book.best_ticks, None
    while price_ticks <= worst_ticks if buying else price_ticks >= worst_ticks:
        lot_price = price_ticks * tick_lot_units
        lot_released = limit_ticks * tick_lot_units - lot_price if buying and limit_ticks else 0
        if budget:
            wanted = (budget - filled_quote) // lot_price
        for maker in book.levels[price_ticks].values():
            if not wanted:
                done = True
                break
            maker_lots, maker_account = maker.quantity_lots, maker.account
            lots = wanted if wanted < maker_lots else maker_lots
            if prevents and maker_account == account:
                events += _prevent_self_trade(market, taker, maker, lots, wanted - lots)
                if taker.self_trade_prevention == "decrement":
                    wanted -= lots
                    ended_by_prevention = not wanted
                elif taker.self_trade_prevention != "cancel_maker":
                    stopped = done = True
                    break
                continue
            base_amount, quote_amount = lots * lot_units, lots * lot_price
            if buying:
                taker_fee = -(-base_amount * taker_ppm // PPM)
                maker_fee = -(-quote_amount * maker_ppm // PPM)
            else:
                taker_fee = -(-quote_amount * taker_ppm // PPM)
                maker_fee = -(-base_amount * maker_ppm // PPM)
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
                    maker_account,
                    account,
                    maker_fee,
                    taker_fee,
                    lots * lot_released if lot_released else 0,
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
        if done or not (wanted or budget):
            break
        # The best price at hand serves most takers; only one that eats a level walks the index.
        if deeper is None:
            deeper = book.prices_best_first()
            next(deeper)
        price_ticks = next(deeper, book.empty_ticks)
    left = 0 if budget else wanted
    if ended_by_prevention or (left and (stopped or not taker.may_rest)):
        prevented = stopped or ended_by_prevention
        events.append(_taker_ended(market, taker, left, prevented=prevented))
        left = 0
    return Match(events, left, filled_lots, filled_quote)


def _taker_ended(market: Market, taker: Taker, lots: int, *, prevented: bool) -> OrderCancelled:
    """Return the cancellation of what is left of a taker that does not rest.

    Also when self-trade prevention took the last of it: only a trade closes an order by itself.
    A market order that buys holds only what its fills cost, so nothing of it is released.
    """
    return OrderCancelled(
        taker.time_ms,
        market.symbol,
        taker.order_id,
        taker.account,
        taker.side,
        taker.price_ticks,
        lots,
        market.hold_for(taker.side, taker.price_ticks, lots),
        False,
        "self_trade" if prevented else "expired",
    )


def _prevent_self_trade(
    market: Market, taker: Taker, maker: Order, lots: int, taker_left: int
) -> list[Event]:
    """Return what happens instead of a trade of so many lots between two orders of one account."""
    mode = taker.self_trade_prevention
    if mode == "decrement":
        return _decrement(market, taker, maker, lots, taker_left)
    if mode == "cancel_taker":
        return []
    return [_maker_cancelled(taker, maker, maker.quantity_lots, market.hold_of(maker))]


def _decrement(
    market: Market, taker: Taker, maker: Order, lots: int, taker_left: int
) -> list[Event]:
    maker_left = maker.quantity_lots - lots
    prevented = SelfTradePrevented(
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
        taker_left,
    )
    return [prevented] if maker_left else [prevented, _maker_cancelled(taker, maker, 0, 0)]


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
