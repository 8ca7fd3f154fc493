"""Balances, and the account statement: each change of a balance with the event that caused it."""

from functools import partial
from typing import Any, ClassVar, Final

import msgspec

from domain.events import Event
from projections.catalogue import Catalogue
from projections.changes import RULES, Key, Rule
from projections.database import Reading, Row, Upsert, Write
from projections.page import Page, page
from projections.pages import append, read_newest
from projections.projection import Handler
from projections.table import Table

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
    in_pages=True,
)
_LINES_PER_EVENT: Final = 8
"""At most: a line's id is made of its event's position, so that folding need not count lines."""


class _Balance:
    """lines: new ones of the statement; without any the balance is as the database has it."""

    __slots__ = ("debt", "free", "held", "lines")

    def __init__(self, free: int = 0, held: int = 0, debt: int = 0) -> None:
        self.free = free
        self.held = held
        self.debt = debt
        self.lines: list[Row] = []


class Balances:
    """Both tables come from one fold: the statement's lines always add up to the balance."""

    TABLES: ClassVar = [_BALANCES, _STATEMENT]

    def __init__(self, db: Reading, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._balances = {
            (account, asset): _Balance(free, held, debt)
            for account, asset, free, held, debt in db.rows("SELECT * FROM balances")
        }
        self._changed: dict[Key, _Balance] = {}

    def handlers(self) -> dict[type[Event], Handler]:
        return {kind: partial(self._apply, rule, _name(kind)) for kind, rule in RULES.items()}

    def writes(self) -> list[Write]:
        changed, self._changed = sorted(self._changed.items()), {}
        balances = [(*key, each.free, each.held, each.debt) for key, each in changed]
        statement = append(_STATEMENT, {key: each.lines for key, each in changed})
        for _, each in changed:
            each.lines = []
        return [Upsert(_BALANCES, balances), statement]

    def _apply(self, rule: Rule, name: str, position: int, event: Any) -> None:
        line_id, time_ms = position * _LINES_PER_EVENT, event.time_ms
        balances = self._balances
        for key, free, held, debt, reference in rule(self._catalogue, event):
            if not (free or held or debt):
                continue
            try:
                balance = balances[key]
            except KeyError:
                balance = balances[key] = _Balance()
            lines = balance.lines
            if not lines:
                self._changed[key] = balance
            balance.free = free_after = balance.free + free
            balance.held = held_after = balance.held + held
            balance.debt = debt_after = balance.debt + debt
            lines.append(
                (
                    line_id, position, time_ms, name, free, held, debt,
                    free_after, held_after, debt_after, reference,
                )
            )  # fmt: skip
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
    rows = read_newest(db, _STATEMENT, account, assets, before=after, limit=limit + 1)
    return page([_line(catalogue, row) for row in rows], limit, lambda line: line.id)


def _assets_of(db: Reading, account: str) -> list[str]:
    return [row[0] for row in db.rows("SELECT asset FROM balances WHERE account = ?", (account,))]


def _line(catalogue: Catalogue, row: Row) -> StatementLine:
    amounts = [catalogue.amount(row[5], units) for units in row[6:12]]
    return StatementLine(*(*row[:6], *amounts, row[12]))


def _name(kind: type[Event]) -> str:
    return str(kind.__struct_config__.tag)
