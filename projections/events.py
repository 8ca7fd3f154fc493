"""Every event in a row of its own: what auditors ask by SQL."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice, product
from typing import Any, ClassVar, Final

import msgspec

from domain.events import EVENTS, Event, stream_of
from projections.database import Insert, Reading, Row, Write
from projections.page import Page, page, where
from projections.pages import append, read_rows
from projections.projection import Handler
from projections.table import Series, Table

_EVENTS = Table(
    "events",
    "position INTEGER, time_ms INTEGER, stream TEXT, type TEXT, market TEXT NULL,"
    " account TEXT NULL, other_account TEXT NULL, order_id INTEGER NULL,"
    " other_order_id INTEGER NULL, data TEXT",
    key="position",
    indexes={
        "events_by_order": "(order_id, position) WHERE order_id IS NOT NULL",
        "events_by_other_order": "(other_order_id, position) WHERE other_order_id IS NOT NULL",
    },
    series=Series("position", 5_000_000),
)
_EVENT_INDEX = Table(
    "event_index", "about TEXT, position INTEGER", key="about, position", in_pages=True
)
"""The events of each account (either one of a trade), stream, type, and type in a stream.

An index of the database for each of them would cost more than the events themselves.
"""
POSITIONS_PER_READ_MAX: Final = 500

_encode = msgspec.json.Encoder().encode
_as_dict = msgspec.structs.asdict


class Events:
    """order_id: the order an event is about; of a trade the taker's, other_order_id the maker's."""

    TABLES: ClassVar = [_EVENTS, _EVENT_INDEX]

    def __init__(self) -> None:
        self._new: list[Row] = []
        self._of_account: defaultdict[str, list[int]] = defaultdict(list)
        self._of_type: defaultdict[tuple[str, str], list[int]] = defaultdict(list)

    def handlers(self) -> dict[type[Event], Handler]:
        return {kind: partial(self._record, _shape(kind)) for kind in EVENTS}

    def writes(self) -> list[Write]:
        new, self._new = self._new, []
        lines = _index(self._of_account, self._of_type)
        self._of_account.clear()
        self._of_type.clear()
        return [Insert(_EVENTS, new), append(_EVENT_INDEX, lines)]

    def _record(self, shape: "_Shape", position: int, event: Any) -> None:
        fields = _as_dict(event)
        value = fields.get
        market, account, other_account, order_id, other_order_id = map(value, shape.columns)
        stream = stream_of(event)
        self._of_type[shape.type, stream].append(position)
        if account is not None:
            self._of_account[account].append(position)
            if other_account is not None and other_account != account:
                self._of_account[other_account].append(position)
        self._new.append(
            (
                position, event.time_ms, stream, shape.type, market, account, other_account,
                order_id, other_order_id, _encode(fields).decode(),
            )
        )  # fmt: skip


def _index(
    of_account: dict[str, list[int]], of_type: dict[tuple[str, str], list[int]]
) -> dict[str, list[int]]:
    """Return the positions of new events by what they are about."""
    lines: defaultdict[str, list[int]] = defaultdict(list)
    for account, positions in of_account.items():
        lines[_about(account=account)] = positions
    for (kind, stream), positions in of_type.items():
        lines[_about(type=kind, stream=stream)] = positions
        lines[_about(type=kind)] += positions
        lines[_about(stream=stream)] += positions
    for positions in lines.values():
        positions.sort()
    return lines


def _about(**values: str) -> str:
    """Return `type=trade_executed.v1 stream=market:BTC-USDT` and the like: no type has spaces."""
    return " ".join(f"{name}={value}" for name, value in values.items())


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
    stream_of_market = None if market is None else f"market:{market}"
    conditions = (
        ("type = ?", type), ("stream = ?", stream), ("stream = ?", stream_of_market),
    )  # fmt: skip
    stream = stream or stream_of_market
    if order_id is not None:
        found = _of_order(db, order_id, account, conditions, after, limit)
    elif account is not None:
        found = _found(db, _about(account=account), conditions, after)
    elif type is not None and stream is not None:
        found = _found(db, _about(type=type, stream=stream), conditions, after)
    elif type is not None:
        found = _found(db, _about(type=type), (), after)
    elif stream is not None:
        found = _found(db, _about(stream=stream), conditions, after)
    else:
        found = iter(_select(db, ("position > ?", after), limit=limit + 1))
    rows = list(islice(found, limit + 1))
    items = [EventView(*(*row[:4], msgspec.json.decode(row[4]))) for row in rows]
    return page(items, limit, lambda event: event.id)


def _of_order(
    db: Reading,
    order_id: int,
    account: str | None,
    conditions: tuple[tuple[str, object], ...],
    after: int | None,
    limit: int,
) -> Iterator[Row]:
    found: set[Row] = set()
    for order_column, account_condition in product(
        ("order_id", "other_order_id"),
        ("account = ?",) if account is None else ("account = ?", "other_account = ?"),
    ):
        # One column at a time: so an index gives the first events, however many there are.
        found.update(
            _select(
                db,
                *((f"{order_column} = ?", order_id), (account_condition, account)),
                *(*conditions, ("position > ?", after)),
                limit=limit + 1,
            )
        )
    return iter(sorted(found))


def _found(
    db: Reading, about: str, conditions: tuple[tuple[str, object], ...], after: int | None
) -> Iterator[Row]:
    """Yield the events that the index names, as far as they meet more conditions."""
    positions = (row[1] for row in read_rows(db, _EVENT_INDEX, (about,), after=after))
    while some := list(islice(positions, POSITIONS_PER_READ_MAX)):
        yield from _select(db, *conditions, positions=some)


def _select(
    db: Reading,
    *conditions: tuple[str, object],
    positions: Sequence[int] = (),
    limit: int = POSITIONS_PER_READ_MAX,
) -> list[Row]:
    """Return events that meet conditions, oldest first; only those at some positions, if given."""
    clause, values = where(*conditions)
    if positions:
        places = ", ".join("?" * len(positions))
        clause = f"{clause} {'AND' if clause else 'WHERE'} position IN ({places})"
    return db.rows(
        f"SELECT position, time_ms, stream, type, data FROM events {clause}"
        " ORDER BY position LIMIT ?",
        (*values, *positions, limit),
    )
