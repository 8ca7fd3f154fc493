"""Balances, and the account statement: each change of a balance with the event that caused it."""

from functools import partial
from typing import Any, ClassVar, Final

import msgspec

from domain.events import Event
from projections.catalogue import Catalogue
from projections.changes import RULES, Rule
from projections.database import Insert, Reading, Row, Upsert, Write
from projections.page import Page, page, where
from projections.projection import Handler
from projections.table import Table

Key = tuple[str, str]

_BALANCES = Table(
    "balances",
    "account TEXT, asset TEXT, free AMOUNT, held AMOUNT, debt AMOUNT",
    key="account, asset",
)
_STATEMENT = Table(
    "statement",
    "id INTEGER, position INTEGER, time_ms INTEGER, event TEXT, account TEXT, asset TEXT,"
    " free_change AMOUNT, held_change AMOUNT, debt_change AMOUNT,"
    " free_after AMOUNT, held_after AMOUNT, debt_after AMOUNT, reference TEXT",
    key="account, asset, id",
)
_LINES_PER_EVENT: Final = 8
"""At most: a line's id is made of its event's position, so that folding need not count lines."""


class Balances:
    """Both tables come from one fold: the statement's lines always add up to the balance."""

    TABLES: ClassVar = [_BALANCES, _STATEMENT]

    def __init__(self, db: Reading, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._balances: dict[Key, tuple[int, int, int]] = {
            (account, asset): (free, held, debt)
            for account, asset, free, held, debt in db.rows("SELECT * FROM balances")
        }
        self._changed: set[Key] = set()
        self._lines: list[Row] = []

    def handlers(self) -> dict[type[Event], Handler]:
        return {kind: partial(self._apply, rule, _name(kind)) for kind, rule in RULES.items()}

    def writes(self) -> list[Write]:
        balances = [(*key, *self._balances[key]) for key in sorted(self._changed)]
        lines, self._lines = self._lines, []
        self._changed.clear()
        return [Upsert(_BALANCES, balances), Insert(_STATEMENT, lines)]

    def _apply(self, rule: Rule, name: str, position: int, event: Any) -> None:
        line_id = position * _LINES_PER_EVENT
        for account, asset, free_change, held_change, reference, debt_change in rule(
            self._catalogue, event
        ):
            if not (free_change or held_change or debt_change):
                continue
            key = (account, asset)
            free, held, debt = self._balances.get(key, (0, 0, 0))
            free, held, debt = free + free_change, held + held_change, debt + debt_change
            self._balances[key] = free, held, debt
            self._changed.add(key)
            self._lines.append(
                (
                    line_id,
                    position,
                    event.time_ms,
                    name,
                    account,
                    asset,
                    free_change,
                    held_change,
                    debt_change,
                    free,
                    held,
                    debt,
                    reference,
                )
            )
            line_id += 1


class BalanceView(msgspec.Struct, frozen=True):
    """free: to spend; held: set aside for orders and withdrawals; total: both. Decimal strings.

    debt: what the account owes since a deposit was reversed that it had spent; deposits repay it.
    """

    asset: str
    free: str
    held: str
    total: str
    debt: str


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
    debt_change: str
    free_after: str
    held_after: str
    debt_after: str
    reference: str


def read_balances(db: Reading, catalogue: Catalogue, account: str) -> list[BalanceView]:
    """Return the account's balances by asset."""
    rows = db.rows(
        "SELECT asset, free, held, debt FROM balances WHERE account = ? ORDER BY asset", (account,)
    )
    return [
        BalanceView(
            asset,
            catalogue.amount(asset, free),
            catalogue.amount(asset, held),
            catalogue.amount(asset, free + held),
            catalogue.amount(asset, debt),
        )
        for asset, free, held, debt in rows
    ]


def read_statement(
    db: Reading,
    catalogue: Catalogue,
    account: str,
    *,
    asset: str | None,
    after: int | None,
    limit: int,
) -> Page[StatementLine]:
    """Return the account's statement, newest first."""
    assets = [asset] if asset is not None else _assets_of(db, account)
    rows: list[Row] = []
    for each in assets:
        # One asset at a time: so the index gives the newest lines, however long the history is.
        clause, values = where(("account = ?", account), ("asset = ?", each), ("id < ?", after))
        rows += db.rows(
            f"SELECT * FROM statement {clause} ORDER BY id DESC LIMIT ?", (*values, limit + 1)
        )
    rows.sort(reverse=True)
    lines = [_line(catalogue, row) for row in rows[: limit + 1]]
    return page(lines, limit, lambda line: line.id)


def _assets_of(db: Reading, account: str) -> list[str]:
    return [row[0] for row in db.rows("SELECT asset FROM balances WHERE account = ?", (account,))]


def _line(catalogue: Catalogue, row: Row) -> StatementLine:
    amounts = [catalogue.amount(row[5], units) for units in row[6:12]]
    return StatementLine(*(*row[:6], *amounts, row[12]))


def _name(kind: type[Event]) -> str:
    return str(kind.__struct_config__.tag)
