"""The tables of the views in PostgreSQL: what is shared, and each set's, made from `Table`."""

from collections.abc import Iterator
from typing import Final

from projections.pages import layout
from projections.table import Column, Table

MIGRATIONS: Final = [
    b"""
    CREATE TABLE foldex_views.current_set (
        only_row BOOLEAN PRIMARY KEY DEFAULT true CHECK (only_row),
        name TEXT NOT NULL)
    """,
]
"""In order, each applied once; what was released is never changed."""

_TYPES: Final = {"TEXT": 'TEXT COLLATE "C"', "INTEGER": "BIGINT", "AMOUNT": "NUMERIC"}


def ddl(table: Table, *, chunked: bool, lz4: bool) -> Iterator[bytes]:
    """Yield what creates a table in the current schema.

    chunked: it will be cut into chunks, so that its key must name the column it is cut by.
    lz4: the server has it; what it has otherwise is slower than everything else that it does here.
    """
    if table.in_pages:
        pages = layout(table).pages
        yield from ddl(pages, chunked=False, lz4=lz4)
        if lz4:
            yield f"ALTER TABLE {pages.name} ALTER lines SET COMPRESSION lz4".encode()
        yield _lines_as_rows(table)
        return
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


def _lines_as_rows(table: Table) -> bytes:
    """Return what creates a view of the table that its pages stand for."""
    pages, shared, of_line = layout(table)
    values = {each.name: each.name for each in shared}
    if len(of_line) == 1:
        values[of_line[0].name] = _cast("line", of_line[0])
        elements = "json_array_elements_text"
    else:
        values |= {each.name: _cast(f"line->>{at}", each) for at, each in enumerate(of_line)}
        elements = "json_array_elements"
    columns = ", ".join(f"{values[name]} AS {name}" for name in table.names)
    return (
        f"CREATE VIEW {table.name} AS SELECT {columns}"
        f" FROM {pages.name}, {elements}(lines::json) AS line"
    ).encode()


def _cast(value: str, column: Column) -> str:
    type_, *collation = _TYPES[column.type].split(" ", 1)
    return " ".join([f"({value})::{type_}", *collation])
