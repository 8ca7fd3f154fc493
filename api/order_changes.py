"""Open orders: amend, cancel, cancel all."""

from fastapi import APIRouter
from pydantic import ConfigDict, Field
from starlette.responses import Response

from api import examples
from api.documents import documents
from api.engine_questions import MarketFacts
from api.gateway import Gateway
from api.orders import SIZE_REFUSALS, ClientOrderId, MarketFilter, steps_of
from api.parameters import Body, DecimalText, FoldexDep, Id, OptionalKey, Trader
from api.problems import MissingField
from api.replies import Done, OrderReceipt, done, order_receipt, reply
from api.security import Caller
from commands.amend_order import AmendOrder
from commands.cancel_all_orders import CancelAllOrders
from commands.cancel_order import CancelOrder
from domain import errors
from domain.events import SelfTradePrevention

router = APIRouter(prefix="/v1/orders", tags=["Orders"])


class AmendRequest(Body):
    """What to change about an open order; what is left out stays as it is."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"quantity": "0.02"}]})

    price: DecimalText | None = None
    quantity: DecimalText | None = Field(None, description="The new open quantity.")
    self_trade_prevention: SelfTradePrevention = "cancel_taker"


@router.patch("/{order_id}", summary="Amend an order")
@documents(
    OrderReceipt,
    example=examples.ORDER_RECEIPT,
    refuses=(errors.UnknownOrder, MissingField, *SIZE_REFUSALS),
)
async def amend_order(
    order_id: Id, body: AmendRequest, who: Trader, foldex: FoldexDep, key: OptionalKey
) -> Response:
    """Change an open order's price or open quantity; it keeps its id.

    A reduction keeps its place in the queue. A new price or a larger quantity loses it, and the
    order trades with what it meets, like a new one.
    """
    foldex.rates.orders.charge(who.key_id)
    market = await _market_of(foldex.gateway, who.account, order_id=order_id)
    return await _amend(foldex.gateway, market, body, who, key, order_id=order_id)


@router.patch("/by-client-id/{client_order_id}", summary="Amend an order by client order id")
@documents(
    OrderReceipt,
    example=examples.ORDER_RECEIPT,
    refuses=(errors.UnknownOrder, MissingField, *SIZE_REFUSALS),
)
async def amend_by_client_id(
    client_order_id: ClientOrderId,
    body: AmendRequest,
    who: Trader,
    foldex: FoldexDep,
    key: OptionalKey,
) -> Response:
    """Like amending by id, for the open order with this client order id."""
    foldex.rates.orders.charge(who.key_id)
    market = await _market_of(foldex.gateway, who.account, client_order_id=client_order_id)
    return await _amend(foldex.gateway, market, body, who, key, client_order_id=client_order_id)


@router.delete("/{order_id}", summary="Cancel an order")
@documents(
    OrderReceipt,
    example={**examples.ORDER_RECEIPT, "status": "cancelled"},
    refuses=(errors.UnknownOrder, errors.MarketHaltedError),
)
async def cancel_order(order_id: Id, who: Trader, foldex: FoldexDep, key: OptionalKey) -> Response:
    """Cancel an open order; what it held is free again. Allowed in cancel-only markets."""
    return await _cancel(foldex.gateway, who, key, order_id=order_id)


@router.delete("/by-client-id/{client_order_id}", summary="Cancel an order by client order id")
@documents(
    OrderReceipt,
    example={**examples.ORDER_RECEIPT, "status": "cancelled"},
    refuses=(errors.UnknownOrder, errors.MarketHaltedError),
)
async def cancel_by_client_id(
    client_order_id: ClientOrderId, who: Trader, foldex: FoldexDep, key: OptionalKey
) -> Response:
    """Cancel the open order with this client order id."""
    return await _cancel(foldex.gateway, who, key, client_order_id=client_order_id)


@router.delete("", summary="Cancel all orders")
@documents(Done, example={"position": 90340, "repeated": False}, refuses=(errors.UnknownMarket,))
async def cancel_all_orders(
    who: Trader, foldex: FoldexDep, key: OptionalKey, market: MarketFilter = ""
) -> Response:
    """Cancel every open order, or those of one market. Orders in halted markets stay."""
    gateway = foldex.gateway
    receipt = await gateway.execute(
        CancelAllOrders(
            **gateway.stamp(who.account, key),
            account=who.account,
            market=market,
        ),
        who.signature,
    )
    return done(receipt)


async def _cancel(
    gateway: Gateway, who: Caller, key: str, *, order_id: int = 0, client_order_id: str = ""
) -> Response:
    """Cancel the caller's order that has one of these ids. Raises: as `Gateway.execute`."""
    market = await _market_of(
        gateway, who.account, order_id=order_id, client_order_id=client_order_id
    )
    command = CancelOrder(
        **gateway.stamp(who.account, key),
        account=who.account,
        order_id=order_id,
        client_order_id=client_order_id,
    )
    receipt = await gateway.execute(command, who.signature)
    return reply(order_receipt(receipt, market), receipt.position)


async def _market_of(
    gateway: Gateway, account: str, *, order_id: int = 0, client_order_id: str = ""
) -> MarketFacts:
    """Return the market of an order, open or closed: a closed one may be a repeated command's.

    Raises: UnknownOrder: the account never had it, or it is not in the view yet.
    """
    symbol = await gateway.market_of_open_order(
        account, order_id=order_id, client_order_id=client_order_id
    )
    if not symbol:
        closed, _ = await gateway.query(
            lambda views: views.order(
                account, order_id=order_id or None, client_order_id=client_order_id or None
            )
        )
        if closed is None:
            raise errors.UnknownOrder
        symbol = closed.market
    return await gateway.market(symbol)


async def _amend(
    gateway: Gateway,
    market: MarketFacts,
    body: AmendRequest,
    who: Caller,
    key: str,
    *,
    order_id: int = 0,
    client_order_id: str = "",
) -> Response:
    if body.price is None and body.quantity is None:
        raise MissingField("price or quantity: give what is to change")
    receipt = await gateway.execute(
        AmendOrder(
            **gateway.stamp(who.account, key),
            account=who.account,
            order_id=order_id,
            client_order_id=client_order_id,
            price_ticks=steps_of(body.price, market.tick_size, field="price"),
            quantity_lots=steps_of(body.quantity, market.lot_size, field="quantity"),
            self_trade_prevention=body.self_trade_prevention,
        ),
        who.signature,
    )
    return reply(order_receipt(receipt, market), receipt.position)
