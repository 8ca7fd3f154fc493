"""Make synthetic order flow in the flow format, with the fills that a simple matcher gives it.

The matcher here is not the exchange's: it scans a sorted list. So running a generated flow is a
real check of the engine.
"""

import csv
import gzip
import io
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from domain.units import format_units

START_NS: Final = 1_704_067_200_000_000_000
"""2024-01-01 00:00 UTC."""
_HEADER: Final = "seq,ts_ns,command,order_id,side,price,quantity,tif,expect".split(",")
_FIRST_MID: Final = 100_000
_OFFSET_MAX: Final = 50
_LOTS_MAX: Final = 100
_STEP_NS_MAX: Final = 40_000_000

Progress = Callable[[int, int], None]
Row = list[str]


class _Resting:
    """An order of the generator's own book. rank: its place in time."""

    def __init__(self, order_id: int, side: str, price: int, lots: int, rank: int) -> None:
        self.order_id = order_id
        self.side = side
        self.price = price
        self.lots = lots
        self.rank = rank


class Generator:
    """A seeded random market: the same seed gives the same flow, on every machine."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311  chance for tests, not for secrets
        self._live: dict[int, _Resting] = {}
        self._mid = _FIRST_MID
        self._time_ns = START_NS
        self._orders = 0
        self._rank = 0

    def rows(self, commands: int) -> Iterator[Row]:
        """Yield one row for each command."""
        for seq in range(1, commands + 1):
            self._time_ns += self._random.randrange(1, _STEP_NS_MAX)
            self._mid += self._random.choice((-1, 0, 1))
            yield [str(seq), str(self._time_ns), *self._command()]

    def _command(self) -> Row:
        chance = self._random.randrange(100)
        if chance < 60 or not self._live:
            return self._place(marketable=False)
        if chance < 70:
            return self._place(marketable=True)
        order = self._random.choice(list(self._live.values()))
        if chance < 94:
            del self._live[order.order_id]
            return ["cancel", str(order.order_id), "", "", "", "", ""]
        if chance < 97 and order.lots > 1:
            order.lots = self._random.randrange(1, order.lots)
            return ["reduce", str(order.order_id), "", "", str(order.lots), "", ""]
        return self._replace(order)

    def _place(self, *, marketable: bool) -> Row:
        self._orders += 1
        side = self._random.choice(("buy", "sell"))
        offset = self._random.randrange(1, _OFFSET_MAX + 1)
        away = offset if (side == "buy") == marketable else -offset
        price, lots = self._mid + away, self._random.randrange(1, _LOTS_MAX)
        fills, left = self._match(side, price, lots)
        if left and not marketable:
            self._rest(self._orders, side, price, left)
        tif = "IOC" if marketable else "GTC"
        return ["place", str(self._orders), side, _price(price), str(lots), tif, json.dumps(fills)]

    def _replace(self, order: _Resting) -> Row:
        """A new price that does not meet the other side, at the back of its queue."""
        del self._live[order.order_id]
        others = [each.price for each in self._live.values() if each.side != order.side]
        offset = self._random.randrange(1, _OFFSET_MAX + 1)
        if order.side == "buy":
            price = min([self._mid - offset, *(other - 1 for other in others)])
        else:
            price = max([self._mid + offset, *(other + 1 for other in others)])
        lots = self._random.randrange(1, _LOTS_MAX)
        self._rest(order.order_id, order.side, price, lots)
        return ["replace", str(order.order_id), "", _price(price), str(lots), "", ""]

    def _rest(self, order_id: int, side: str, price: int, lots: int) -> None:
        self._rank += 1
        self._live[order_id] = _Resting(order_id, side, price, lots, self._rank)

    def _match(self, side: str, price: int, lots: int) -> tuple[list[list[object]], int]:
        sign = 1 if side == "buy" else -1
        makers = [
            each
            for each in self._live.values()
            if each.side != side and sign * each.price <= sign * price
        ]
        makers.sort(key=lambda each: (sign * each.price, each.rank))
        fills: list[list[object]] = []
        for maker in makers:
            if not lots:
                break
            taken = min(lots, maker.lots)
            fills.append([maker.order_id, _price(maker.price), taken])
            lots -= taken
            maker.lots -= taken
            if not maker.lots:
                del self._live[maker.order_id]
        return fills, lots


def generate(
    path: Path, *, seed: int, commands: int, progress: Progress = lambda done, of: None
) -> None:
    """Write a flow of so many commands; gzipped when the name ends in .gz. Raises: OSError."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_HEADER)
    for done, row in enumerate(Generator(seed).rows(commands), 1):
        writer.writerow(row)
        if done % 1_000 == 0:
            progress(done, commands)
    content = text.getvalue().encode()
    path.write_bytes(gzip.compress(content, mtime=0) if path.suffix == ".gz" else content)


def _price(ticks: int) -> str:
    return format_units(ticks, 2)
