"""Amend an open order: a reduction keeps its place in the queue, anything else loses it."""

from commands.command import (
    Command,
    event_time_ms,
    require_account,
    require_order,
)
from commands.place_order import require_bookable, require_minimum
from domain.errors import (
    InsufficientFunds,
    MarketCancelOnlyError,
    NotPositive,
    WouldTrade,
)
from domain.events import Event, OrderAmended, SelfTradePrevention
from domain.exchange import Exchange
from domain.market import Market
from domain.matching import Taker, crosses, match, taker_end
from domain.order_book import Order
from domain.units import BUY


class AmendOrder(Command, frozen=True, kw_only=True):
    """price_ticks: the new price, 0 to keep it. quantity_lots: the new open quantity, 0 to keep it.

    The order is named by order_id or by client_order_id.
    """

    account: str
    order_id: int = 0
    client_order_id: str = ""
    price_ticks: int = 0
    quantity_lots: int = 0
    self_trade_prevention: SelfTradePrevention = "cancel_taker"


def decide(exchange: Exchange, command: AmendOrder) -> list[Event]:
    """Return `OrderAmended` and the trades the new price causes; nothing when nothing changes.

    Checked in this order: account, order, sign, market status, size, post-only, funds.
    Raises: a `Rejected` of each of these; nothing was recorded.
    """
    account = require_account(exchange, command.account)
    order = require_order(account, command.order_id, command.client_order_id)
    market = exchange.markets[order.market]
    if command.price_ticks < 0 or command.quantity_lots < 0:
        raise NotPositive("price and quantity: must be greater than zero")
    price_ticks = command.price_ticks or order.price_ticks
    lots = command.quantity_lots or order.quantity_lots
    same_price = price_ticks == order.price_ticks
    keeps_priority = same_price and lots <= order.quantity_lots
    _require_amends_taken(market, keeps_priority=keeps_priority)
    if same_price and lots == order.quantity_lots:
        return []
    require_bookable(market, price_ticks, lots)
    if market.min_notional:
        require_minimum(market, price_ticks * lots * market.tick_lot_units)
    hold = market.hold_for(order.side, price_ticks, lots)
    if keeps_priority:
        return [
            _amended(exchange, command, order, price_ticks, lots, hold, resting=lots, keeps=True)
        ]
    if order.placed.post_only and crosses(market, order.side, price_ticks):
        raise WouldTrade
    paying = order.quote if order.side == BUY else order.base
    if paying.free < hold - order.hold:
        raise InsufficientFunds
    return _move(exchange, market, command, order, price_ticks, lots, hold)


def _require_amends_taken(market: Market, *, keeps_priority: bool) -> None:
    market.require_cancels_taken()
    if market.status == "cancel_only" and not keeps_priority:
        raise MarketCancelOnlyError(f"{market.symbol} takes cancels and reductions only")


def _move(
    exchange: Exchange,
    market: Market,
    command: AmendOrder,
    order: Order,
    price_ticks: int,
    lots: int,
    hold: int,
) -> list[Event]:
    taker = Taker(
        time_ms=event_time_ms(exchange, command),
        next_trade_id=market.next_trade_id,
        order_id=order.order_id,
        account=order.account,
        side=order.side,
        price_ticks=price_ticks,
        lots=lots,
        budget=0,
        self_trade_prevention=command.self_trade_prevention,
    )
    match(market, taker)
    rests = not taker.stopped
    resting = taker.remaining_lots if rests else 0
    amended = _amended(
        exchange, command, order, price_ticks, lots, hold, resting=resting, keeps=False
    )
    return [amended, *taker.events, *taker_end(market, taker, rests=rests)]


def _amended(
    exchange: Exchange,
    command: AmendOrder,
    order: Order,
    price_ticks: int,
    lots: int,
    hold: int,
    *,
    resting: int,
    keeps: bool,
) -> OrderAmended:
    return OrderAmended(
        event_time_ms(exchange, command),
        order.market,
        order.order_id,
        order.account,
        order.side,
        order.price_ticks,
        order.quantity_lots,
        order.hold,
        price_ticks,
        lots,
        hold,
        resting,
        keeps,
    )
