"""The file format of a recorded order flow (docs/flow-format.md), plain or gzip."""

import csv
import gzip
import io
import json
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, NamedTuple, cast

from domain.errors import Rejected
from domain.events import TimeInForce
from domain.units import Side, decimals_of, parse_amount, parse_steps

COLUMNS: Final = (
    "seq", "ts_ns", "command", "order_id", "side", "price", "quantity", "tif", "expect",
)  # fmt: skip
COMMANDS: Final = frozenset({"place", "cancel", "reduce", "replace"})
_TIMES_IN_FORCE: Final[dict[str, TimeInForce]] = {"GTC": "gtc", "IOC": "ioc", "FOK": "fok"}

Progress = Callable[[int, int], None]
"""Called now and then with what is done, and what there is to do."""


class FlowError(Exception):
    """A flow or oracle file cannot be used; the text names the line and what is wrong with it."""


class Fill(NamedTuple):
    """A trade as the taker sees it. maker: the resting order's id in the file."""

    maker: str
    price_ticks: int
    quantity_lots: int


class FlowLine(NamedTuple):
    """One recorded command. expect: the venue's fills in order; None where the file says nothing.

    price_ticks, quantity_lots: 0 where the command has none. number: of the line in the file.
    """

    number: int
    time_ms: int
    command: str
    order_id: str
    side: Side
    price_ticks: int
    quantity_lots: int
    time_in_force: TimeInForce
    expect: tuple[Fill, ...] | None


class Steps(NamedTuple):
    """What prices and quantities of the file are multiples of: decimal strings."""

    tick: str
    lot: str

    def require_usable(self) -> None:
        """Raises: FlowError: one of them is not a positive decimal."""
        for name, step in zip(("tick", "lot"), self, strict=True):
            try:
                parse_amount(step, decimals_of(step), field=name)
            except Rejected as refusal:
                raise FlowError(str(refusal)) from refusal


def read_flow(path: Path, steps: Steps) -> Iterator[FlowLine]:
    """Yield the commands of a file, in order. Raises: FlowError; OSError."""
    with open_text(path) as text:
        rows = csv.reader(text)
        header = next(rows, [])
        if tuple(header) != COLUMNS:
            raise FlowError(f"{path.name}: the first line must be {','.join(COLUMNS)}")
        try:
            for row in rows:
                yield _line(rows.line_num, row, steps)
        except (ValueError, Rejected) as error:
            raise FlowError(f"{path.name}, line {rows.line_num}: {error}") from error
        except (csv.Error, EOFError, gzip.BadGzipFile) as error:
            raise FlowError(f"{path.name}, after line {rows.line_num}: {error}") from error


def open_text(path: Path) -> io.TextIOWrapper:
    """Open a file for reading, unpacking it when it begins like gzip."""
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    if packed:
        return gzip.open(path, "rt", encoding="utf-8", newline="")
    return path.open(encoding="utf-8", newline="")


def _line(number: int, row: list[str], steps: Steps) -> FlowLine:
    """Raises: ValueError, Rejected: what is wrong with the line."""
    if len(row) != len(COLUMNS):
        raise ValueError(f"{len(row)} columns instead of {len(COLUMNS)}")
    _, ts_ns, command, order_id, side, price, quantity, tif, expect = row
    if command not in COMMANDS:
        raise ValueError(f"unknown command {command[:20]!r}")
    if not order_id:
        raise ValueError("order_id is missing")
    if not (ts_ns.isascii() and ts_ns.isdigit()):
        raise ValueError("ts_ns is not a whole number of ns")
    if command == "place" and (side not in {"buy", "sell"} or tif not in _TIMES_IN_FORCE):
        raise ValueError("a place needs a side (buy, sell) and a tif (GTC, IOC, FOK)")
    return FlowLine(
        number,
        int(ts_ns) // 1_000_000,
        command,
        order_id,
        cast(Side, side),
        _steps(price, steps.tick, "price") if command in {"place", "replace"} else 0,
        0 if command == "cancel" else _steps(quantity, steps.lot, "quantity"),
        _TIMES_IN_FORCE.get(tif, "gtc"),
        _fills(expect, steps) if expect else None,
    )


@lru_cache(maxsize=10_000)
def _steps(text: str, step: str, field: str) -> int:
    return parse_steps(text, step, field=field)


def _fills(expect: str, steps: Steps) -> tuple[Fill, ...]:
    if expect == "[]":
        return ()
    fills: Any = json.loads(expect, parse_float=str)
    try:
        return tuple(
            Fill(
                str(maker),
                _steps(str(price), steps.tick, "expect"),
                _steps(str(quantity), steps.lot, "expect"),
            )
            for maker, price, quantity in fills
        )
    except TypeError as error:
        raise ValueError("expect is not a list of [maker_order_id, price, quantity]") from error
