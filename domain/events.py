"""Every fact the exchange records, by its stored name.

Events are small flat structs, stored as msgpack arrays in field order: fields may only be appended,
with a default; a changed meaning is a new version with an upcaster. Times are ms UTC, prices ticks,
quantities lots, amounts ledger units. Each event belongs to one stream (`stream_of`).
"""

from typing import ClassVar, Final, Literal, get_args

import msgspec

from domain.units import Side

OrderType = Literal["limit", "market"]
TimeInForce = Literal["gtc", "ioc", "fok"]
SelfTradePrevention = Literal["none", "cancel_taker", "cancel_maker", "cancel_both", "decrement"]
CancelReason = Literal["requested", "expired", "self_trade"]
"""requested: by the account; expired: what an IOC or market order could not fill."""


class Event(
    msgspec.Struct,
    frozen=True,
    gc=False,
    array_like=True,
    tag_field="event",
    forbid_unknown_fields=True,
):
    """A fact. `time_ms`: ms UTC, given by the command, never goes back along the log."""

    STREAM: ClassVar[str] = "exchange"
    time_ms: int


class MarketEvent(Event, frozen=True, gc=False, array_like=True):
    STREAM: ClassVar[str] = "market"
    market: str


class AccountEvent(Event, frozen=True, gc=False, array_like=True):
    STREAM: ClassVar[str] = "account"
    account: str


def stream_of(event: Event) -> str:
    """Return the stream an event belongs to: `market:BTC-USDT`, `account:alice` or `exchange`."""
    if isinstance(event, MarketEvent):
        return "market:" + event.market
    if isinstance(event, AccountEvent):
        return "account:" + event.account
    return "exchange"


class WriterStarted(Event, frozen=True, gc=False, array_like=True, tag="writer_started.v1"):
    """A process became the one writer; whoever wrote before is shut out from here on."""

    writer: str


class AssetListed(Event, frozen=True, gc=False, array_like=True, tag="asset_listed.v1"):
    """An asset can be held. Its ledger unit is 10 ** -decimals."""

    asset: str
    decimals: int


class MarketListed(MarketEvent, frozen=True, gc=False, array_like=True, tag="market_listed.v1"):
    """A market opened for trading.

    tick_size, lot_size: decimal strings, quote per base and base. lot_units: ledger units of base
    in one lot; tick_lot_units: ledger units of quote that one lot costs at a price of one tick.
    min_notional: ledger units of quote. Fees in parts per million of what is received.
    """

    base_asset: str
    quote_asset: str
    tick_size: str
    lot_size: str
    lot_units: int
    tick_lot_units: int
    min_notional: int
    maker_fee_ppm: int
    taker_fee_ppm: int


class MarketHalted(MarketEvent, frozen=True, gc=False, array_like=True, tag="market_halted.v1"):
    """The market takes no orders and no cancels."""

    reason: str


class MarketSetCancelOnly(
    MarketEvent, frozen=True, gc=False, array_like=True, tag="market_set_cancel_only.v1"
):
    """The market takes cancels (and reductions) only."""

    reason: str


class MarketResumed(MarketEvent, frozen=True, gc=False, array_like=True, tag="market_resumed.v1"):
    """The market trades again."""


class OrderPlaced(MarketEvent, frozen=True, gc=False, array_like=True, tag="order_placed.v1"):
    """An order was accepted; the trades it made at once follow it.

    price_ticks: 0 for a market order. hold: units of quote (buy) or base (sell) moved from free to
    held. resting_lots: what stands in the book once its trades below are done, 0 when nothing does.
    quote_budget: units of quote a market order by amount may spend or raise, else 0.
    filled_lots, filled_quote: what it traded at once, in lots and units of quote.
    """

    order_id: int
    account: str
    side: Side
    type: OrderType
    time_in_force: TimeInForce
    price_ticks: int
    quantity_lots: int
    hold: int
    resting_lots: int
    client_order_id: str
    quote_budget: int
    post_only: bool = False
    filled_lots: int = 0
    filled_quote: int = 0


class TradeExecuted(MarketEvent, frozen=True, gc=False, array_like=True, tag="trade_executed.v1"):
    """Two orders met at the resting (maker) order's price.

    trade_id counts from 1 in each market. base_amount goes to the buyer, quote_amount to the
    seller, each less the fee of who receives it. released: units of quote that a buying taker's
    hold gets back because the price was better than its limit.
    """

    trade_id: int
    price_ticks: int
    quantity_lots: int
    base_amount: int
    quote_amount: int
    taker_side: Side
    maker_order_id: int
    taker_order_id: int
    maker_account: str
    taker_account: str
    maker_fee: int
    taker_fee: int
    released: int
    maker_remaining_lots: int


class OrderCancelled(MarketEvent, frozen=True, gc=False, array_like=True, tag="order_cancelled.v1"):
    """What was left of an order is gone, and the rest of its hold is free again.

    in_book: whether the remaining lots stood in the book at price_ticks.
    """

    order_id: int
    account: str
    side: Side
    price_ticks: int
    remaining_lots: int
    released: int
    in_book: bool
    reason: CancelReason


class OrderAmended(MarketEvent, frozen=True, gc=False, array_like=True, tag="order_amended.v1"):
    """An open order got a new price or open quantity; the trades it made at once follow.

    quantity_lots: the new open quantity, resting_lots: what stands in the book after its trades.
    hold: the order's whole new hold in units, before those trades.
    """

    order_id: int
    account: str
    side: Side
    old_price_ticks: int
    old_quantity_lots: int
    old_hold: int
    price_ticks: int
    quantity_lots: int
    hold: int
    resting_lots: int
    keeps_priority: bool


class SelfTradePrevented(
    MarketEvent, frozen=True, gc=False, array_like=True, tag="self_trade_prevented.v1"
):
    """Both orders of one account were reduced by quantity_lots instead of trading (decrement).

    The order (or both) left with nothing is closed by the OrderCancelled that follows.
    """

    account: str
    price_ticks: int
    quantity_lots: int
    taker_side: Side
    maker_order_id: int
    taker_order_id: int
    maker_released: int
    taker_released: int
    maker_remaining_lots: int
    taker_remaining_lots: int


class AccountOpened(AccountEvent, frozen=True, gc=False, array_like=True, tag="account_opened.v1"):
    """An account can hold assets and trade."""


class DepositCredited(
    AccountEvent, frozen=True, gc=False, array_like=True, tag="deposit_credited.v1"
):
    """An amount came in. deposit_id: unique for ever (`chain:txid:ordinal`, `#epoch` if re-mined).

    debt_repaid: how much of the amount repaid the account's debt; the rest became free.
    """

    asset: str
    amount: int
    deposit_id: str
    debt_repaid: int = 0


class DepositReversed(
    AccountEvent, frozen=True, gc=False, array_like=True, tag="deposit_reversed.v1"
):
    """A credited deposit is undone, as its block is gone from the chain.

    taken: what the free balance covered; the rest of the amount is the account's debt from now on.
    """

    asset: str
    amount: int
    deposit_id: str
    taken: int


class WithdrawalRequested(
    AccountEvent, frozen=True, gc=False, array_like=True, tag="withdrawal_requested.v1"
):
    """An amount is held until the withdrawal is rejected, completed or failed.

    request_id: the client's own id, unique in the account for ever.
    """

    withdrawal_id: int
    request_id: str
    asset: str
    amount: int
    address: str


class WithdrawalApproved(
    AccountEvent, frozen=True, gc=False, array_like=True, tag="withdrawal_approved.v1"
):
    withdrawal_id: int
    approved_by: str


class WithdrawalRejected(
    AccountEvent, frozen=True, gc=False, array_like=True, tag="withdrawal_rejected.v1"
):
    """The hold is free again."""

    withdrawal_id: int
    asset: str
    amount: int
    rejected_by: str
    reason: str


class WithdrawalCompleted(
    AccountEvent, frozen=True, gc=False, array_like=True, tag="withdrawal_completed.v1"
):
    """The held amount left the exchange in transaction txid."""

    withdrawal_id: int
    asset: str
    amount: int
    txid: str


class WithdrawalFailed(
    AccountEvent, frozen=True, gc=False, array_like=True, tag="withdrawal_failed.v1"
):
    """An approved withdrawal could not be paid; the hold is free again."""

    withdrawal_id: int
    asset: str
    amount: int
    reason: str


class RequestAnswered(Event, frozen=True, gc=False, array_like=True, tag="request_answered.v1"):
    """What became of a command that carried an idempotency key; the last event of the command.

    scope: whose key it is (account or operator). digest: SHA-256 of the command. code: why it was
    refused, empty when accepted. position: that of the command's last event before this one.
    """

    scope: str
    key: str
    digest: str
    code: str
    detail: str
    position: int
    order_id: int
    withdrawal_id: int
    status: str
    filled_lots: int
    filled_quote: int


AnyEvent = (
    WriterStarted
    | AssetListed
    | MarketListed
    | MarketHalted
    | MarketSetCancelOnly
    | MarketResumed
    | OrderPlaced
    | TradeExecuted
    | OrderCancelled
    | OrderAmended
    | SelfTradePrevented
    | AccountOpened
    | DepositCredited
    | DepositReversed
    | WithdrawalRequested
    | WithdrawalApproved
    | WithdrawalRejected
    | WithdrawalCompleted
    | WithdrawalFailed
    | RequestAnswered
)
"""The current version of every event, in catalogue order."""

EVENTS: Final[tuple[type[Event], ...]] = get_args(AnyEvent)
"""The same as a tuple of classes."""
