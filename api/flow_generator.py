"""Make a synthetic order flow with the fills it must cause, computed without the exchange's code.

The matcher here is deliberately plain, so that running its flow through the exchange is a check of
the exchange. The same seed makes the same file on every machine and Python.
"""

import csv
import gzip
import io
import json
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Final

from api.flow_format import COLUMNS, Progress
from domain.units import format_steps

TICK: Final = "0.01"
START_NS: Final = 1_704_067_200_000_000_000
START_MID_TICKS: Final = 100_000
SPREAD_TICKS: Final = 50
GAP_NS_MAX: Final = 20_000_000
QUANTITY_MAX: Final = 20
_PROGRESS_EVERY: Final = 5_000

Row = tuple[int, int, str, int, str, str, str, str, str]
_Fills = list[tuple[int, int, int]]
"""(maker, price in ticks, quantity), in order."""


class _Order:
    __slots__ = ("order_id", "price_ticks", "quantity", "side")

    def __init__(self, order_id: int, side: str, price_ticks: int, quantity: int) -> None:
        self.order_id = order_id
        self.side = side
        self.price_ticks = price_ticks
        self.quantity = quantity


class _PlainBook:
    """Price-time priority with a list for each price: slow, and easy to see through."""

    def __init__(self) -> None:
        self.levels: dict[str, dict[int, list[_Order]]] = {"buy": {}, "sell": {}}

    def take(self, taker: _Order) -> _Fills:
        """Match an order against the other side; its quantity becomes what is left."""
        buys = taker.side == "buy"
        others = self.levels["sell" if buys else "buy"]
        fills: _Fills = []
        while taker.quantity and others:
            price = min(others) if buys else max(others)
            if (price > taker.price_ticks) if buys else (price < taker.price_ticks):
                break
            maker = others[price][0]
            quantity = min(maker.quantity, taker.quantity)
            fills.append((maker.order_id, price, quantity))
            maker.quantity -= quantity
            taker.quantity -= quantity
            if not maker.quantity:
                self.remove(maker)
        return fills

    def rest(self, order: _Order) -> None:
        """Put an order at the back of the queue at its price."""
        self.levels[order.side].setdefault(order.price_ticks, []).append(order)

    def remove(self, order: _Order) -> None:
        """Take an order out."""
        queue = self.levels[order.side][order.price_ticks]
        queue.remove(order)
        if not queue:
            del self.levels[order.side][order.price_ticks]


class _Generator:
    """Draws commands from a seed. Only integers are drawn: floats may differ between machines."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)
        self._book = _PlainBook()
        self._live: list[_Order] = []
        self._mid_ticks = START_MID_TICKS
        self._time_ns = START_NS
        self._next_id = 1

    def row(self, seq: int) -> Row:
        """Return the next command, done on the plain book.

        Of 100: 56 limit orders around the mid price, 30 cancels, 10 marketable orders, 2 reductions
        and 2 replacements; limit orders while there is nothing to cancel, reduce or replace.
        """
        draw = self._random.randrange
        self._mid_ticks = max(self._mid_ticks + draw(3) - 1, 2 * SPREAD_TICKS)
        self._time_ns += 1 + draw(GAP_NS_MAX)
        chance = draw(100)
        order = self._pick_live() if chance >= 66 else None
        if order is None:
            command = self._place(marketable=56 <= chance < 66)
        elif chance < 96:
            command = self._cancel(order)
        elif chance < 98 and order.quantity > 1:
            command = self._reduce(order)
        else:
            command = self._replace(order)
        return (seq, self._time_ns, *command)

    def _pick_live(self) -> _Order | None:
        """Return an order that is in the book; those that were filled are forgotten on the way."""
        while self._live:
            index = self._random.randrange(len(self._live))
            order = self._live[index]
            if order.quantity:
                return order
            self._live[index] = self._live[-1]
            self._live.pop()
        return None

    def _place(self, *, marketable: bool) -> tuple[str, int, str, str, str, str, str]:
        draw = self._random.randrange
        side = ("buy", "sell")[draw(2)]
        away = draw(SPREAD_TICKS) + 1
        towards = marketable if draw(100) < 95 else not marketable
        price = self._mid_ticks + (away if (side == "buy") == towards else -away)
        order = _Order(self._next_id, side, price, 1 + draw(QUANTITY_MAX))
        self._next_id += 1
        tif = "IOC" if marketable and draw(2) else "GTC"
        quantity = str(order.quantity)
        fills = self._book.take(order)
        if tif == "GTC":
            self._rest(order)
        return ("place", order.order_id, side, _price(price), quantity, tif, _expect(fills))

    def _cancel(self, order: _Order) -> tuple[str, int, str, str, str, str, str]:
        self._book.remove(order)
        order.quantity = 0
        return ("cancel", order.order_id, "", "", "", "", "")

    def _reduce(self, order: _Order) -> tuple[str, int, str, str, str, str, str]:
        order.quantity = 1 + self._random.randrange(order.quantity - 1)
        return ("reduce", order.order_id, "", "", str(order.quantity), "", "")

    def _replace(self, order: _Order) -> tuple[str, int, str, str, str, str, str]:
        """Move an order to another price: it trades like a new one, and what is left goes last."""
        draw = self._random.randrange
        self._book.remove(order)
        order.price_ticks += (1, -1)[draw(2)] * (1 + draw(SPREAD_TICKS))
        order.price_ticks = max(order.price_ticks, 1)
        order.quantity = 1 + draw(QUANTITY_MAX)
        quantity = str(order.quantity)
        fills = self._book.take(order)
        if order.quantity:
            self._book.rest(order)
        price = _price(order.price_ticks)
        return ("replace", order.order_id, "", price, quantity, "", _expect(fills))

    def _rest(self, order: _Order) -> None:
        if order.quantity:
            self._book.rest(order)
            self._live.append(order)


def generate(seed: int, commands: int) -> Iterator[Row]:
    """Yield the rows of a flow, in the columns of the format."""
    generator = _Generator(seed)
    return (generator.row(seq) for seq in range(1, commands + 1))


def write_flow(
    path: Path, seed: int, commands: int, progress: Progress = lambda done, total: None
) -> None:
    """Write a generated flow, packed when the name ends with .gz. Raises: OSError."""
    with path.open("wb") as file:
        # No name or time in the packed file: the same seed gives the same bytes.
        packed = gzip.GzipFile("", "wb", fileobj=file, mtime=0) if path.suffix == ".gz" else None
        with io.TextIOWrapper(packed or file, encoding="ascii", newline="") as text:
            rows = csv.writer(text, lineterminator="\n")
            rows.writerow(COLUMNS)
            for row in generate(seed, commands):
                rows.writerow(row)
                if row[0] % _PROGRESS_EVERY == 0:
                    progress(row[0], commands)


def _price(price_ticks: int) -> str:
    return format_steps(price_ticks, TICK)


def _expect(fills: _Fills) -> str:
    shown = [[maker, _price(price), quantity] for maker, price, quantity in fills]
    return json.dumps(shown, separators=(",", ":"))
