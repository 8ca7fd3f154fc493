"""Every event in a row of its own: what auditors ask by SQL."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from operator import itemgetter
from typing import Any, ClassVar, Final, NamedTuple

import msgspec
from msgspec.structs import astuple

from domain.events import EVENTS, Event, stream_of
from projections.database import Insert, Reading, Row, Write
from projections.page import Page, among, in_pieces, page, where
from projections.pages import append, read_rows
from projections.projection import Handler
from projections.table import Series, Table

_EVENTS = Table(
    "events",
    "position INTEGER, time_ms INTEGER, stream TEXT, type TEXT, market TEXT NULL,"
    " account TEXT NULL, other_account TEXT NULL, order_id INTEGER NULL,"
    " other_order_id INTEGER NULL, data TEXT",
    key="position",
    series=Series("position", 5_000_000),
)
_EVENT_INDEX = Table(
    "event_index", "about TEXT, position INTEGER", key="about, position", in_pages=True
)
"""The events of an account (either one of a trade), a stream, a type, a type in a stream; and of
orders, but of many at a time: few events are about one. An index of the database for each of these
would cost several times what the events themselves do.
"""
ORDERS_PER_ENTRY: Final = 100
POSITIONS_PER_READ_MAX: Final = 500

_encode = msgspec.json.Encoder().encode


class Events:
    """order_id: the order an event is about; of a trade the taker's, other_order_id the maker's."""

    TABLES: ClassVar = [_EVENTS, _EVENT_INDEX]

    def __init__(self) -> None:
        self._new: list[Row] = []
        self._of_account: defaultdict[str, list[int]] = defaultdict(list)
        self._of_orders: defaultdict[int, list[int]] = defaultdict(list)
        self._of_type: defaultdict[tuple[str, str], list[int]] = defaultdict(list)

    def handlers(self) -> dict[type[Event], Handler]:
        return {kind: partial(self._record, _shape(kind)) for kind in EVENTS}

    def writes(self) -> list[Write]:
        new, self._new = self._new, []
        return [Insert(_EVENTS, new), append(_EVENT_INDEX, self._index())]

    def _record(self, shape: "_Shape", position: int, event: Any) -> None:
        values = astuple(event)
        market, account, other_account, order_id, other_order_id = shape.columns((*values, None))
        stream = stream_of(event)
        self._of_type[shape.type, stream].append(position)
        if account is not None:
            self._of_account[account].append(position)
            if other_account is not None and other_account != account:
                self._of_account[other_account].append(position)
        if order_id is not None:
            entry = order_id // ORDERS_PER_ENTRY
            self._of_orders[entry].append(position)
            if other_order_id is not None and other_order_id // ORDERS_PER_ENTRY != entry:
                self._of_orders[other_order_id // ORDERS_PER_ENTRY].append(position)
        self._new.append(
            (
                position, event.time_ms, stream, shape.type, market, account, other_account,
                order_id, other_order_id, _encode(shape.named(*values)).decode(),
            )
        )  # fmt: skip

    def _index(self) -> dict[str, list[int]]:
        """Hand over the positions of new events by what they are about."""
        lines: defaultdict[str, list[int]] = defaultdict(list)
        for account, positions in self._of_account.items():
            lines[_about(account=account)] = positions
        for entry, positions in self._of_orders.items():
            lines[_about(orders=str(entry))] = positions
        for (kind, stream), positions in self._of_type.items():
            lines[_about(type=kind, stream=stream)] = positions
            lines[_about(type=kind)] += positions
            lines[_about(stream=stream)] += positions
        for positions in lines.values():
            positions.sort()
        for folded in (self._of_account, self._of_orders, self._of_type):
            folded.clear()
        return lines


def _about(**values: str) -> str:
    """Return `type=trade_executed.v1 stream=market:BTC-USDT` and the like: no type has spaces."""
    return " ".join(f"{name}={value}" for name, value in values.items())


class _Shape(NamedTuple):
    """How a kind of event becomes a row.

    columns: takes market … other_order_id from its values and, where it has none, the None after
    them. named: makes what is encoded as an object, unlike the event: faster than from a dict.
    """

    type: str
    columns: "itemgetter[Any]"
    named: Callable[..., Any]


def _shape(kind: type[Event]) -> _Shape:
    fields = kind.__struct_fields__
    wanted = (
        ("market",),
        ("account", "taker_account"),
        ("maker_account",),
        ("order_id", "taker_order_id"),
        ("maker_order_id",),
    )
    columns = itemgetter(
        *(
            next((fields.index(name) for name in names if name in fields), len(fields))
            for names in wanted
        )
    )
    named = msgspec.defstruct(kind.__name__, [(name, Any) for name in fields], gc=False)
    return _Shape(str(kind.__struct_config__.tag), columns, named)


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
        ("? IN (order_id, other_order_id)", order_id), ("? IN (account, other_account)", account),
        ("type = ?", type), ("stream = ?", stream), ("stream = ?", stream_of_market),
    )  # fmt: skip
    about = _narrowest(stream or stream_of_market, type, account, order_id)
    if about is None:
        found = iter(_select(db, ("position > ?", after), limit=limit + 1))
    else:
        found = _found(db, about, conditions, after)
    rows = list(islice(found, limit + 1))
    items = [EventView(*(*row[:4], msgspec.json.decode(row[4]))) for row in rows]
    return page(items, limit, lambda event: event.id)


def _narrowest(
    stream: str | None, type: str | None, account: str | None, order_id: int | None
) -> str | None:
    """Return the entry of the index with the fewest events that may match; None: any event may."""
    if order_id is not None:
        return _about(orders=str(order_id // ORDERS_PER_ENTRY))
    if account is not None:
        return _about(account=account)
    given = {"type": type, "stream": stream}
    return _about(**{name: each for name, each in given.items() if each is not None}) or None


def _found(
    db: Reading, about: str, conditions: tuple[tuple[str, object], ...], after: int | None
) -> Iterator[Row]:
    """Yield the events that the index names, as far as they meet more conditions."""
    positions = (row[1] for row in read_rows(db, _EVENT_INDEX, (about,), after=after))
    for some in in_pieces(positions, POSITIONS_PER_READ_MAX):
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
        clause = f"{clause} {'AND' if clause else 'WHERE'} {among('position', positions)}"
    return db.rows(
        f"SELECT position, time_ms, stream, type, data FROM events {clause}"
        " ORDER BY position LIMIT ?",
        (*values, *positions, limit),
    )
