"""List a market between two assets."""

from commands.command import Command, event_time_ms, require_asset, require_symbol
from domain.errors import AlreadyExists, BadField
from domain.events import Event, MarketListed
from domain.exchange import Exchange
from domain.units import PPM, UNITS_MAX, decimals_of, parse_amount, parse_units


class ListMarket(Command, frozen=True, kw_only=True):
    """tick_size (quote per base), lot_size (base) and min_notional (quote): decimal strings.

    Fees: parts per million of what each side receives.
    """

    market: str
    base_asset: str
    quote_asset: str
    tick_size: str
    lot_size: str
    min_notional: str = "0"
    maker_fee_ppm: int = 1000
    taker_fee_ppm: int = 1000


def decide(exchange: Exchange, command: ListMarket) -> list[Event]:
    """Return `MarketListed`.

    Raises: BadField, AlreadyExists, UnknownAsset, a bad decimal's refusal; BadField also when one
    lot at one tick is not a whole number of quote units, as amounts would then need rounding.
    """
    require_symbol(command.market, field="market")
    if command.market in exchange.markets:
        raise AlreadyExists(f"Market {command.market} is listed already")
    base = require_asset(exchange, command.base_asset)
    quote = require_asset(exchange, command.quote_asset)
    if base is quote:
        raise BadField("base_asset and quote_asset: must differ")
    if not (0 <= command.maker_fee_ppm < PPM and 0 <= command.taker_fee_ppm < PPM):
        raise BadField(f"fees: 0 to {PPM - 1} parts per million")
    return [
        MarketListed(
            event_time_ms(exchange, command),
            command.market,
            base.code,
            quote.code,
            command.tick_size,
            command.lot_size,
            parse_amount(command.lot_size, base.decimals, field="lot_size"),
            _tick_lot_units(command.tick_size, command.lot_size, quote.decimals),
            parse_units(command.min_notional, quote.decimals, field="min_notional"),
            command.maker_fee_ppm,
            command.taker_fee_ppm,
        )
    ]


def _tick_lot_units(tick_size: str, lot_size: str, quote_decimals: int) -> int:
    """Return the quote units that one lot costs at a price of one tick."""
    tick_decimals, lot_decimals = decimals_of(tick_size), decimals_of(lot_size)
    product = parse_amount(tick_size, tick_decimals, field="tick_size") * parse_amount(
        lot_size, lot_decimals, field="lot_size"
    )
    shift = quote_decimals - tick_decimals - lot_decimals
    units, rest = (product * _ten_to(shift), 0) if shift >= 0 else divmod(product, _ten_to(-shift))
    if rest or units > UNITS_MAX:
        raise BadField("tick_size x lot_size: must be a whole number of quote units")
    return units


def _ten_to(power: int) -> int:
    return int("1" + "0" * power)
