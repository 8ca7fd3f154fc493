"""What the exchange is measured on: synthetic mixes, drawn from a seed, and a recorded flow."""

import csv
import gzip
import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from random import Random

import msgspec

from commands.amend_order import AmendOrder
from commands.cancel_order import CancelOrder
from commands.command import Command
from commands.credit_deposit import CreditDeposit
from commands.list_asset import ListAsset
from commands.list_market import ListMarket
from commands.open_account import OpenAccount
from commands.place_order import PlaceOrder
from commands.registry import decide, handle
from domain.events import Event, OrderPlaced
from domain.exchange import Exchange
from domain.units import UNITS_MAX
from eventstore.store import Log

MARKET = "BTC-USDT"
START_MS = 1_600_000_000_000
SEED = 20_240_101

COMMIT_COMMANDS = 1_000
"""As the engine's."""

W1_COMMANDS = 200_000
W1_ACCOUNTS = 1_000
FLOW_ACCOUNTS = 100


class Measured(msgspec.Struct, frozen=True):
    """One run. count: of commands or events. latencies_s: of submissions, where measured.

    stolen: the part of the cores' time that the host gave to others meanwhile.
    """

    count: int
    seconds: float
    latencies_s: list[float] = []
    stolen: float = 0.0

    @property
    def per_second(self) -> float:
        """Return the rate."""
        return self.count / self.seconds

    def latency_ms(self, percent: int) -> float:
        """Return the latency that so many percent of submissions do not exceed, in ms."""
        in_order = sorted(self.latencies_s)
        return 1000 * in_order[min(len(in_order) - 1, len(in_order) * percent // 100)]


class Workload(msgspec.Struct, frozen=True):
    """opening: what makes the market and fills the accounts; not measured. commands: what is."""

    name: str
    opening: list[Command]
    commands: list[Command]


def w1(commands: int = W1_COMMANDS) -> Workload:
    """Return the mix W1.

    60 % limit orders within 50 ticks of a mid price that walks at random, 30 % cancels of a random
    live order, 10 % marketable orders; 1,000 accounts.
    """
    random = Random(SEED)
    opening = _opening(W1_ACCOUNTS, tick_size="0.01", lot_size="0.001")
    exchange = _run(opening)
    live: list[OrderPlaced] = []
    mid_ticks = 100_000
    measured: list[Command] = []
    while len(measured) < commands:
        mid_ticks += random.choice((-1, 0, 1))
        chance = random.random()
        command: Command | None = None
        while chance < 0.3 and command is None and live:
            command = _cancel_one(random, exchange, live, len(measured))
        if command is None:
            command = _order(random, mid_ticks, marketable=chance > 0.9, number=len(measured))
        events = decide(exchange, command)
        live += [event for event in events[:1] if isinstance(event, OrderPlaced)]
        exchange.apply_all(events)
        measured.append(command)
    return Workload("W1", opening, measured)


def _order(random: Random, mid_ticks: int, *, marketable: bool, number: int) -> PlaceOrder:
    side = random.choice(("buy", "sell"))
    away = -50 if marketable else random.randint(1, 50)
    return PlaceOrder(
        time_ms=START_MS + number // 100,
        account=f"a{random.randrange(W1_ACCOUNTS)}",
        market=MARKET,
        side=side,  # type: ignore[arg-type]
        price_ticks=mid_ticks - away if side == "buy" else mid_ticks + away,
        quantity_lots=random.randint(1, 20),
    )


def _cancel_one(
    random: Random, exchange: Exchange, live: list[OrderPlaced], number: int
) -> CancelOrder | None:
    """Return a cancel of a random live order; None when the one drawn has traded since."""
    index = random.randrange(len(live))
    live[index], live[-1] = live[-1], live[index]
    placed = live.pop()
    if placed.order_id not in exchange.accounts[placed.account].open_orders:
        return None
    return CancelOrder(
        time_ms=START_MS + number // 100, account=placed.account, order_id=placed.order_id
    )


def fill(log: Log, workload: Workload) -> None:
    """Append the events of a workload to an empty log, 1,000 commands in a commit."""
    exchange = Exchange()
    commands = workload.opening + workload.commands
    for first in range(0, len(commands), COMMIT_COMMANDS):
        events: list[Event] = []
        for command in commands[first : first + COMMIT_COMMANDS]:
            caused, _ = handle(exchange, command)
            exchange.apply_all(caused)
            events += caused
        log.append(events, exchange.time_ms)


def flow(file: Path) -> Workload:
    """Return a recorded order flow (docs/flow-format.md), its orders spread over 100 accounts."""
    opening = _opening(FLOW_ACCOUNTS, tick_size="0.01", lot_size="1")
    return Workload(f"flow {file.name}", opening, list(_flow_commands(file, _run(opening))))


def _flow_commands(file: Path, exchange: Exchange) -> Iterator[Command]:
    ours: dict[str, tuple[str, int]] = {}
    for number, row in enumerate(_rows(file)):
        time_ms = int(row["ts_ns"]) // 1_000_000
        price_ticks = int(Decimal(row["price"] or 0) * 100)
        lots = int(row["quantity"] or 0)
        command: Command
        if row["command"] == "place":
            account = f"a{number % FLOW_ACCOUNTS}"
            ours[row["order_id"]] = account, exchange.next_order_id
            command = PlaceOrder(
                time_ms=time_ms, account=account, market=MARKET, side=row["side"],  # type: ignore[arg-type]
                price_ticks=price_ticks, quantity_lots=lots, self_trade_prevention="none",
                time_in_force=row["tif"].lower(),  # type: ignore[arg-type]
            )  # fmt: skip
        else:
            account, order_id = ours[row["order_id"]]
            command = (
                CancelOrder(time_ms=time_ms, account=account, order_id=order_id)
                if row["command"] == "cancel"
                else AmendOrder(
                    time_ms=time_ms, account=account, order_id=order_id, quantity_lots=lots,
                    price_ticks=price_ticks if row["command"] == "replace" else 0,
                    self_trade_prevention="none",
                )
            )  # fmt: skip
        events = decide(exchange, command)
        exchange.apply_all(events)
        if row["expect"]:
            trades = sum(type(event).__name__ == "TradeExecuted" for event in events)
            if trades != len(json.loads(row["expect"])):
                raise ValueError(f"{file.name}, line {number + 2}: {trades} fills, not as recorded")
        yield command


def _rows(file: Path) -> Iterator[dict[str, str]]:
    opener = gzip.open if file.suffix == ".gz" else open
    with opener(file, "rt", newline="") as text:
        yield from csv.DictReader(text)


def _opening(accounts: int, *, tick_size: str, lot_size: str) -> list[Command]:
    names = [f"a{number}" for number in range(accounts)]
    return [
        ListAsset(time_ms=START_MS, asset="BTC"),
        ListAsset(time_ms=START_MS, asset="USDT"),
        ListMarket(
            time_ms=START_MS, market=MARKET, base_asset="BTC", quote_asset="USDT",
            tick_size=tick_size, lot_size=lot_size,
        ),
        *(OpenAccount(time_ms=START_MS, account=name) for name in names),
        *(
            CreditDeposit(
                time_ms=START_MS, account=name, asset=asset, amount=UNITS_MAX,
                deposit_id=f"{name}:{asset}",
            )
            for name in names
            for asset in ("BTC", "USDT")
        ),
    ]  # fmt: skip


def _run(commands: list[Command]) -> Exchange:
    exchange = Exchange()
    for command in commands:
        exchange.apply_all(decide(exchange, command))
    return exchange
