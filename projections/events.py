"""Every event in a row of its own: what auditors ask by SQL."""

from functools import partial
from itertools import product
from typing import Any, ClassVar

import msgspec

from domain.events import EVENTS, Event, stream_of
from projections.database import Insert, Reading, Row, Write
from projections.page import Page, page, where
from projections.projection import Handler
from projections.table import Series, Table

_EVENTS = Table(
    "events",
    "position INTEGER, time_ms INTEGER, stream TEXT, type TEXT, market TEXT NULL,"
    " account TEXT NULL, other_account TEXT NULL, order_id INTEGER NULL,"
    " other_order_id INTEGER NULL, data TEXT",
    key="position",
    indexes={
        "events_by_stream": "(stream, position)",
        "events_by_type": "(type, position)",
        "events_by_account": "(account, position) WHERE account IS NOT NULL",
        "events_by_other": "(other_account, position) WHERE other_account IS NOT NULL",
        "events_by_order": "(order_id, position) WHERE order_id IS NOT NULL",
        "events_by_other_order": "(other_order_id, position) WHERE other_order_id IS NOT NULL",
    },
    series=Series("position", 5_000_000),
)

_encode = msgspec.json.Encoder().encode
_as_dict = msgspec.structs.asdict


class Events:
    """order_id: the order an event is about; of a trade the taker's, other_order_id the maker's."""

    TABLES: ClassVar = [_EVENTS]

    def __init__(self) -> None:
        self._new: list[Row] = []

    def handlers(self) -> dict[type[Event], Handler]:
        return {kind: partial(self._record, _shape(kind)) for kind in EVENTS}

    def writes(self) -> list[Write]:
        new, self._new = self._new, []
        return [Insert(_EVENTS, new)]

    def _record(self, shape: "_Shape", position: int, event: Any) -> None:
        fields = _as_dict(event)
        value = fields.get
        market, account, other_account, order_id, other_order_id = shape.columns
        self._new.append(
            (
                position,
                event.time_ms,
                stream_of(event),
                shape.type,
                value(market),
                value(account),
                value(other_account),
                value(order_id),
                value(other_order_id),
                _encode(fields).decode(),
            )
        )


class _Shape(msgspec.Struct, frozen=True):
    """Which fields of a kind of event go to the columns market … other_order_id."""

    type: str
    columns: tuple[str, ...]
    """Empty where the event has no such field."""


def _shape(kind: type[Event]) -> _Shape:
    fields = kind.__struct_fields__
    wanted = (
        ("market",),
        ("account", "taker_account"),
        ("maker_account",),
        ("order_id", "taker_order_id"),
        ("maker_order_id",),
    )
    columns = tuple(next((name for name in names if name in fields), "") for names in wanted)
    return _Shape(str(kind.__struct_config__.tag), columns)


class EventView(msgspec.Struct, frozen=True):
    """A recorded event. id: its position. data: its fields, in ledger units, ticks and lots."""

    id: int
    time_ms: int
    stream: str
    type: str
    data: dict[str, Any]


def read_events(
    db: Reading,
    *,
    stream: str | None,
    type: str | None,
    account: str | None,
    market: str | None,
    order_id: int | None,
    after: int | None,
    limit: int,
) -> Page[EventView]:
    """Return events that match everything given, oldest first."""
    accounts = ("account",) if account is None else ("account", "other_account")
    orders = ("order_id",) if order_id is None else ("order_id", "other_order_id")
    found: set[Row] = set()
    for account_column, order_column in product(accounts, orders):
        # One column at a time: so an index gives the first events, however many there are.
        clause, values = where(
            (f"{order_column} = ?", order_id), (f"{account_column} = ?", account),
            ("type = ?", type), ("stream = ?", stream),
            ("stream = ?", None if market is None else f"market:{market}"),
            ("position > ?", after),
        )  # fmt: skip
        found.update(
            db.rows(
                f"SELECT position, time_ms, stream, type, data FROM events {clause}"
                " ORDER BY position LIMIT ?",
                (*values, limit + 1),
            )
        )
    rows = sorted(found)[: limit + 1]
    items = [EventView(*(*row[:4], msgspec.json.decode(row[4]))) for row in rows]
    return page(items, limit, lambda event: event.id)
