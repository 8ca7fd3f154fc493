"""Request a withdrawal: its amount is held until the end is known."""

from commands.command import (
    Command,
    event_time_ms,
    require_account,
    require_asset,
    require_name,
    require_text,
)
from domain.errors import (
    AccountInDebt,
    AmountTooLarge,
    IdempotencyKeyReused,
    InsufficientFunds,
    NotPositive,
)
from domain.events import Event, WithdrawalRequested
from domain.exchange import Exchange
from domain.units import UNITS_MAX


class RequestWithdrawal(Command, frozen=True, kw_only=True):
    """amount: ledger units. request_id: the client's own, unique in the account for ever."""

    account: str
    asset: str
    amount: int
    address: str
    request_id: str


def decide(exchange: Exchange, command: RequestWithdrawal) -> list[Event]:
    """Return `WithdrawalRequested`; nothing when this request was made before.

    Raises: UnknownAccount, UnknownAsset, BadField, NotPositive, AmountTooLarge, InsufficientFunds;
    IdempotencyKeyReused: the request id was used with other contents; AccountInDebt: in any asset.
    """
    account = require_account(exchange, command.account)
    require_asset(exchange, command.asset)
    require_name(command.request_id, field="request_id")
    require_text(command.address, field="address", required=True)
    if command.amount <= 0:
        raise NotPositive("amount: must be greater than zero")
    if command.amount > UNITS_MAX:
        raise AmountTooLarge("amount: too large")
    before = account.withdrawal_requests.get(command.request_id)
    if before is not None:
        first = exchange.withdrawals[before]
        if (first.asset, first.amount, first.address) != (
            command.asset,
            command.amount,
            command.address,
        ):
            raise IdempotencyKeyReused("This request_id was used for another withdrawal")
        return []
    if account.debts:
        raise AccountInDebt
    if account.free(command.asset) < command.amount:
        raise InsufficientFunds(f"The free {command.asset} does not cover the withdrawal")
    return [
        WithdrawalRequested(
            event_time_ms(exchange, command),
            command.account,
            exchange.next_withdrawal_id,
            command.request_id,
            command.asset,
            command.amount,
            command.address,
        )
    ]
