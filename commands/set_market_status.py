"""Halt a market, let it take cancels only, or resume it."""

from typing import Final

from commands.command import Command, event_time_ms, require_market, require_text
from domain.errors import BadField
from domain.events import Event, MarketHalted, MarketResumed, MarketSetCancelOnly
from domain.exchange import Exchange
from domain.market import MarketStatus

_STATUSES: Final = frozenset({"open", "cancel_only", "halted"})


class SetMarketStatus(Command, frozen=True, kw_only=True):
    """reason: shown to clients; kept with a halt and a cancel-only period."""

    market: str
    status: MarketStatus
    reason: str = ""


def decide(exchange: Exchange, command: SetMarketStatus) -> list[Event]:
    """Return the change of status; nothing when the market has it already.

    Raises: UnknownMarket, BadField.
    """
    market = require_market(exchange, command.market)
    require_text(command.reason, field="reason")
    if command.status not in _STATUSES:
        raise BadField("status: open, cancel_only or halted")
    if command.status == market.status:
        return []
    time_ms = event_time_ms(exchange, command)
    if command.status == "open":
        return [MarketResumed(time_ms, market.symbol)]
    if command.status == "halted":
        return [MarketHalted(time_ms, market.symbol, command.reason)]
    return [MarketSetCancelOnly(time_ms, market.symbol, command.reason)]
