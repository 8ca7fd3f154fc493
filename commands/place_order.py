"""Place an order: limit or market, good-till-cancelled, immediate-or-cancel or fill-or-kill."""

from itertools import product
from typing import Final

from commands.command import (
    Command,
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
from domain.market import Market, Seat
from domain.matching import Match, Taker, match
from domain.units import BUY, SELL, UNITS_MAX, Side

OPEN_ORDERS_MAX: Final = 20_000
"""Open orders of one account."""

PREVENTIONS: Final = frozenset({"none", "cancel_taker", "cancel_maker", "cancel_both", "decrement"})
_SIDES: Final = frozenset({BUY, SELL})
_FORMS: Final = frozenset(product(_SIDES, ("limit", "market"), ("gtc", "ioc", "fok"), PREVENTIONS))
"""What side, type, time in force and self-trade prevention may be."""


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


def decide(exchange: Exchange, command: PlaceOrder) -> list[Event]:  # noqa: C901, PLR0912
    """Return `OrderPlaced` and what it causes; nothing when this client order id is open already.

    Checked in this order, the first refusal wins: market, account, client order id, market status,
    fields, size, number of open orders, then (after a dry run on the book) post-only,
    fill-or-kill, liquidity, minimum value, funds.
    Raises: a `Rejected` of each of these; nothing was recorded.

    A limit order that waits in the book, the most common of all commands, is made right here: with
    its checks shared out over four functions, a command took a twentieth longer to decide, apply
    and encode. What is rare is left to functions, and so is saying what is wrong.
    """
    try:
        market = exchange.markets[command.market]
        seat = market.seats[command.account]
    except KeyError:
        market = require_market(exchange, command.market)
        seat = market.new_seat(require_account(exchange, command.account))
    special = command.client_order_id or command.post_only or command.quote_amount
    if special and _is_repeat(seat.account, command):
        return []
    if market.status != "open":
        market.require_orders_taken()
    side, price_ticks, lots = command.side, command.price_ticks, command.quantity_lots
    may_rest = True
    if (
        special
        or command.type != "limit"
        or command.time_in_force != "gtc"
        or side not in _SIDES
        or command.self_trade_prevention not in PREVENTIONS
    ):
        _check_fields(command)
        if command.type == "market":
            _check_market_order(market, command)
            return _take(exchange, market, seat, command, hold=0)
        may_rest = command.time_in_force == "gtc"
    if lots <= 0 or price_ticks <= 0:
        raise NotPositive("price and quantity: must be greater than zero")
    hold = price_ticks * lots * market.tick_lot_units
    base_amount = lots * market.lot_units
    if hold > UNITS_MAX or base_amount > UNITS_MAX or hold < market.min_notional:
        require_bookable(market, price_ticks, lots)
    if len(seat.account.open_orders) >= OPEN_ORDERS_MAX:
        raise TooManyOrders(f"At most {OPEN_ORDERS_MAX} open orders")
    if side == BUY:
        paying, meets = seat.quote, market.asks.best_ticks <= price_ticks
    else:
        hold, paying, meets = base_amount, seat.base, market.bids.best_ticks >= price_ticks
    if meets and command.post_only:
        raise WouldTrade
    if meets or not may_rest:
        return _take(exchange, market, seat, command, hold=hold)
    if paying.free < hold:
        raise _not_covered(market, side)
    time_ms = command.time_ms
    return [
        OrderPlaced(
            time_ms if time_ms > exchange.time_ms else exchange.time_ms,
            command.market,
            exchange.next_order_id,
            command.account,
            side,
            "limit",
            "gtc",
            price_ticks,
            lots,
            hold,
            lots,
            command.client_order_id,
            0,
            command.post_only,
        )
    ]


def _is_repeat(account: Account, command: PlaceOrder) -> bool:
    """Raises: DuplicateClientOrderId: the id is that of an open order with other contents."""
    order = account.client_orders.get(command.client_order_id)
    if order is None:
        return False
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
    return True


def _check_fields(command: PlaceOrder) -> None:
    form = command.side, command.type, command.time_in_force, command.self_trade_prevention
    if form not in _FORMS:
        raise BadField("side, type, time_in_force or self_trade_prevention is not one we know")
    if command.client_order_id:
        require_name(command.client_order_id, field="client_order_id")
    if command.post_only and (command.time_in_force != "gtc" or command.type != "limit"):
        raise BadField("post_only: gtc limit orders only")
    if command.quote_amount and command.type != "market":
        raise BadField("quote_amount: market orders only")


def _check_market_order(market: Market, command: PlaceOrder) -> None:
    if command.price_ticks:
        raise BadField("price: limit orders only")
    if command.quote_amount and command.quantity_lots:
        raise BadField("Give either quantity or quote_amount")
    if command.quote_amount and command.time_in_force == "fok":
        raise BadField("fok: needs a quantity")
    if command.quote_amount and command.self_trade_prevention == "decrement":
        raise BadField("decrement: needs a quantity")
    if command.quote_amount < 0 or command.quote_amount + command.quantity_lots <= 0:
        raise NotPositive("quantity: must be greater than zero")
    if max(command.quote_amount, command.quantity_lots * market.lot_units) > UNITS_MAX:
        raise AmountTooLarge("quantity: too large")


def require_bookable(market: Market, price_ticks: int, lots: int) -> tuple[int, int]:
    """Return the value of a limit order in quote units, and its size in base units.

    Raises: AmountTooLarge: either is above UNITS_MAX; BelowMinimum: less than the market's minimum.
    """
    notional = price_ticks * lots * market.tick_lot_units
    base_amount = lots * market.lot_units
    if notional > UNITS_MAX or base_amount > UNITS_MAX:
        raise AmountTooLarge("price and quantity: too large")
    if notional < market.min_notional:
        raise BelowMinimum
    return notional, base_amount


def _take(
    exchange: Exchange, market: Market, seat: Seat, command: PlaceOrder, *, hold: int
) -> list[Event]:
    """An order that meets the book, or may not rest in it. hold: that of a limit order."""
    time_ms = command.time_ms if command.time_ms > exchange.time_ms else exchange.time_ms
    may_rest = command.time_in_force == "gtc" and command.type == "limit"
    taker = Taker(
        time_ms,
        exchange.next_order_id,
        command.account,
        command.side,
        command.price_ticks,
        command.quantity_lots,
        command.quote_amount,
        command.self_trade_prevention,
        may_rest,
    )
    result = match(market, taker)
    if command.time_in_force == "fok" and result.filled_lots != command.quantity_lots:
        raise WouldNotFill
    lots = command.quantity_lots or result.filled_lots
    if command.type == "market":
        _require_market_fills(market, result)
        hold = result.filled_quote if command.side == BUY else lots * market.lot_units
    if (seat.quote if command.side == BUY else seat.base).free < hold:
        raise _not_covered(market, command.side)
    placed = OrderPlaced(
        time_ms,
        command.market,
        exchange.next_order_id,
        command.account,
        command.side,
        command.type,
        command.time_in_force,
        command.price_ticks,
        lots,
        hold,
        result.resting_lots,
        command.client_order_id,
        command.quote_amount,
        command.post_only,
        result.filled_lots,
        result.filled_quote,
    )
    return [placed, *result.events]


def _not_covered(market: Market, side: Side) -> InsufficientFunds:
    asset = market.quote_asset if side == BUY else market.base_asset
    return InsufficientFunds(f"The free {asset} does not cover the order")


def _require_market_fills(market: Market, result: Match) -> None:
    if not result.filled_lots:
        raise NoLiquidity
    if result.filled_quote > UNITS_MAX:
        raise AmountTooLarge("quantity: too large")
    if result.filled_quote < market.min_notional:
        raise BelowMinimum
