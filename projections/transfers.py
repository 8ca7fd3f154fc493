"""Deposits and withdrawals."""

from typing import Any, ClassVar

import msgspec

from domain.events import (
    DepositCredited,
    DepositReversed,
    Event,
    WithdrawalApproved,
    WithdrawalCompleted,
    WithdrawalFailed,
    WithdrawalRejected,
    WithdrawalRequested,
)
from projections.catalogue import Catalogue
from projections.database import Insert, Reading, Row, Upsert, Write
from projections.page import Page, page, where
from projections.projection import Handler
from projections.table import Table

_DEPOSITS = Table(
    "deposits",
    "id INTEGER, time_ms INTEGER, account TEXT, asset TEXT, amount INTEGER, deposit_id TEXT",
    key="id",
    indexes={"deposits_by_account": "(account, id)"},
)
_REVERSALS = Table(
    "deposit_reversals",
    "deposit_id TEXT, time_ms INTEGER, taken INTEGER",
    key="deposit_id",
)
_WITHDRAWALS = Table(
    "withdrawals",
    "id INTEGER, account TEXT, asset TEXT, amount INTEGER, address TEXT, request_id TEXT,"
    " status TEXT, decided_by TEXT, reason TEXT, txid TEXT, created_ms INTEGER,"
    " updated_ms INTEGER, position INTEGER",
    key="id",
    indexes={
        "withdrawals_by_account": "(account, id)",
        "withdrawals_by_status": "(status, id)",
    },
)


class _Withdrawal(msgspec.Struct):
    """A row; see `WithdrawalView`."""

    id: int
    account: str
    asset: str
    amount: int
    address: str
    request_id: str
    status: str
    decided_by: str
    reason: str
    txid: str
    created_ms: int
    updated_ms: int
    position: int


class Transfers:
    """Withdrawals that are not over yet stay in memory, as each step changes only a part."""

    TABLES: ClassVar = [_DEPOSITS, _REVERSALS, _WITHDRAWALS]

    def __init__(self, db: Reading) -> None:
        self._deposits: list[Row] = []
        self._reversals: list[Row] = []
        self._pending = {
            row[0]: _Withdrawal(*row)
            for status in ("requested", "approved")
            for row in db.rows("SELECT * FROM withdrawals WHERE status = ?", (status,))
        }
        self._changed: dict[int, _Withdrawal] = {}

    def handlers(self) -> dict[type[Event], Handler]:
        return {
            DepositCredited: self._credited,
            DepositReversed: self._reversed,
            WithdrawalRequested: self._request,
            WithdrawalApproved: lambda at, e: self._step(at, e, "approved", by=e.approved_by),
            WithdrawalRejected: lambda at, e: self._end(
                at, e, "rejected", by=e.rejected_by, reason=e.reason
            ),
            WithdrawalCompleted: lambda at, e: self._end(at, e, "completed", txid=e.txid),
            WithdrawalFailed: lambda at, e: self._end(at, e, "failed", reason=e.reason),
        }

    def writes(self) -> list[Write]:
        deposits, self._deposits = self._deposits, []
        reversals, self._reversals = self._reversals, []
        withdrawals = [msgspec.structs.astuple(each) for each in self._changed.values()]
        self._changed.clear()
        return [
            Insert(_DEPOSITS, deposits),
            Insert(_REVERSALS, reversals),
            Upsert(_WITHDRAWALS, withdrawals),
        ]

    def _credited(self, position: int, event: DepositCredited) -> None:
        self._deposits.append(
            (
                position,
                event.time_ms,
                event.account,
                event.asset,
                event.amount,
                event.deposit_id,
            )
        )

    def _reversed(self, _: int, event: DepositReversed) -> None:
        self._reversals.append((event.deposit_id, event.time_ms, event.taken))

    def _request(self, position: int, event: WithdrawalRequested) -> None:
        self._pending[event.withdrawal_id] = self._changed[event.withdrawal_id] = _Withdrawal(
            event.withdrawal_id,
            event.account,
            event.asset,
            event.amount,
            event.address,
            event.request_id,
            "requested",
            "",
            "",
            "",
            event.time_ms,
            event.time_ms,
            position,
        )

    def _step(
        self,
        position: int,
        event: Any,
        status: str,
        *,
        by: str = "",
        reason: str = "",
        txid: str = "",
    ) -> None:
        step = self._changed[event.withdrawal_id] = self._pending[event.withdrawal_id]
        step.status, step.reason, step.txid = status, reason, txid
        step.decided_by = by or step.decided_by
        step.updated_ms, step.position = event.time_ms, position

    def _end(self, position: int, event: Any, status: str, **more: str) -> None:
        self._step(position, event, status, **more)
        del self._pending[event.withdrawal_id]


class DepositView(msgspec.Struct, frozen=True):
    """A credited deposit. id: its position in the log. amount: decimal string.

    status: credited, or reversed when its block is gone from its chain; reversed_ms: when, or null.
    """

    id: int
    time_ms: int
    account: str
    asset: str
    amount: str
    deposit_id: str
    status: str
    reversed_ms: int | None


class WithdrawalView(msgspec.Struct, frozen=True):
    """A withdrawal. status: requested, approved, rejected, completed, failed."""

    id: int
    account: str
    asset: str
    amount: str
    address: str
    request_id: str
    status: str
    decided_by: str
    reason: str
    txid: str
    created_ms: int
    updated_ms: int
    position: int


def read_deposits(
    db: Reading, catalogue: Catalogue, account: str | None, after: int | None, limit: int
) -> Page[DepositView]:
    """Return deposits, newest first."""
    clause, values = where(("account = ?", account), ("id < ?", after))
    rows = db.rows(
        "SELECT deposits.*, (SELECT time_ms FROM deposit_reversals WHERE"
        " deposit_reversals.deposit_id = deposits.deposit_id)"
        f" FROM deposits {clause} ORDER BY id DESC LIMIT ?",
        (*values, limit + 1),
    )
    items = [_deposit(catalogue, row) for row in rows]
    return page(items, limit, lambda deposit: deposit.id)


def read_withdrawals(
    db: Reading,
    catalogue: Catalogue,
    account: str | None,
    *,
    status: str | None,
    after: int | None,
    limit: int,
) -> Page[WithdrawalView]:
    """Return withdrawals, newest first."""
    clause, values = where(("account = ?", account), ("status = ?", status), ("id < ?", after))
    rows = db.rows(
        f"SELECT * FROM withdrawals {clause} ORDER BY id DESC LIMIT ?", (*values, limit + 1)
    )
    return page([_withdrawal(catalogue, row) for row in rows], limit, lambda each: each.id)


def read_withdrawal(db: Reading, catalogue: Catalogue, withdrawal_id: int) -> WithdrawalView | None:
    """Return a withdrawal, or None."""
    row = db.row("SELECT * FROM withdrawals WHERE id = ?", (withdrawal_id,))
    return None if row is None else _withdrawal(catalogue, row)


def _deposit(catalogue: Catalogue, row: Row) -> DepositView:
    amount, reversed_ms = catalogue.amount(row[3], row[4]), row[6]
    status = "credited" if reversed_ms is None else "reversed"
    return DepositView(*(*row[:4], amount, row[5], status, reversed_ms))


def _withdrawal(catalogue: Catalogue, row: Row) -> WithdrawalView:
    return WithdrawalView(*(*row[:3], catalogue.amount(row[2], row[3]), *row[4:]))
