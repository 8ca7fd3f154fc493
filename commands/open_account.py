"""Open an account."""

from commands.command import Command, event_time_ms, require_name
from domain.errors import AlreadyExists
from domain.events import AccountOpened, Event
from domain.exchange import Exchange


class OpenAccount(Command, frozen=True, kw_only=True):
    account: str


def decide(exchange: Exchange, command: OpenAccount) -> list[Event]:
    """Return `AccountOpened`. Raises: BadField; AlreadyExists: also for the fee account."""
    require_name(command.account, field="account")
    if command.account in exchange.accounts:
        raise AlreadyExists(f"Account {command.account!r} exists already")
    return [AccountOpened(event_time_ms(exchange, command), command.account)]
