"""What becomes of a requested withdrawal: approved or rejected, then completed or failed."""

from commands.command import Command, event_time_ms, require_name, require_text
from domain.errors import AccountInDebt, UnknownWithdrawal, WrongState
from domain.events import (
    Event,
    WithdrawalApproved,
    WithdrawalCompleted,
    WithdrawalFailed,
    WithdrawalRejected,
)
from domain.exchange import Exchange
from domain.ledger import Withdrawal, WithdrawalStatus


class ApproveWithdrawal(Command, frozen=True, kw_only=True):
    withdrawal_id: int
    approved_by: str


class RejectWithdrawal(Command, frozen=True, kw_only=True):
    withdrawal_id: int
    rejected_by: str
    reason: str


class CompleteWithdrawal(Command, frozen=True, kw_only=True):
    """txid: the transaction that paid it."""

    withdrawal_id: int
    txid: str


class FailWithdrawal(Command, frozen=True, kw_only=True):
    withdrawal_id: int
    reason: str


def decide_approve(exchange: Exchange, command: ApproveWithdrawal) -> list[Event]:
    """Return `WithdrawalApproved`; nothing when it is approved already.

    Raises: BadField, UnknownWithdrawal; WrongState: not waiting for approval; AccountInDebt: since
    it was requested, a deposit of the account was reversed that had been spent.
    """
    require_name(command.approved_by, field="approved_by")
    withdrawal = _require(exchange, command.withdrawal_id, "requested", "approved")
    if withdrawal.status == "approved":
        return []
    if exchange.accounts[withdrawal.account].debts:
        raise AccountInDebt
    time_ms = event_time_ms(exchange, command)
    return [
        WithdrawalApproved(
            time_ms, withdrawal.account, withdrawal.withdrawal_id, command.approved_by
        )
    ]


def decide_reject(exchange: Exchange, command: RejectWithdrawal) -> list[Event]:
    """Return `WithdrawalRejected`; nothing when it is rejected already.

    Raises: BadField, UnknownWithdrawal, WrongState: not waiting for approval.
    """
    require_name(command.rejected_by, field="rejected_by")
    require_text(command.reason, field="reason")
    withdrawal = _require(exchange, command.withdrawal_id, "requested", "rejected")
    if withdrawal.status == "rejected":
        return []
    return [
        WithdrawalRejected(
            event_time_ms(exchange, command),
            withdrawal.account,
            withdrawal.withdrawal_id,
            withdrawal.asset,
            withdrawal.amount,
            command.rejected_by,
            command.reason,
        )
    ]


def decide_complete(exchange: Exchange, command: CompleteWithdrawal) -> list[Event]:
    """Return `WithdrawalCompleted`; nothing when it is completed already.

    Raises: BadField, UnknownWithdrawal, WrongState: not approved.
    """
    require_text(command.txid, field="txid", required=True)
    withdrawal = _require(exchange, command.withdrawal_id, "approved", "completed")
    if withdrawal.status == "completed":
        return []
    return [
        WithdrawalCompleted(
            event_time_ms(exchange, command),
            withdrawal.account,
            withdrawal.withdrawal_id,
            withdrawal.asset,
            withdrawal.amount,
            command.txid,
        )
    ]


def decide_fail(exchange: Exchange, command: FailWithdrawal) -> list[Event]:
    """Return `WithdrawalFailed`; nothing when it has failed already.

    Raises: BadField, UnknownWithdrawal, WrongState: not approved.
    """
    require_text(command.reason, field="reason")
    withdrawal = _require(exchange, command.withdrawal_id, "approved", "failed")
    if withdrawal.status == "failed":
        return []
    return [
        WithdrawalFailed(
            event_time_ms(exchange, command),
            withdrawal.account,
            withdrawal.withdrawal_id,
            withdrawal.asset,
            withdrawal.amount,
            command.reason,
        )
    ]


def _require(
    exchange: Exchange, withdrawal_id: int, before: WithdrawalStatus, after: WithdrawalStatus
) -> Withdrawal:
    """Return the withdrawal if it is in the state before or, as a repeat, after the step."""
    withdrawal = exchange.withdrawals.get(withdrawal_id)
    if withdrawal is None:
        raise UnknownWithdrawal
    if withdrawal.status not in (before, after):
        raise WrongState(f"The withdrawal is {withdrawal.status}, not {before}")
    return withdrawal
