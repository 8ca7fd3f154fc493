"""List an asset, so that it can be deposited and traded."""

from commands.command import Command, event_time_ms, require_code
from domain.errors import AlreadyExists, BadField
from domain.events import AssetListed, Event
from domain.exchange import Exchange
from domain.units import DECIMALS_MAX


class ListAsset(Command, frozen=True, kw_only=True):
    """decimals: of the ledger unit, 0 to 18; finer than 8 leaves room for smaller sums only."""

    asset: str
    decimals: int = 8


def decide(exchange: Exchange, command: ListAsset) -> list[Event]:
    """Return `AssetListed`. Raises: BadField, AlreadyExists."""
    require_code(command.asset, field="asset")
    if not 0 <= command.decimals <= DECIMALS_MAX:
        raise BadField(f"decimals: 0 to {DECIMALS_MAX}")
    if command.asset in exchange.assets:
        raise AlreadyExists(f"Asset {command.asset} is listed already")
    return [AssetListed(event_time_ms(exchange, command), command.asset, command.decimals)]
