"""Compare what the exchange recorded with what the venue did: fill by fill, candle by candle."""

import csv
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from api.flow_format import Fill, FlowError, FlowLine, Steps, open_text
from domain.errors import Rejected
from domain.events import OrderAmended, OrderPlaced, TradeExecuted
from domain.units import format_steps, parse_steps
from eventstore.store import Log
from projections.candles import CandleView
from projections.views import Views

ORACLE_COLUMNS: Final = ("open_time_ms", "open", "high", "low", "close", "volume", "trades")
_CANDLES_MAX: Final = 1_000_000


class Mismatch(msgspec.Struct, frozen=True, kw_only=True):
    """One difference. line: of the flow file, or of the candle file. order_id: as in the file."""

    line: int
    order_id: str
    what: str
    expected: str
    got: str


class _Taken(NamedTuple):
    """An order that was placed or amended, with the fills it made at once."""

    order_id: str
    placed: bool
    fills: list[Fill]


def check_fills(
    log: Log, lines: Iterable[FlowLine], steps: Steps, refused: Mapping[int, Rejected]
) -> tuple[int, list[Mismatch]]:
    """Return how many fills the log has, and every command that did not do what the venue did.

    Raises: StoreError: the log cannot be read back.
    """
    recorded = _Recorded(log)
    mismatches: list[Mismatch] = []
    for line in lines:
        if (refusal := refused.get(line.number)) is not None:
            mismatches.append(_mismatch(line, steps, f"refused: {refusal.code}"))
        elif line.command != "cancel":
            fills = recorded.fills_of(line)
            if fills is None:
                mismatches.append(_mismatch(line, steps, "not in the log"))
            elif tuple(fills) != (line.expect or ()):
                mismatches.append(_mismatch(line, steps, _shown(fills, steps)))
    mismatches += [
        Mismatch(line=0, order_id=extra, what="order", expected="none", got="in the log")
        for extra in recorded.rest()
    ]
    return recorded.trades, mismatches


class _Recorded:
    """Walks over the log beside the file. trades: seen so far; all of them after `rest`."""

    def __init__(self, log: Log) -> None:
        self.trades = 0
        self._client_ids: dict[int, str] = {}
        self._takers = self._read(log)
        self._next: deque[_Taken] = deque(maxlen=1)

    def fills_of(self, line: FlowLine) -> list[Fill] | None:
        """Return the fills of a command; None when the log does not have the command here.

        An amendment that changed nothing is not in the log, and made no fills.
        """
        if not self._next:
            self._next.extend(taker for taker in [next(self._takers, None)] if taker is not None)
        placed = line.command == "place"
        if self._next and self._next[0][:2] == (line.order_id, placed):
            return self._next.popleft().fills
        return None if placed else []

    def rest(self) -> list[str]:
        """Return the orders that the log has beyond the file."""
        return [taken.order_id for taken in (*self._next, *self._takers)]

    def _read(self, log: Log) -> Iterator[_Taken]:
        taken: _Taken | None = None
        for commit in log.read_all():
            for event in commit.events:
                if isinstance(event, OrderPlaced | OrderAmended):
                    if taken is not None:
                        yield taken
                    taken = self._taken(event)
                elif isinstance(event, TradeExecuted):
                    assert taken is not None, "a trade follows the order that caused it"
                    maker = self._client_ids[event.maker_order_id]
                    taken.fills.append(Fill(maker, event.price_ticks, event.quantity_lots))
                    self.trades += 1
        if taken is not None:
            yield taken

    def _taken(self, event: OrderPlaced | OrderAmended) -> _Taken:
        if isinstance(event, OrderAmended):
            return _Taken(self._client_ids[event.order_id], False, [])
        self._client_ids[event.order_id] = event.client_order_id
        return _Taken(event.client_order_id, True, [])


def _mismatch(line: FlowLine, steps: Steps, got: str) -> Mismatch:
    return Mismatch(
        line=line.number,
        order_id=line.order_id,
        what=f"fills of {line.command}",
        expected=_shown(line.expect or (), steps),
        got=got,
    )


def _shown(fills: Iterable[Fill], steps: Steps) -> str:
    shown = [
        f"{format_steps(fill.quantity_lots, steps.lot)} at "
        f"{format_steps(fill.price_ticks, steps.tick)} from {fill.maker}"
        for fill in fills
    ]
    return "; ".join(shown) or "no fill"


def check_candles(
    views: Views, market: str, oracle: Path, steps: Steps
) -> tuple[int, list[Mismatch]]:
    """Return how many one-minute candles were compared, and those that differ, either way.

    Raises: FlowError: the oracle file is not in its form; OSError.
    """
    ours = {
        candle.open_ms: _row(candle, steps)
        for candle in views.candles(market, "1m", limit=_CANDLES_MAX)
    }
    mismatches: list[Mismatch] = []
    compared = 0
    for number, open_ms, expected in _read_oracle(oracle, steps):
        compared += 1
        got = ours.pop(open_ms, None)
        if got != expected:
            mismatches.append(_candle_mismatch(number, open_ms, expected, got))
    for open_ms, got in sorted(ours.items()):
        mismatches.append(_candle_mismatch(0, open_ms, None, got))
    return compared, mismatches


_Row = tuple[int, ...]
"""open, high, low, close in ticks, volume in lots, number of trades."""


def _row(candle: CandleView, steps: Steps) -> _Row:
    prices = (candle.open, candle.high, candle.low, candle.close)
    return _row_of(*prices, candle.volume, str(candle.trades), steps=steps)


def _row_of(*columns: str, steps: Steps) -> _Row:
    prices = [parse_steps(price, steps.tick, field="price") for price in columns[:4]]
    return (*prices, parse_steps(columns[4], steps.lot, field="volume"), int(columns[5]))


def _read_oracle(path: Path, steps: Steps) -> Iterator[tuple[int, int, _Row]]:
    """Yield line number, opening time in ms and contents."""
    with open_text(path) as text:
        rows = csv.reader(text)
        if tuple(next(rows, [])) != ORACLE_COLUMNS:
            raise FlowError(f"{path.name}: the first line must be {','.join(ORACLE_COLUMNS)}")
        for row in rows:
            try:
                open_ms, *columns = row
                if len(columns) != len(ORACLE_COLUMNS) - 1:
                    raise ValueError(f"{len(row)} columns instead of {len(ORACLE_COLUMNS)}")
                yield rows.line_num, int(open_ms), _row_of(*columns, steps=steps)
            except (ValueError, Rejected) as error:
                raise FlowError(f"{path.name}, line {rows.line_num}: {error}") from error


def _candle_mismatch(line: int, open_ms: int, expected: _Row | None, got: _Row | None) -> Mismatch:
    return Mismatch(
        line=line,
        order_id="",
        what=f"candle of {open_ms} (open, high, low, close in ticks, volume in lots, trades)",
        expected=str(expected or "none"),
        got=str(got or "none"),
    )
