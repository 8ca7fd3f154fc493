"""Amend an open order: a reduction keeps its place in the queue, anything else loses it."""

from typing import NamedTuple

from commands.command import (
    Command,
    event_time_ms,
    require_account,
    require_order,
)
from commands.place_order import PREVENTIONS, require_bookable
from domain.errors import (
    BadField,
    InsufficientFunds,
    MarketCancelOnlyError,
    NotPositive,
    WouldTrade,
)
from domain.events import Event, OrderAmended, SelfTradePrevention
from domain.exchange import Exchange
from domain.market import Market
from domain.matching import Taker, crosses, match
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
    if command.self_trade_prevention not in PREVENTIONS:
        raise BadField("self_trade_prevention is not one we know")
    if command.price_ticks < 0 or command.quantity_lots < 0:
        raise NotPositive("price and quantity: must be greater than zero")
    price_ticks = command.price_ticks or order.price_ticks
    lots = command.quantity_lots or order.quantity_lots
    same_price = price_ticks == order.price_ticks
    keeps_priority = same_price and lots <= order.quantity_lots
    _require_amends_taken(market, keeps_priority=keeps_priority)
    if same_price and lots == order.quantity_lots:
        return []
    notional, base_amount = require_bookable(market, price_ticks, lots)
    change = _Change(price_ticks, lots, notional if order.side == BUY else base_amount)
    if keeps_priority:
        return [_amended(exchange, command, order, change, resting_lots=lots, keeps_priority=True)]
    if order.placed.post_only and crosses(market, order.side, price_ticks):
        raise WouldTrade
    if order.paying.free < change.hold - market.hold_of(order):
        raise InsufficientFunds
    return _move(exchange, market, command, order, change)


class _Change(NamedTuple):
    """What the order shall be: its new price, open quantity, and worst-case hold."""

    price_ticks: int
    quantity_lots: int
    hold: int


def _require_amends_taken(market: Market, *, keeps_priority: bool) -> None:
    market.require_cancels_taken()
    if market.status == "cancel_only" and not keeps_priority:
        raise MarketCancelOnlyError(f"{market.symbol} takes cancels and reductions only")


def _move(
    exchange: Exchange, market: Market, command: AmendOrder, order: Order, change: _Change
) -> list[Event]:
    taker = Taker(
        event_time_ms(exchange, command),
        order.order_id,
        order.account,
        order.side,
        change.price_ticks,
        change.quantity_lots,
        0,
        command.self_trade_prevention,
        may_rest=True,
    )
    result = match(market, taker)
    amended = _amended(
        exchange, command, order, change, resting_lots=result.resting_lots, keeps_priority=False
    )
    return [amended, *result.events]


def _amended(
    exchange: Exchange,
    command: AmendOrder,
    order: Order,
    change: _Change,
    *,
    resting_lots: int,
    keeps_priority: bool,
) -> OrderAmended:
    return OrderAmended(
        event_time_ms(exchange, command),
        order.market,
        order.order_id,
        order.account,
        order.side,
        order.price_ticks,
        order.quantity_lots,
        exchange.markets[order.market].hold_of(order),
        change.price_ticks,
        change.quantity_lots,
        change.hold,
        resting_lots,
        keeps_priority,
    )
