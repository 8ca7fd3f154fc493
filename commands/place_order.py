"""Place an order: limit or market, good-till-cancelled, immediate-or-cancel or fill-or-kill."""

from typing import Final

from commands.command import (
    Command,
    event_time_ms,
    require_account,
    require_market,
    require_name,
)
from domain.errors import (
    AmountTooLarge,
    BadField,
    BelowMinimum,
    DuplicateClientOrderId,
    InsufficientFunds,
    NoLiquidity,
    NotPositive,
    TooManyOrders,
    WouldNotFill,
    WouldTrade,
)
from domain.events import (
    Event,
    OrderPlaced,
    OrderType,
    SelfTradePrevention,
    TimeInForce,
)
from domain.exchange import Exchange
from domain.ledger import Account
from domain.market import Market
from domain.matching import Taker, crosses, match, taker_end
from domain.order_book import Order
from domain.units import BUY, SELL, UNITS_MAX, Side

OPEN_ORDERS_MAX: Final = 20_000
"""Open orders of one account."""

_TYPES: Final = frozenset({"limit", "market"})
_TIMES_IN_FORCE: Final = frozenset({"gtc", "ioc", "fok"})
_PREVENTIONS: Final = frozenset(
    {"none", "cancel_taker", "cancel_maker", "cancel_both", "decrement"}
)


class PlaceOrder(Command, frozen=True, kw_only=True):
    """price_ticks: limit price. quantity_lots: how much; a market order may instead give
    quote_amount, the ledger units of quote to spend (buy) or raise (sell). client_order_id: unique
    among the account's open orders; repeating it returns the first result.
    """

    account: str
    market: str
    side: Side
    type: OrderType = "limit"
    quantity_lots: int = 0
    price_ticks: int = 0
    quote_amount: int = 0
    time_in_force: TimeInForce = "gtc"
    post_only: bool = False
    self_trade_prevention: SelfTradePrevention = "cancel_taker"
    client_order_id: str = ""


def decide(exchange: Exchange, command: PlaceOrder) -> list[Event]:
    """Return `OrderPlaced` and what it causes; nothing when this client order id is open already.

    Checked in this order, the first refusal wins: market, account, client order id, market status,
    fields, size, number of open orders, then (after a dry run on the book) post-only, liquidity,
    fill-or-kill, minimum value, funds.
    Raises: a `Rejected` of each of these; nothing was recorded.
    """
    market = require_market(exchange, command.market)
    account = require_account(exchange, command.account)
    if command.client_order_id:
        open_order = account.client_orders.get(command.client_order_id)
        if open_order is not None:
            _require_same(open_order, command)
            return []
    market.require_orders_taken()
    _check_fields(command)
    _check_size(market, command)
    if len(account.open_orders) >= OPEN_ORDERS_MAX:
        raise TooManyOrders(f"At most {OPEN_ORDERS_MAX} open orders")
    if command.type == "limit":
        if crosses(market, command.side, command.price_ticks):
            if command.post_only:
                raise WouldTrade
        elif command.time_in_force == "gtc":
            return _rest(exchange, market, account, command)
    return _take(exchange, market, account, command)


def _require_same(order: Order, command: PlaceOrder) -> None:
    placed = order.placed
    same = (
        placed.market == command.market
        and placed.side == command.side
        and placed.type == command.type
        and placed.time_in_force == command.time_in_force
        and placed.price_ticks == command.price_ticks
        and placed.quantity_lots == command.quantity_lots
        and placed.post_only == command.post_only
    )
    if not same:
        raise DuplicateClientOrderId


def _check_fields(command: PlaceOrder) -> None:
    if (
        command.side not in (BUY, SELL)
        or command.type not in _TYPES
        or command.time_in_force not in _TIMES_IN_FORCE
        or command.self_trade_prevention not in _PREVENTIONS
    ):
        raise BadField("side, type, time_in_force or self_trade_prevention is not one we know")
    if command.client_order_id:
        require_name(command.client_order_id, field="client_order_id")
    if command.type == "market":
        _check_market_fields(command)
    elif command.quote_amount:
        raise BadField("quote_amount: market orders only")
    elif command.post_only and command.time_in_force != "gtc":
        raise BadField("post_only: gtc limit orders only")


def _check_market_fields(command: PlaceOrder) -> None:
    if command.price_ticks:
        raise BadField("price: limit orders only")
    if command.post_only:
        raise BadField("post_only: gtc limit orders only")
    if command.quote_amount and command.quantity_lots:
        raise BadField("Give either quantity or quote_amount")
    if command.quote_amount and command.time_in_force == "fok":
        raise BadField("fok: needs a quantity")
    if command.quote_amount and command.self_trade_prevention == "decrement":
        raise BadField("decrement: needs a quantity")


def _check_size(market: Market, command: PlaceOrder) -> None:
    lots, price_ticks = command.quantity_lots, command.price_ticks
    if command.type == "market":
        if command.quote_amount <= 0 and lots <= 0:
            raise NotPositive("quantity: must be greater than zero")
    elif lots <= 0 or price_ticks <= 0:
        raise NotPositive("price and quantity: must be greater than zero")
    require_bookable(market, price_ticks, lots)
    if command.quote_amount > UNITS_MAX:
        raise AmountTooLarge("quote_amount: too large")
    if market.min_notional and command.type == "limit":
        require_minimum(market, price_ticks * lots * market.tick_lot_units)


def require_bookable(market: Market, price_ticks: int, lots: int) -> None:
    """Raises: AmountTooLarge: the order's quantity or value is above UNITS_MAX."""
    if price_ticks * lots * market.tick_lot_units > UNITS_MAX or (
        lots * market.lot_units > UNITS_MAX or price_ticks > UNITS_MAX
    ):
        raise AmountTooLarge("price and quantity: too large")


def require_minimum(market: Market, notional: int) -> None:
    """Raises: BelowMinimum: the value, in quote units, is less than the market's minimum."""
    if notional < market.min_notional:
        raise BelowMinimum


def _rest(
    exchange: Exchange, market: Market, account: Account, command: PlaceOrder
) -> list[Event]:
    """The common case, kept short: a limit order that meets nothing and waits in the book."""
    hold = market.hold_for(command.side, command.price_ticks, command.quantity_lots)
    _require_funds(market, account, command.side, hold)
    lots = command.quantity_lots
    return [_placed(exchange, command, lots=lots, hold=hold, resting=lots, filled=0, quote=0)]


def _take(exchange: Exchange, market: Market, account: Account, command: PlaceOrder) -> list[Event]:
    taker = Taker(
        time_ms=event_time_ms(exchange, command),
        next_trade_id=market.next_trade_id,
        order_id=exchange.next_order_id,
        account=command.account,
        side=command.side,
        price_ticks=command.price_ticks,
        lots=command.quantity_lots,
        budget=command.quote_amount,
        self_trade_prevention=command.self_trade_prevention,
    )
    match(market, taker)
    _require_outcome(market, command, taker)
    lots = command.quantity_lots or taker.filled_lots
    hold = taker.filled_quote
    if command.type == "limit" or command.side == SELL:
        hold = market.hold_for(command.side, command.price_ticks, lots)
    _require_funds(market, account, command.side, hold)
    rests = command.type == "limit" and command.time_in_force == "gtc" and not taker.stopped
    placed = _placed(
        exchange,
        command,
        lots=lots,
        hold=hold,
        resting=taker.remaining_lots if rests else 0,
        filled=taker.filled_lots,
        quote=taker.filled_quote,
    )
    return [placed, *taker.events, *taker_end(market, taker, rests=rests)]


def _require_outcome(market: Market, command: PlaceOrder, taker: Taker) -> None:
    if command.type == "market":
        if not taker.filled_lots:
            raise NoLiquidity
        if command.time_in_force == "fok" and taker.filled_lots != command.quantity_lots:
            raise WouldNotFill
        if taker.filled_quote > UNITS_MAX:
            raise AmountTooLarge("quantity: too large")
        require_minimum(market, taker.filled_quote)
    elif command.time_in_force == "fok" and taker.filled_lots != command.quantity_lots:
        raise WouldNotFill


def _require_funds(market: Market, account: Account, side: Side, hold: int) -> None:
    asset = market.quote_asset if side == BUY else market.base_asset
    if account.free(asset) < hold:
        raise InsufficientFunds(f"The free {asset} does not cover the order")


def _placed(
    exchange: Exchange,
    command: PlaceOrder,
    *,
    lots: int,
    hold: int,
    resting: int,
    filled: int,
    quote: int,
) -> OrderPlaced:
    return OrderPlaced(
        event_time_ms(exchange, command),
        command.market,
        exchange.next_order_id,
        command.account,
        command.side,
        command.type,
        command.time_in_force,
        command.price_ticks,
        lots,
        hold,
        resting,
        command.client_order_id,
        command.quote_amount,
        command.post_only,
        filled,
        quote,
    )
