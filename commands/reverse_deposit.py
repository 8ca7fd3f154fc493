"""Reverse a credited deposit whose block is gone from its chain."""

from commands.command import Command, event_time_ms, require_text
from domain.errors import UnknownDeposit
from domain.events import DepositReversed, Event
from domain.exchange import Exchange


class ReverseDeposit(Command, frozen=True, kw_only=True):
    """deposit_id: as it was credited. Mined again, a deposit is credited under another id."""

    deposit_id: str


def decide(exchange: Exchange, command: ReverseDeposit) -> list[Event]:
    """Return `DepositReversed`; nothing when this deposit was reversed before.

    Never refused for want of funds: what the free balance does not cover becomes the account's
    debt in the asset.
    Raises: BadField; UnknownDeposit: it was never credited.
    """
    require_text(command.deposit_id, field="deposit_id", required=True)
    credited = exchange.deposits.get(command.deposit_id)
    if credited is None:
        raise UnknownDeposit
    if command.deposit_id in exchange.reversals:
        return []
    free = exchange.accounts[credited.account].free(credited.asset)
    return [
        DepositReversed(
            event_time_ms(exchange, command),
            credited.account,
            credited.asset,
            credited.amount,
            credited.deposit_id,
            min(free, credited.amount),
        )
    ]
