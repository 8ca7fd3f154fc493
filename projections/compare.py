"""Are two sets of views the same? Table by table, whatever database each of them is in."""

import hashlib
from collections.abc import Iterator
from itertools import zip_longest
from typing import NamedTuple

import msgspec

from projections.database import Reading, Row
from projections.pages import stream_rows
from projections.table import Table
from projections.view_set import TABLES
from projections.views import Views, reached


class Difference(NamedTuple):
    """A table that differs, with the first row that does; None: that side has no such row."""

    table: str
    left: Row | None
    right: Row | None


def fingerprint(views: Views) -> dict[str, str]:
    """Return the SHA-256 of each table's rows: equal views have equal fingerprints."""
    with views.snapshot() as db:
        return {table.name: _hash(db, table) for table in TABLES}


def compare(left: Views, right: Views) -> list[Difference]:
    """Return the tables that differ, in order: of views and their rebuild from zero, none.

    Views at different positions differ in "checkpoints" first of all.
    """
    with left.snapshot() as ours, right.snapshot() as theirs:
        here, there = reached(ours), reached(theirs)
        found = [] if here == there else [Difference("checkpoints", here, there)]
        for table in TABLES:
            pairs = zip_longest(_rows(ours, table), _rows(theirs, table))
            differing = next((pair for pair in pairs if pair[0] != pair[1]), None)
            if differing is not None:
                found.append(Difference(table.name, *differing))
        return found


def _hash(db: Reading, table: Table) -> str:
    digest = hashlib.sha256()
    encode = msgspec.json.Encoder().encode
    for row in _rows(db, table):
        digest.update(encode(row))
    return digest.hexdigest()


def _rows(db: Reading, table: Table) -> Iterator[Row]:
    if table.in_pages:
        return stream_rows(db, table)
    columns = ", ".join(table.names)
    return db.stream(f"SELECT {columns} FROM {table.name} ORDER BY {table.key}")
