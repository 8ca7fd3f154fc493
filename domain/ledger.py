"""Assets, accounts, balances and withdrawals: who holds what, in ledger units."""

from typing import Final, Literal

import msgspec

from domain.order_book import Order

FEES: Final = "fees"
"""The exchange's own account: every fee goes there, so that each asset always adds up."""

WithdrawalStatus = Literal["requested", "approved", "rejected", "completed", "failed"]


class Balance:
    """free: to spend; held: set aside for open orders and pending withdrawals. Ledger units.

    Not a struct, as nothing is set as often: a slot is set in half the time.
    """

    __slots__ = ("free", "held")

    def __init__(self, free: int = 0, held: int = 0) -> None:
        self.free = free
        self.held = held


class Asset(msgspec.Struct, gc=False):
    """deposited, withdrawn, reversed: totals over the log's life, in units of 10 ** -decimals."""

    code: str
    decimals: int
    deposited: int = 0
    withdrawn: int = 0
    reversed: int = 0


class Withdrawal(msgspec.Struct, gc=False):
    withdrawal_id: int
    account: str
    asset: str
    amount: int
    address: str
    request_id: str
    status: WithdrawalStatus = "requested"


class Account:
    """balances by asset; open orders by id, ascending; and by client order id.

    debts: what reversed deposits left to repay, by asset; only assets that are owed are in it.
    """

    __slots__ = (
        "account_id",
        "balances",
        "client_orders",
        "debts",
        "open_orders",
        "withdrawal_requests",
    )

    def __init__(self, account_id: str) -> None:
        self.account_id = account_id
        self.balances: dict[str, Balance] = {}
        self.debts: dict[str, int] = {}
        self.open_orders: dict[int, Order] = {}
        self.client_orders: dict[str, Order] = {}
        self.withdrawal_requests: dict[str, int] = {}

    def balance(self, asset: str) -> Balance:
        """Return the balance of an asset, creating an empty one on first sight: `apply` only."""
        balance = self.balances.get(asset)
        if balance is None:
            balance = self.balances[asset] = Balance()
        return balance

    def close(self, order: Order) -> None:
        """Forget an order that is no longer open: `apply` only, whose hot parts do it in place."""
        del self.open_orders[order.order_id]
        if order.placed.client_order_id:
            del self.client_orders[order.placed.client_order_id]

    def owe(self, asset: str, more: int) -> None:
        """Add to the debt in an asset, or repay when `more` is negative: `apply` only."""
        debt = self.debts.get(asset, 0) + more
        if debt:
            self.debts[asset] = debt
        else:
            self.debts.pop(asset, None)

    def free(self, asset: str) -> int:
        """Return the free units of an asset; changes nothing."""
        balance = self.balances.get(asset)
        return 0 if balance is None else balance.free
