"""One page of a list: what a cursor walks over, and how its rows are selected."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Generic, TypeVar

import msgspec

Item = TypeVar("Item")


class Page(msgspec.Struct, Generic[Item], frozen=True):
    """next: pass it as `after` for the page that follows; None on the last one."""

    items: list[Item]
    next: int | None


def page(rows: list[Item], limit: int, id_of: Callable[[Item], int]) -> Page[Item]:
    """Return a page of rows that were read up to one beyond the limit."""
    if len(rows) <= limit:
        return Page(rows, None)
    return Page(rows[:limit], id_of(rows[limit - 1]))


def in_pieces(values: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Yield values as lists of that size: of so many a query can name each."""
    rest = iter(values)
    while piece := list(islice(rest, size)):
        yield piece


def among(column: str, values: Sequence[object]) -> str:
    """Return the condition that a column has one of these values; there is at least one."""
    return f"{column} IN ({', '.join('?' * len(values))})"


def where(*conditions: tuple[str, object]) -> tuple[str, tuple[object, ...]]:
    """Return a WHERE clause of the conditions whose value is given, and the values.

    Each condition has one `?`. What is None is left out: SQLite uses no index for `? IS NULL OR`.
    """
    given = [(condition, value) for condition, value in conditions if value is not None]
    clause = " AND ".join(condition for condition, _ in given)
    return f"WHERE {clause}" if clause else "", tuple(value for _, value in given)
