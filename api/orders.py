"""Orders: place one or a batch, and see what became of them."""

from typing import Annotated, Final

import msgspec
from fastapi import APIRouter, Path, Query
from pydantic import ConfigDict, Field
from starlette.responses import Response

from api import examples
from api.documents import documents
from api.engine_questions import BATCH_COMMANDS_MAX, MarketFacts
from api.parameters import (
    Body,
    DecimalText,
    FoldexDep,
    FromViews,
    Id,
    OptionalKey,
    PageDep,
    Reader,
    Trader,
)
from api.problems import MissingField, Problem, problem_of
from api.replies import OrderReceipt, order_receipt, reply
from commands.place_order import PlaceOrder
from commands.receipt import Receipt
from commands.registry import Outcome
from domain import errors
from domain.events import OrderType, SelfTradePrevention, TimeInForce
from domain.units import Side, parse_amount, parse_steps
from projections.orders import OrderView
from projections.views import Views

router = APIRouter(prefix="/v1/orders", tags=["Orders"])

ClientOrderId = Annotated[str, Path(min_length=1, max_length=64, examples=["grid-17"])]
MarketFilter = Annotated[
    str, Query(max_length=33, description="Only this market.", examples=["BTC-USDT"])
]

SIZE_REFUSALS: Final = (
    errors.BadDecimal,
    errors.TooManyDecimals,
    errors.NotPositive,
    errors.AmountTooLarge,
    errors.OffStep,
    errors.BelowMinimum,
    errors.InsufficientFunds,
    errors.MarketHaltedError,
    errors.MarketCancelOnlyError,
    errors.WouldTrade,
)
_PLACE_REFUSALS: Final = (
    errors.UnknownMarket,
    errors.UnknownAccount,
    *SIZE_REFUSALS,
    errors.WouldNotFill,
    errors.NoLiquidity,
    errors.TooManyOrders,
    errors.DuplicateClientOrderId,
)


class OrderRequest(Body):
    """A new order.

    A limit order has a price and a quantity; a market order a quantity or a quote_amount, the
    amount of the quote asset to spend (buy) or raise (sell).
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "market": "BTC-USDT",
                    "side": "buy",
                    "type": "limit",
                    "price": "97000.00",
                    "quantity": "0.05",
                    "client_order_id": "grid-17",
                }
            ]
        }
    )

    market: str = Field(max_length=33, description="Such as BTC-USDT; see /v1/markets.")
    side: Side
    type: OrderType = "limit"
    price: DecimalText | None = Field(None, description="Limit orders: a multiple of tick_size.")
    quantity: DecimalText | None = Field(None, description="A multiple of lot_size, in base.")
    quote_amount: DecimalText | None = Field(None, description="Market orders only.")
    time_in_force: TimeInForce = Field(
        "gtc",
        description="gtc: until cancelled; ioc: at once or not at all; fok: all of it or none.",
    )
    post_only: bool = Field(False, description="Refuse the order if it would trade at once.")
    self_trade_prevention: SelfTradePrevention = Field(
        "cancel_taker", description="What happens when it meets an order of the same account."
    )
    client_order_id: str = Field(
        "",
        max_length=64,
        description="Your id, unique among your open orders: repeating the order with it returns "
        "the first result.",
    )


class BatchRequest(Body):
    """Up to 1,000 new orders, decided one after the other."""

    orders: list[OrderRequest] = Field(min_length=1, max_length=BATCH_COMMANDS_MAX)


class BatchItem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of one order of a batch: an order, or the problem why not."""

    order: OrderReceipt | None = None
    problem: Problem | None = None


class BatchReceipt(msgspec.Struct, frozen=True, kw_only=True):
    """results: one for each order, in their order. position: includes them all."""

    results: list[BatchItem]
    position: int


@router.post("", summary="Place an order")
@documents(OrderReceipt, example=examples.ORDER_RECEIPT, refuses=_PLACE_REFUSALS, status=201)
async def place_order(
    body: OrderRequest, who: Trader, foldex: FoldexDep, key: OptionalKey
) -> Response:
    """Place a limit or market order. The reply is sent once the order is durable.

    What trades at once is told in the reply; the rest of a `gtc` limit order rests in the book.
    A buy holds its whole worst-case cost, a sell its quantity; fees are taken from what is
    received. Safe to send again with the same `Idempotency-Key` or `client_order_id`.
    """
    foldex.rates.orders.charge(who.key_id)
    gateway = foldex.gateway
    market = await gateway.market(body.market)
    command = _to_place(market, body, who.account, key, gateway.clock_ms())
    receipt = await gateway.execute(command, who.signature)
    return reply(order_receipt(receipt, market), receipt.position, status=201)


@router.post("/batch", summary="Place up to 1,000 orders")
@documents(
    BatchReceipt,
    example={"results": [{"order": examples.ORDER_RECEIPT}], "position": 90331},
)
async def place_batch(
    body: BatchRequest, who: Trader, foldex: FoldexDep, key: OptionalKey
) -> Response:
    """Place many orders in one request; each is accepted or refused on its own.

    The idempotency key of order number i (from 0) is `KEY/i`; ask /v1/requests/KEY for them all.
    """
    foldex.rates.orders.charge(who.key_id, len(body.orders))
    gateway = foldex.gateway
    markets = await gateway.markets({order.market for order in body.orders})
    now_ms = gateway.clock_ms()
    commands: list[PlaceOrder] = []
    refused: dict[int, errors.Rejected | MissingField] = {}
    for number, order in enumerate(body.orders):
        try:
            market = _listed(markets, order.market)
            item_key = f"{key}/{number}" if key else ""
            commands.append(_to_place(market, order, who.account, item_key, now_ms))
        except (errors.Rejected, MissingField) as refusal:
            refused[number] = refusal
    outcomes: list[Outcome] = []
    if commands:
        outcomes = await gateway.submit(commands, key=key, signature=who.signature)
    return _batch_reply(body, markets, outcomes, refused, gateway.position)


def _batch_reply(
    body: BatchRequest,
    markets: dict[str, MarketFacts],
    outcomes: list[Outcome],
    refused: dict[int, errors.Rejected | MissingField],
    engine_position: int,
) -> Response:
    position = 0 if outcomes else engine_position
    decided = iter(outcomes)
    results: list[BatchItem] = []
    for number, order in enumerate(body.orders):
        outcome = refused[number] if number in refused else next(decided)
        if isinstance(outcome, Receipt):
            position = max(position, outcome.position)
            results.append(BatchItem(order=order_receipt(outcome, markets[order.market])))
        else:
            instance = f"{router.prefix}/batch#/orders/{number}"
            results.append(BatchItem(problem=problem_of(outcome, instance)))
    return reply(BatchReceipt(results=results, position=position), position)


@router.get("/open", summary="Open orders")
@documents(Views.open_orders, example=examples.page_of(examples.ORDER))
async def open_orders(
    who: Reader, answer: FromViews, page: PageDep, market: MarketFilter = ""
) -> Response:
    """Return the account's open orders, newest first."""
    return await answer(
        lambda views: views.open_orders(
            who.account, market=market or None, after=page.after, limit=page.limit
        )
    )


@router.get("/history", summary="All orders")
@documents(Views.order_history, example=examples.page_of(examples.ORDER))
async def order_history(
    who: Reader, answer: FromViews, page: PageDep, market: MarketFilter = ""
) -> Response:
    """Return the account's orders, open and closed, newest first."""
    return await answer(
        lambda views: views.order_history(
            who.account, market=market or None, after=page.after, limit=page.limit
        )
    )


@router.get("/by-client-id/{client_order_id}", summary="One order by client order id")
@documents(Views.order, example=examples.ORDER, refuses=(errors.UnknownOrder,))
async def order_by_client_id(
    client_order_id: ClientOrderId, who: Reader, answer: FromViews
) -> Response:
    """Return the account's newest order with this client order id."""
    return await answer(
        lambda views: _known(views.order(who.account, client_order_id=client_order_id))
    )


@router.get("/{order_id}", summary="One order")
@documents(Views.order, example=examples.ORDER, refuses=(errors.UnknownOrder,))
async def order(order_id: Id, who: Reader, answer: FromViews) -> Response:
    """Return one of the account's orders, open or closed."""
    return await answer(lambda views: _known(views.order(who.account, order_id=order_id)))


def _known(found: OrderView | None) -> OrderView:
    if found is None:
        raise errors.UnknownOrder("The account has no such order")
    return found


def _listed(markets: dict[str, MarketFacts], symbol: str) -> MarketFacts:
    market = markets.get(symbol)
    if market is None:
        raise errors.UnknownMarket(f"There is no market {symbol!r}")
    return market


def _to_place(
    market: MarketFacts, body: OrderRequest, account: str, key: str, now_ms: int
) -> PlaceOrder:
    """Raises: MissingField, and what converting the decimals raises."""
    if body.type == "limit" and body.price is None:
        raise MissingField("price: a limit order needs one")
    if body.quantity is None and (body.type == "limit" or body.quote_amount is None):
        raise MissingField("quantity: the order needs one")
    return PlaceOrder(
        time_ms=now_ms,
        scope=account,
        idempotency_key=key,
        account=account,
        market=market.symbol,
        side=body.side,
        type=body.type,
        price_ticks=steps_of(body.price, market.tick_size, field="price"),
        quantity_lots=steps_of(body.quantity, market.lot_size, field="quantity"),
        quote_amount=0
        if body.quote_amount is None
        else parse_amount(body.quote_amount, market.quote_decimals, field="quote_amount"),
        time_in_force=body.time_in_force,
        post_only=body.post_only,
        self_trade_prevention=body.self_trade_prevention,
        client_order_id=body.client_order_id,
    )


def steps_of(text: str | None, step: str, *, field: str) -> int:
    return 0 if text is None else parse_steps(text, step, field=field)
