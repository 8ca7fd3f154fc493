"""What is wrong with an order before it meets the book, in the order in which it is said."""

from typing import Any

from tests.model.naive_book import Market, Refused

LARGEST = 9_223_372_036_854_775_807
PREVENTIONS = ("none", "cancel_taker", "cancel_maker", "cancel_both", "decrement")


def check_fields(command: Any) -> None:
    """Raises: Refused: bad_field."""
    known = (
        command.side in ("buy", "sell")
        and command.type in ("limit", "market")
        and command.time_in_force in ("gtc", "ioc", "fok")
        and command.self_trade_prevention in PREVENTIONS
    )
    named = command.client_order_id == "" or command.client_order_id.isalnum()
    passive = not command.post_only or (command.type, command.time_in_force) == ("limit", "gtc")
    if not (known and named and passive):
        raise Refused("bad_field")


def check_market_order(market: Market, command: Any) -> None:
    """Raises: Refused: bad_field, not_positive, amount_too_large."""
    by_amount = command.quote_amount != 0
    if command.price_ticks != 0 or (by_amount and command.quantity_lots != 0):
        raise Refused("bad_field")
    if by_amount and (
        command.time_in_force == "fok" or command.self_trade_prevention == "decrement"
    ):
        raise Refused("bad_field")
    if (command.quote_amount if by_amount else command.quantity_lots) <= 0:
        raise Refused("not_positive")
    if command.quote_amount > LARGEST or command.quantity_lots * market.lot_units > LARGEST:
        raise Refused("amount_too_large")


def check_limit_order(market: Market, command: Any) -> None:
    """Raises: Refused: bad_field, and as `check_size`."""
    if command.quote_amount != 0:
        raise Refused("bad_field")
    if command.quantity_lots <= 0 or command.price_ticks <= 0:
        raise Refused("not_positive")
    check_size(market, command.price_ticks, command.quantity_lots)


def check_size(market: Market, price: int, lots: int) -> None:
    """Raises: Refused: amount_too_large, below_minimum."""
    value = price * lots * market.tick_lot_units
    if value > LARGEST or lots * market.lot_units > LARGEST:
        raise Refused("amount_too_large")
    if value < market.min_notional:
        raise Refused("below_minimum")
