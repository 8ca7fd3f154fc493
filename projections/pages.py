"""Rows that are never changed, stored many to a row: a page of those that share some columns.

What a row costs the database (its indexes, its place in the write-ahead log) a page costs once.
A page has the columns that its lines share, `first`, and `lines`: a JSON array with an array for
each line of its other columns, or with its other column when it is the only one. How lines are
spread over pages depends on how they came, and means nothing: readers see lines.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from itertools import islice
from operator import itemgetter
from typing import Any, Final, NamedTuple

import msgspec

from projections.database import Insert, Reading, Row
from projections.page import where
from projections.table import Column, Table

LINES_MAX: Final = 100
"""Of a page, which is read as a whole."""
PAGES_PER_READ_MAX: Final = 64

Lines = Mapping[Any, Sequence[Any]]
"""New lines by what they share: the columns in the order of the key, or the only one of them.

A line: its other columns in the order of the table, or the only one of them.
"""

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(list[Any]).decode


class Layout(NamedTuple):
    """How a table is stored. pages: the table that really is there."""

    pages: Table
    shared: tuple[Column, ...]
    of_line: tuple[Column, ...]


@cache
def layout(table: Table) -> Layout:
    """Return how a table that is `in_pages` is stored."""
    column = {each.name: each for each in table.fields}
    shared = tuple(column[name] for name in table.key_names[:-1])
    of_line = tuple(each for each in table.fields if each not in shared)
    assert of_line[0].name == table.key_names[-1]
    columns = "".join(f"{each.name} {each.type}, " for each in shared)
    key = ", ".join([*(each.name for each in shared), "first"])
    pages = Table(f"{table.name}_pages", f"{columns}first INTEGER, lines TEXT", key=key)
    return Layout(pages, shared, of_line)


def append(table: Table, lines: Lines) -> Insert:
    """Return what adds lines to a table."""
    pages, shared, of_line = layout(table)
    rows: list[Row] = []
    for key in sorted(lines):
        values = key if len(shared) > 1 else (key,)
        new = lines[key]
        for begin in range(0, len(new), LINES_MAX):
            some = new[begin : begin + LINES_MAX]
            first = some[0] if len(of_line) == 1 else some[0][0]
            rows.append((*values, first, _encode(some).decode()))
    return Insert(pages, rows)


def read_rows(
    db: Reading,
    table: Table,
    shared: Sequence[object],
    *,
    after: int | None = None,
    newest_first: bool = False,
) -> Iterator[Row]:
    """Yield the rows that share these values, in order; those that come after a number in it."""
    number = itemgetter(table.names.index(table.key_names[-1]))
    for page in _pages(db, layout(table).pages, shared, after, newest_first):
        rows = _rows(table, page)
        for row in reversed(rows) if newest_first else rows:
            if after is None or (number(row) < after if newest_first else number(row) > after):
                yield row


def read_newest(
    db: Reading,
    table: Table,
    first: object,
    seconds: Iterable[object],
    *,
    before: int | None,
    limit: int,
    only: Callable[[Row], bool] = lambda row: True,
) -> list[Row]:
    """Return the last rows that share `first` and one of `seconds`, by number, the last one first.

    before: only those with a smaller number. One of `seconds` is read after the other, so that the
    index gives the last rows of each however many there are.
    """
    rows: list[Row] = []
    for each in seconds:
        newest = read_rows(db, table, (first, each), after=before, newest_first=True)
        rows += islice(filter(only, newest), limit)
    rows.sort(key=itemgetter(table.names.index(table.key_names[-1])), reverse=True)
    return rows[:limit]


def read_second(db: Reading, table: Table, first: object) -> list[Any]:
    """Return which values of the second column there are beside one of the first, in order."""
    pages = layout(table).pages
    one, two = pages.key_names[:2]
    # From one value to the next by the index, however many pages there are of each.
    found = db.rows(
        f"WITH RECURSIVE found(value) AS (SELECT min({two}) FROM {pages.name} WHERE {one} = ?"
        f" UNION ALL SELECT (SELECT min({two}) FROM {pages.name} WHERE {one} = ? AND {two} > value)"
        " FROM found WHERE value IS NOT NULL)"
        " SELECT value FROM found WHERE value IS NOT NULL",
        (first, first),
    )
    return [row[0] for row in found]


def stream_rows(db: Reading, table: Table) -> Iterator[Row]:
    """Yield all rows in the order of the key."""
    pages = layout(table).pages
    columns = ", ".join(pages.names)
    for page in db.stream(f"SELECT {columns} FROM {pages.name} ORDER BY {pages.key}"):
        yield from _rows(table, page)


def _pages(
    db: Reading, pages: Table, shared: Sequence[object], after: int | None, newest_first: bool
) -> Iterator[Row]:
    """Yield the pages that may hold what comes after a number, first a few, then more at a time."""
    whose = [(f"{name} = ?", value) for name, value in zip(pages.key_names, shared, strict=False)]
    begin, beyond, order = after, "first < ?", "DESC"
    if not newest_first:
        beyond, order = "first >= ?", "ASC"
        if after is not None:
            # The page that holds the next line may begin before it.
            clause, values = where(*whose, ("first <= ?", after))
            found = db.row(f"SELECT max(first) FROM {pages.name} {clause}", values)
            begin = None if found is None else found[0]
    count = 1
    while True:
        clause, values = where(*whose, (beyond, begin))
        found_pages = db.rows(
            f"SELECT * FROM {pages.name} {clause} ORDER BY first {order} LIMIT ?", (*values, count)
        )
        yield from found_pages
        if len(found_pages) < count:
            return
        begin, beyond = found_pages[-1][-2], "first < ?" if newest_first else "first > ?"
        count = min(2 * count, PAGES_PER_READ_MAX)


def _rows(table: Table, page: Row) -> list[Row]:
    """Return the rows of a page."""
    *shared, _, lines = page
    arrange = _arrange(table)
    if len(layout(table).of_line) == 1:
        return [arrange((*shared, line)) for line in _decode(lines)]
    return [arrange((*shared, *line)) for line in _decode(lines)]


@cache
def _arrange(table: Table) -> "itemgetter[Any]":
    """Return what puts shared columns and those of a line into the table's order."""
    found = layout(table)
    stored = [*found.shared, *found.of_line]
    return itemgetter(*(stored.index(each) for each in table.fields))
