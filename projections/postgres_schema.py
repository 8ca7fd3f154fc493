"""The tables of the views in PostgreSQL: what is shared, and each set's, made from `Table`."""

from collections.abc import Iterator
from typing import Final

from projections.table import Table

MIGRATIONS: Final = [
    b"""
    CREATE TABLE foldex_views.current_set (
        only_row BOOLEAN PRIMARY KEY DEFAULT true CHECK (only_row),
        name TEXT NOT NULL)
    """,
]
"""In order, each applied once; what was released is never changed."""

_TYPES: Final = {"TEXT": 'TEXT COLLATE "C"', "INTEGER": "BIGINT", "AMOUNT": "NUMERIC"}


def ddl(table: Table, *, chunked: bool) -> Iterator[bytes]:
    """Yield what creates a table in the current schema.

    chunked: it will be cut into chunks, so that its key must name the column it is cut by.
    """
    columns = [
        f"{name} {_TYPES[type_]}{'' if optional else ' NOT NULL'}"
        for name, type_, optional in table.fields
    ]
    key = list(table.key_names)
    if chunked and table.series is not None and table.series.column not in key:
        key.append(table.series.column)
    yield (
        f"CREATE TABLE {table.name} ({', '.join(columns)}, PRIMARY KEY ({', '.join(key)}))"
    ).encode()
    for name, on in table.indexes.items():
        yield f"CREATE INDEX {name} ON {table.name} {on}".encode()
