"""What a command's sender gets back: the position to read from, and what the command became."""

from collections.abc import Sequence

import msgspec

from commands.amend_order import AmendOrder
from commands.cancel_order import CancelOrder
from commands.command import Command, require_order
from commands.place_order import PlaceOrder
from commands.request_withdrawal import RequestWithdrawal
from commands.settle_withdrawal import (
    ApproveWithdrawal,
    CompleteWithdrawal,
    FailWithdrawal,
    RejectWithdrawal,
)
from domain.events import (
    Event,
    OrderAmended,
    OrderCancelled,
    OrderPlaced,
    RequestAnswered,
    TradeExecuted,
    WithdrawalApproved,
    WithdrawalCompleted,
    WithdrawalFailed,
    WithdrawalRejected,
    WithdrawalRequested,
)
from domain.exchange import Exchange


class Receipt(msgspec.Struct, frozen=True, gc=False):
    """position: of the command's last event; a view at this position shows the command's effect.

    status: of the order (open, partially_filled, filled, cancelled) or withdrawal it is about.
    filled_lots, filled_quote: what it traded at once, in lots and quote units. repeated: nothing
    new happened, as it had been done before (this is the first result) or there was nothing to do.
    """

    position: int
    order_id: int = 0
    withdrawal_id: int = 0
    status: str = ""
    filled_lots: int = 0
    filled_quote: int = 0
    repeated: bool = False


_WITHDRAWAL_STATUS: dict[type[Event], str] = {
    WithdrawalRequested: "requested",
    WithdrawalApproved: "approved",
    WithdrawalRejected: "rejected",
    WithdrawalCompleted: "completed",
    WithdrawalFailed: "failed",
}


def receipt_of(exchange: Exchange, command: Command, events: Sequence[Event]) -> Receipt:
    """Return the receipt of a command that was decided but not yet applied."""
    if not events:
        return _repeat(exchange, command)
    position = exchange.position + len(events)
    first = events[0]
    if type(first) is OrderPlaced:
        if first.resting_lots and not first.filled_lots:
            return Receipt(position, first.order_id, 0, "open")
        return Receipt(
            position, first.order_id, 0, _status(first), first.filled_lots, first.filled_quote
        )
    if type(first) is OrderCancelled:
        order_id = first.order_id if type(command) is CancelOrder else 0
        return Receipt(position, order_id, 0, "cancelled")
    if isinstance(first, OrderAmended):
        return _amended(position, first, events)
    status = _WITHDRAWAL_STATUS.get(type(first))
    if status is not None:
        return Receipt(position, 0, first.withdrawal_id, status)  # type: ignore[attr-defined]
    return Receipt(position)


def receipt_of_answer(answer: RequestAnswered) -> Receipt:
    """Return the first receipt of an accepted command that was sent again with its key."""
    return Receipt(
        answer.position,
        answer.order_id,
        answer.withdrawal_id,
        answer.status,
        answer.filled_lots,
        answer.filled_quote,
        True,
    )


def _status(placed: OrderPlaced) -> str:
    if placed.resting_lots:
        return "partially_filled" if placed.filled_lots else "open"
    return "filled" if placed.filled_lots == placed.quantity_lots else "cancelled"


def _amended(position: int, amended: OrderAmended, events: Sequence[Event]) -> Receipt:
    trades = [event for event in events if isinstance(event, TradeExecuted)]
    lots = sum(trade.quantity_lots for trade in trades)
    quote = sum(trade.quote_amount for trade in trades)
    if amended.resting_lots:
        status = "partially_filled" if lots else "open"
    else:
        status = "filled" if lots == amended.quantity_lots else "cancelled"
    return Receipt(position, amended.order_id, 0, status, lots, quote)


def _repeat(exchange: Exchange, command: Command) -> Receipt:
    """Nothing new happened: say what the first time came to, from the state."""
    if isinstance(command, PlaceOrder):
        placed = exchange.accounts[command.account].client_orders[command.client_order_id].placed
        return Receipt(
            exchange.position,
            placed.order_id,
            0,
            _status(placed),
            placed.filled_lots,
            placed.filled_quote,
            True,
        )
    if isinstance(command, RequestWithdrawal):
        account = exchange.accounts[command.account]
        withdrawal_id = account.withdrawal_requests[command.request_id]
        return Receipt(exchange.position, 0, withdrawal_id, "requested", 0, 0, True)
    if isinstance(command, AmendOrder):
        account = exchange.accounts[command.account]
        order = require_order(account, command.order_id, command.client_order_id)
        return Receipt(exchange.position, order.order_id, 0, "open", 0, 0, True)
    if isinstance(
        command, ApproveWithdrawal | RejectWithdrawal | CompleteWithdrawal | FailWithdrawal
    ):
        status = exchange.withdrawals[command.withdrawal_id].status
        return Receipt(exchange.position, 0, command.withdrawal_id, status, 0, 0, True)
    return Receipt(exchange.position, repeated=True)
