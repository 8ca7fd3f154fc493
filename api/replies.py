"""How answers leave: msgspec structs as JSON, with the log position that they include."""

from typing import Any, Final, get_type_hints

import msgspec
from starlette.responses import Response

from api.engine_questions import MarketFacts
from commands.receipt import Receipt
from domain.units import format_steps, format_units

POSITION_HEADER: Final = "X-Position"


class OrderReceipt(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an order. filled_quantity, filled_quote: what it traded at once.

    status: open, partially_filled, filled or cancelled. position: read from here to see it.
    repeated: it had been done before, and this is the first result.
    """

    order_id: int
    market: str
    status: str
    filled_quantity: str
    filled_quote: str
    position: int
    repeated: bool


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """An accepted command. position: read from here to see its effect."""

    position: int
    repeated: bool


class WithdrawalReceipt(msgspec.Struct, frozen=True, kw_only=True):
    """status: requested, approved, rejected, completed or failed."""

    withdrawal_id: int
    status: str
    position: int
    repeated: bool


def reply(
    answer: Any, position: int, *, status: int = 200, headers: dict[str, str] | None = None
) -> Response:
    """Return an answer as JSON. position: of the log, that the answer includes."""
    return Response(
        msgspec.json.encode(answer),
        status_code=status,
        headers={POSITION_HEADER: str(position), **(headers or {})},
        media_type="application/json",
    )


def order_receipt(receipt: Receipt, market: MarketFacts) -> OrderReceipt:
    """Return an order's receipt with its amounts as decimal strings."""
    return OrderReceipt(
        order_id=receipt.order_id,
        market=market.symbol,
        status=receipt.status,
        filled_quantity=format_steps(receipt.filled_lots, market.lot_size),
        filled_quote=format_units(receipt.filled_quote, market.quote_decimals),
        position=receipt.position,
        repeated=receipt.repeated,
    )


def done(receipt: Receipt, *, status: int = 200) -> Response:
    """Return the reply to a command that has no more to say than its position."""
    body = Done(position=receipt.position, repeated=receipt.repeated)
    return reply(body, receipt.position, status=status)


def withdrawal_done(receipt: Receipt, *, status: int = 200) -> Response:
    """Return the reply to a command about a withdrawal."""
    body = WithdrawalReceipt(
        withdrawal_id=receipt.withdrawal_id,
        status=receipt.status,
        position=receipt.position,
        repeated=receipt.repeated,
    )
    return reply(body, receipt.position, status=status)


def answer_type(shown: Any) -> Any:
    """Return the type of an answer: itself, or what a query of the views returns."""
    if isinstance(shown, type) or not callable(shown):
        return shown
    returned = get_type_hints(shown)["return"]
    # `X | None`: nothing to show is a 404, so the answer is X.
    parts = [part for part in getattr(returned, "__args__", ()) if part is not type(None)]
    return parts[0] if type(None) in getattr(returned, "__args__", ()) else returned
