"""Every command with its `decide`, and how a command with an idempotency key is handled."""

import hashlib
from collections.abc import Callable
from typing import Any, Final

import msgspec

from commands import settle_withdrawal
from commands.amend_order import AmendOrder
from commands.amend_order import decide as decide_amend_order
from commands.cancel_all_orders import CancelAllOrders
from commands.cancel_all_orders import decide as decide_cancel_all_orders
from commands.cancel_order import CancelOrder
from commands.cancel_order import decide as decide_cancel_order
from commands.command import Command, event_time_ms
from commands.credit_deposit import CreditDeposit
from commands.credit_deposit import decide as decide_credit_deposit
from commands.list_asset import ListAsset
from commands.list_asset import decide as decide_list_asset
from commands.list_market import ListMarket
from commands.list_market import decide as decide_list_market
from commands.open_account import OpenAccount
from commands.open_account import decide as decide_open_account
from commands.place_order import PlaceOrder
from commands.place_order import decide as decide_place_order
from commands.receipt import Receipt, receipt_of, receipt_of_answer
from commands.request_withdrawal import RequestWithdrawal
from commands.request_withdrawal import decide as decide_request_withdrawal
from commands.reverse_deposit import ReverseDeposit
from commands.reverse_deposit import decide as decide_reverse_deposit
from commands.set_market_status import SetMarketStatus
from commands.set_market_status import decide as decide_set_market_status
from commands.settle_withdrawal import (
    ApproveWithdrawal,
    CompleteWithdrawal,
    FailWithdrawal,
    RejectWithdrawal,
)
from domain.errors import IdempotencyKeyReused, Rejected, rejection
from domain.events import Event, RequestAnswered
from domain.exchange import ANSWERS_KEPT_MS, Exchange

Outcome = Receipt | Rejected
"""What became of a command: accepted, or refused without any effect."""

COMMANDS: Final[dict[type[Command], Callable[[Exchange, Any], list[Event]]]] = {
    PlaceOrder: decide_place_order,
    CancelOrder: decide_cancel_order,
    AmendOrder: decide_amend_order,
    CancelAllOrders: decide_cancel_all_orders,
    OpenAccount: decide_open_account,
    ListAsset: decide_list_asset,
    ListMarket: decide_list_market,
    SetMarketStatus: decide_set_market_status,
    CreditDeposit: decide_credit_deposit,
    ReverseDeposit: decide_reverse_deposit,
    RequestWithdrawal: decide_request_withdrawal,
    ApproveWithdrawal: settle_withdrawal.decide_approve,
    RejectWithdrawal: settle_withdrawal.decide_reject,
    CompleteWithdrawal: settle_withdrawal.decide_complete,
    FailWithdrawal: settle_withdrawal.decide_fail,
}


def decide(exchange: Exchange, command: Command) -> list[Event]:
    """Return what a command causes; nothing when it was done before. Changes nothing.

    Raises: Rejected: with a stable code.
    """
    return COMMANDS[type(command)](exchange, command)


def handle(exchange: Exchange, command: Command) -> tuple[list[Event], Outcome]:
    """Return the events a command causes and its outcome; what it asked before gets that answer.

    A command with an idempotency key ends with a `RequestAnswered`, also when it is refused, so
    that the answer survives a restart. Changes nothing.
    """
    if command.idempotency_key:
        return _handle_keyed(exchange, command)
    try:
        events = COMMANDS[type(command)](exchange, command)
    except Rejected as refusal:
        return [], refusal
    return events, receipt_of(exchange, command, events)


def _handle_keyed(exchange: Exchange, command: Command) -> tuple[list[Event], Outcome]:
    digest = _digest(command)
    answer = exchange.answer(command.scope, command.idempotency_key)
    if answer is not None and answer.time_ms >= event_time_ms(exchange, command) - ANSWERS_KEPT_MS:
        if answer.digest != digest:
            return [], IdempotencyKeyReused()
        if answer.code:
            return [], rejection(answer.code, answer.detail)
        return [], receipt_of_answer(answer)
    try:
        events = COMMANDS[type(command)](exchange, command)
    except Rejected as refusal:
        return [_answered(exchange, command, digest, Receipt(exchange.position), refusal)], refusal
    receipt = receipt_of(exchange, command, events)
    return [*events, _answered(exchange, command, digest, receipt, None)], receipt


def _answered(
    exchange: Exchange, command: Command, digest: str, receipt: Receipt, refusal: Rejected | None
) -> RequestAnswered:
    return RequestAnswered(
        event_time_ms(exchange, command),
        command.scope,
        command.idempotency_key,
        digest,
        refusal.code if refusal else "",
        refusal.detail if refusal else "",
        receipt.position,
        receipt.order_id,
        receipt.withdrawal_id,
        receipt.status,
        receipt.filled_lots,
        receipt.filled_quote,
    )


def _digest(command: Command) -> str:
    """Return the SHA-256 of what the command asks for: the time it was sent is not part of it."""
    same_time = msgspec.structs.replace(command, time_ms=0)
    content = msgspec.msgpack.encode([type(command).__name__, same_time])
    return hashlib.sha256(content).hexdigest()
