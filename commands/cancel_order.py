"""Cancel an open order."""

from commands.command import Command, require_account, require_order
from domain.events import Event, OrderCancelled
from domain.exchange import Exchange
from domain.market import Market
from domain.order_book import Order
from domain.units import BUY


class CancelOrder(Command, frozen=True, kw_only=True):
    """The order is named by order_id or by client_order_id."""

    account: str
    order_id: int = 0
    client_order_id: str = ""


def decide(exchange: Exchange, command: CancelOrder) -> list[Event]:
    """Return `OrderCancelled`.

    Raises: UnknownAccount, BadField; UnknownOrder: closed, foreign or never there;
    MarketHaltedError.
    """
    order_id = 0 if command.client_order_id else command.order_id
    try:
        order = exchange.accounts[command.account].open_orders[order_id]
    except KeyError:
        order = _find(exchange, command)
    market = exchange.markets[order.placed.market]
    if market.status == "halted":
        market.require_cancels_taken()
    time_ms = command.time_ms if command.time_ms > exchange.time_ms else exchange.time_ms
    return [cancelled(market, order, time_ms)]


def _find(exchange: Exchange, command: CancelOrder) -> Order:
    account = require_account(exchange, command.account)
    return require_order(account, command.order_id, command.client_order_id)


def cancelled(market: Market, order: Order, time_ms: int) -> OrderCancelled:
    """Return the cancellation of a resting order at its account's request."""
    lots = order.quantity_lots
    if order.side == BUY:
        hold = order.price_ticks * lots * market.tick_lot_units
    else:
        hold = lots * market.lot_units
    return OrderCancelled(
        time_ms,
        market.symbol,
        order.order_id,
        order.account,
        order.side,
        order.price_ticks,
        lots,
        hold,
        True,
        "requested",
    )
