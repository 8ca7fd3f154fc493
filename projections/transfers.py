"""Deposits and withdrawals."""

import sqlite3
from typing import Any

import msgspec

from domain.events import (
    DepositCredited,
    Event,
    WithdrawalApproved,
    WithdrawalCompleted,
    WithdrawalFailed,
    WithdrawalRejected,
    WithdrawalRequested,
)
from projections.catalogue import Catalogue
from projections.page import Page, page, where
from projections.projection import Handler


class Transfers:
    schema = """
        CREATE TABLE deposits (
            id INTEGER PRIMARY KEY, time_ms INTEGER NOT NULL, account TEXT NOT NULL,
            asset TEXT NOT NULL, amount INTEGER NOT NULL, deposit_id TEXT NOT NULL UNIQUE);
        CREATE INDEX deposits_by_account ON deposits (account, id);
        CREATE TABLE withdrawals (
            id INTEGER PRIMARY KEY, account TEXT NOT NULL, asset TEXT NOT NULL,
            amount INTEGER NOT NULL, address TEXT NOT NULL, request_id TEXT NOT NULL,
            status TEXT NOT NULL, decided_by TEXT NOT NULL, reason TEXT NOT NULL,
            txid TEXT NOT NULL, created_ms INTEGER NOT NULL, updated_ms INTEGER NOT NULL,
            position INTEGER NOT NULL);
        CREATE INDEX withdrawals_by_account ON withdrawals (account, id);
        CREATE INDEX withdrawals_by_status ON withdrawals (status, id);
    """

    def __init__(self) -> None:
        self._deposits: list[tuple[object, ...]] = []
        self._requested: list[tuple[object, ...]] = []
        self._steps: list[tuple[object, ...]] = []

    def handlers(self) -> dict[type[Event], Handler]:
        return {
            DepositCredited: self._credited,
            WithdrawalRequested: self._request,
            WithdrawalApproved: lambda at, e: self._step(at, e, "approved", by=e.approved_by),
            WithdrawalRejected: lambda at, e: self._step(
                at, e, "rejected", by=e.rejected_by, reason=e.reason
            ),
            WithdrawalCompleted: lambda at, e: self._step(at, e, "completed", txid=e.txid),
            WithdrawalFailed: lambda at, e: self._step(at, e, "failed", reason=e.reason),
        }

    def flush(self, db: sqlite3.Connection) -> None:
        db.executemany("INSERT INTO deposits VALUES (?, ?, ?, ?, ?, ?)", self._deposits)
        db.executemany(
            "INSERT INTO withdrawals VALUES (?, ?, ?, ?, ?, ?, 'requested', '', '', '', ?, ?, ?)",
            self._requested,
        )
        db.executemany(
            "UPDATE withdrawals SET status = ?,"
            " decided_by = CASE ? WHEN '' THEN decided_by ELSE ? END,"
            " reason = ?, txid = ?, updated_ms = ?, position = ? WHERE id = ?",
            self._steps,
        )
        self._deposits.clear()
        self._requested.clear()
        self._steps.clear()

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

    def _request(self, position: int, event: WithdrawalRequested) -> None:
        self._requested.append(
            (
                event.withdrawal_id,
                event.account,
                event.asset,
                event.amount,
                event.address,
                event.request_id,
                event.time_ms,
                event.time_ms,
                position,
            )
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
        self._steps.append(
            (status, by, by, reason, txid, event.time_ms, position, event.withdrawal_id)
        )


class DepositView(msgspec.Struct, frozen=True):
    """A credited deposit. id: its position in the log. amount: decimal string."""

    id: int
    time_ms: int
    account: str
    asset: str
    amount: str
    deposit_id: str


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
    db: sqlite3.Connection, catalogue: Catalogue, account: str | None, after: int | None, limit: int
) -> Page[DepositView]:
    """Return deposits, newest first."""
    clause, values = where(("account = ?", account), ("id < ?", after))
    rows = db.execute(
        f"SELECT * FROM deposits {clause} ORDER BY id DESC LIMIT ?", (*values, limit + 1)
    )
    items = [DepositView(*(*row[:4], catalogue.amount(row[3], row[4]), row[5])) for row in rows]
    return page(items, limit, lambda deposit: deposit.id)


def read_withdrawals(
    db: sqlite3.Connection,
    catalogue: Catalogue,
    account: str | None,
    *,
    status: str | None,
    after: int | None,
    limit: int,
) -> Page[WithdrawalView]:
    """Return withdrawals, newest first."""
    clause, values = where(("account = ?", account), ("status = ?", status), ("id < ?", after))
    rows = db.execute(
        f"SELECT * FROM withdrawals {clause} ORDER BY id DESC LIMIT ?", (*values, limit + 1)
    )
    return page([_withdrawal(catalogue, row) for row in rows], limit, lambda each: each.id)


def read_withdrawal(
    db: sqlite3.Connection, catalogue: Catalogue, withdrawal_id: int
) -> WithdrawalView | None:
    """Return a withdrawal, or None."""
    row = db.execute("SELECT * FROM withdrawals WHERE id = ?", (withdrawal_id,)).fetchone()
    return None if row is None else _withdrawal(catalogue, row)


def _withdrawal(catalogue: Catalogue, row: tuple[Any, ...]) -> WithdrawalView:
    return WithdrawalView(*(*row[:3], catalogue.amount(row[2], row[3]), *row[4:]))
