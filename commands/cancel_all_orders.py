"""Cancel all open orders of an account, in one market or in all."""

from commands.cancel_order import cancelled
from commands.command import Command, event_time_ms, require_account, require_market
from domain.events import Event
from domain.exchange import Exchange


class CancelAllOrders(Command, frozen=True, kw_only=True):
    """market: empty for all markets; those that are halted are passed over."""

    account: str
    market: str = ""


def decide(exchange: Exchange, command: CancelAllOrders) -> list[Event]:
    """Return one `OrderCancelled` for each open order, oldest first.

    Raises: UnknownAccount, UnknownMarket; MarketHaltedError: the named market is halted.
    """
    account = require_account(exchange, command.account)
    if command.market:
        require_market(exchange, command.market).require_cancels_taken()
    time_ms = event_time_ms(exchange, command)
    return [
        cancelled(exchange.markets[order.market], order, time_ms)
        for order in account.open_orders.values()
        if command.market in ("", order.market)
        and exchange.markets[order.market].status != "halted"
    ]
