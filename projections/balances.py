"""Balances, and the account statement: each change of a balance with the event that caused it."""

import sqlite3
from functools import partial
from typing import Any

import msgspec

from domain.events import Event
from projections.catalogue import Catalogue
from projections.changes import RULES, Change, Rule
from projections.page import Page, page, where
from projections.projection import Handler

Key = tuple[str, str]


class Balances:
    """Both tables come from one fold, so that the statement's lines always add up to the balance.

    Amounts are text: they have no bound, SQLite's integers do.
    """

    schema = """
        CREATE TABLE balances (
            account TEXT NOT NULL, asset TEXT NOT NULL, free TEXT NOT NULL, held TEXT NOT NULL,
            PRIMARY KEY (account, asset)) WITHOUT ROWID;
        CREATE TABLE statement (
            id INTEGER PRIMARY KEY, position INTEGER NOT NULL, time_ms INTEGER NOT NULL,
            event TEXT NOT NULL, account TEXT NOT NULL, asset TEXT NOT NULL,
            free_change TEXT NOT NULL, held_change TEXT NOT NULL,
            free_after TEXT NOT NULL, held_after TEXT NOT NULL, reference TEXT NOT NULL);
        CREATE INDEX statement_by_account ON statement (account, asset, id);
    """

    def __init__(self, db: sqlite3.Connection, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._balances: dict[Key, tuple[int, int]] = {
            (account, asset): (int(free), int(held))
            for account, asset, free, held in db.execute("SELECT * FROM balances")
        }
        self._next_id: int = db.execute("SELECT coalesce(max(id), 0) FROM statement").fetchone()[0]
        self._changed: set[Key] = set()
        self._lines: list[tuple[object, ...]] = []

    def handlers(self) -> dict[type[Event], Handler]:
        return {kind: partial(self._apply, rule, _name(kind)) for kind, rule in RULES.items()}

    def flush(self, db: sqlite3.Connection) -> None:
        db.executemany(
            "INSERT INTO balances VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE"
            " SET free = excluded.free, held = excluded.held",
            [(*key, *map(str, self._balances[key])) for key in sorted(self._changed)],
        )
        db.executemany(
            "INSERT INTO statement VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", self._lines
        )
        self._changed.clear()
        self._lines.clear()

    def _apply(self, rule: Rule, name: str, position: int, event: Any) -> None:
        for change in rule(self._catalogue, event):
            if change.free or change.held:
                self._change(position, event.time_ms, name, change)

    def _change(self, position: int, time_ms: int, name: str, change: Change) -> None:
        account, asset, free_change, held_change, reference = change
        free, held = self._balances.get((account, asset), (0, 0))
        free, held = free + free_change, held + held_change
        self._balances[account, asset] = free, held
        self._changed.add((account, asset))
        self._next_id += 1
        self._lines.append(
            (
                self._next_id,
                position,
                time_ms,
                name,
                account,
                asset,
                str(free_change),
                str(held_change),
                str(free),
                str(held),
                reference,
            )
        )


class BalanceView(msgspec.Struct, frozen=True):
    """free: to spend; held: set aside for orders and withdrawals; total: both. Decimal strings."""

    asset: str
    free: str
    held: str
    total: str


class StatementLine(msgspec.Struct, frozen=True):
    """One change of a balance. position: of the event that caused it. Decimal strings."""

    id: int
    position: int
    time_ms: int
    event: str
    account: str
    asset: str
    free_change: str
    held_change: str
    free_after: str
    held_after: str
    reference: str


def read_balances(db: sqlite3.Connection, catalogue: Catalogue, account: str) -> list[BalanceView]:
    """Return the account's balances by asset."""
    rows = db.execute(
        "SELECT asset, free, held FROM balances WHERE account = ? ORDER BY asset", (account,)
    )
    return [
        BalanceView(
            asset,
            catalogue.amount(asset, free),
            catalogue.amount(asset, held),
            catalogue.amount(asset, int(free) + int(held)),
        )
        for asset, free, held in rows
    ]


def read_statement(
    db: sqlite3.Connection,
    catalogue: Catalogue,
    account: str,
    *,
    asset: str | None,
    after: int | None,
    limit: int,
) -> Page[StatementLine]:
    """Return the account's statement, newest first."""
    assets = [asset] if asset is not None else _assets_of(db, account)
    rows: list[tuple[Any, ...]] = []
    for each in assets:
        # One asset at a time: so the index gives the newest lines, however long the history is.
        clause, values = where(("account = ?", account), ("asset = ?", each), ("id < ?", after))
        rows += db.execute(
            f"SELECT * FROM statement {clause} ORDER BY id DESC LIMIT ?", (*values, limit + 1)
        )
    rows.sort(reverse=True)
    lines = [_line(catalogue, row) for row in rows[: limit + 1]]
    return page(lines, limit, lambda line: line.id)


def _assets_of(db: sqlite3.Connection, account: str) -> list[str]:
    return [
        row[0] for row in db.execute("SELECT asset FROM balances WHERE account = ?", (account,))
    ]


def _line(catalogue: Catalogue, row: tuple[Any, ...]) -> StatementLine:
    amounts = [catalogue.amount(row[5], units) for units in row[6:10]]
    return StatementLine(*(*row[:6], *amounts, row[10]))


def _name(kind: type[Event]) -> str:
    return str(kind.__struct_config__.tag)
