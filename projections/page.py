"""One page of a list: what a cursor walks over."""

from collections.abc import Callable
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
