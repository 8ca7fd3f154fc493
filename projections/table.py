"""A table of the views, declared once: each database makes its own SQL from it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final, Literal, NamedTuple

ColumnType = Literal["TEXT", "INTEGER", "AMOUNT"]
"""TEXT: ordered by its bytes. INTEGER: of 64 bits. AMOUNT: an integer without a bound."""
_TYPES: Final[dict[str, ColumnType]] = {"TEXT": "TEXT", "INTEGER": "INTEGER", "AMOUNT": "AMOUNT"}


class Column(NamedTuple):
    name: str
    type: ColumnType
    optional: bool


class Series(NamedTuple):
    """The table only grows, in the order of a column: it can be cut into chunks of that width."""

    column: str
    chunk: int


@dataclass(frozen=True, eq=False)
class Table:
    """columns: "account TEXT, reason TEXT NULL …", never NULL unless it says so; key: by comma.

    indexes: by name, what stands between the parentheses of CREATE INDEX and after them.
    in_pages: its rows, which are never changed, are stored many to a row: see `pages`. The last
    column of the key then grows among the rows that have the others in common.
    """

    name: str
    columns: str
    key: str
    indexes: Mapping[str, str] = field(default_factory=dict)
    series: Series | None = None
    in_pages: bool = False

    @cached_property
    def fields(self) -> tuple[Column, ...]:
        """Return the columns in order."""
        return tuple(_column(each.split()) for each in self.columns.split(","))

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Return the columns' names in order."""
        return tuple(each.name for each in self.fields)

    @cached_property
    def key_names(self) -> tuple[str, ...]:
        """Return the names of the columns that tell the rows apart."""
        return tuple(name.strip() for name in self.key.split(","))


def _column(words: list[str]) -> Column:
    return Column(words[0], _TYPES[words[1]], optional=words[2:] == ["NULL"])
