"""Exports for auditors: events, trades and statements as CSV or JSON lines."""

import csv
import io
from collections.abc import Callable, Iterable, Iterator
from typing import Any, BinaryIO, Final, Literal

import msgspec

from projections.page import Page
from projections.views import Views

Format = Literal["csv", "jsonl"]
What = Literal["events", "trades", "statement"]
PAGE: Final = 1_000


class UnknownExport(Exception):
    """The market or account to export was not named; the text says which."""


def rows(
    views: Views, what: What, *, market: str | None = None, account: str | None = None
) -> Iterator[msgspec.Struct]:
    """Yield the rows of an export: events oldest first, trades and statement lines newest first.

    events: all, or those of a market or account. trades: of an account or, else, of every market
    (or the one named). statement: of the account. Raises: UnknownExport: statement without account.
    """
    if what == "events":
        return _all(lambda at: views.events(market=market, account=account, after=at, limit=PAGE))
    if what == "statement":
        if account is None:
            raise UnknownExport("a statement is of one account: name it with --account")
        return _all(lambda at: views.statement(account, after=at, limit=PAGE))
    if account is not None:
        return _all(lambda at: views.account_trades(account, market, after=at, limit=PAGE))
    markets = [each.market for each in views.markets() if market in (None, each.market)]
    return _market_trades(views, markets)


def write(found: Iterable[msgspec.Struct], target: BinaryIO, form: Format) -> int:
    """Write rows and return how many there were. CSV has a header; nested values are JSON."""
    count = 0
    for count, row in enumerate(found, 1):  # noqa: B007  the last count is the result
        if form == "jsonl":
            target.write(msgspec.json.encode(row) + b"\n")
            continue
        if count == 1:
            target.write(_csv_line(row.__struct_fields__))
        target.write(_csv_line(map(_cell, msgspec.structs.astuple(row))))
    return count


def _market_trades(views: Views, markets: list[str]) -> Iterator[msgspec.Struct]:
    for market in markets:
        yield from _all(lambda at, name=market: views.trades(name, after=at, limit=PAGE))


def _all(ask: Callable[[int | None], Page[Any]]) -> Iterator[msgspec.Struct]:
    after: int | None = None
    while True:
        found = ask(after)
        yield from found.items
        if found.next is None:
            return
        after = found.next


def _cell(value: object) -> object:
    return msgspec.json.encode(value).decode() if isinstance(value, dict | list) else value


def _csv_line(cells: Iterable[object]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue().encode()
