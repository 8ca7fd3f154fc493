"""Credit a deposit, once for ever."""

from commands.command import (
    Command,
    event_time_ms,
    require_account,
    require_asset,
    require_text,
)
from domain.errors import AmountTooLarge, IdempotencyKeyReused, NotPositive
from domain.events import DepositCredited, Event
from domain.exchange import Exchange
from domain.units import UNITS_MAX


class CreditDeposit(Command, frozen=True, kw_only=True):
    """amount: ledger units. deposit_id: what the deposit is, for ever: `chain:txid:ordinal`."""

    account: str
    asset: str
    amount: int
    deposit_id: str


def decide(exchange: Exchange, command: CreditDeposit) -> list[Event]:
    """Return `DepositCredited`; nothing when this deposit was credited before.

    It repays the account's debt in the asset first.
    Raises: UnknownAccount, UnknownAsset, BadField, NotPositive, AmountTooLarge;
    IdempotencyKeyReused: the deposit was credited with other contents.
    """
    account = require_account(exchange, command.account)
    require_asset(exchange, command.asset)
    require_text(command.deposit_id, field="deposit_id", required=True)
    if command.amount <= 0:
        raise NotPositive("amount: must be greater than zero")
    if command.amount > UNITS_MAX:
        raise AmountTooLarge("amount: too large")
    before = exchange.deposits.get(command.deposit_id)
    if before is not None:
        if (before.account, before.asset, before.amount) != (
            command.account,
            command.asset,
            command.amount,
        ):
            raise IdempotencyKeyReused("This deposit was credited with other contents")
        return []
    return [
        DepositCredited(
            event_time_ms(exchange, command),
            command.account,
            command.asset,
            command.amount,
            command.deposit_id,
            min(account.debts.get(command.asset, 0), command.amount),
        )
    ]
