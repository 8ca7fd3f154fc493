"""How fast orders come in over HTTP: an exchange in one process, its clients in another."""

import json
import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Final

from api.deployment import deployment_of
from api.settings import Settings
from benchmarks.ordering_clients import ApiKey, Request, Sent, send_all
from benchmarks.places import directory
from benchmarks.workloads import Measured, Workload, fill
from commands.list_market import ListMarket
from commands.place_order import PlaceOrder
from domain.units import format_steps
from eventstore.sqlite import open_sqlite
from tests.processes import Process, free_port

KEYS: Final = 100
"""API keys, each of an account, that take turns."""
SINGLE_ORDERS: Final = 10_000
SINGLE_CONNECTIONS: Final = 16
BATCHED_ORDERS: Final = 50_000
BATCH_CONNECTIONS: Final = 4
"""More only wait longer: the orders of four batches keep the exchange busy."""


def single_orders(workload: Workload) -> Measured:
    """Place orders one by one. Each latency is of an order."""
    bodies = [json.dumps(order).encode() for order in _orders(workload, SINGLE_ORDERS)]
    seconds, latencies_s = _place(workload, "/v1/orders", bodies, SINGLE_CONNECTIONS)
    return Measured(len(bodies), seconds, latencies_s)


def batches(workload: Workload, orders_each: int) -> Measured:
    """Place orders in batches of one size. Each latency is of a batch."""
    orders = list(_orders(workload, BATCHED_ORDERS))
    firsts = range(0, len(orders) - orders_each + 1, orders_each)
    bodies = [
        json.dumps({"orders": orders[first : first + orders_each]}).encode() for first in firsts
    ]
    seconds, latencies_s = _place(workload, "/v1/orders/batch", bodies, BATCH_CONNECTIONS)
    return Measured(len(bodies) * orders_each, seconds, latencies_s)


def _place(workload: Workload, path: str, bodies: list[bytes], connections: int) -> Sent:
    """Run `./foldex serve` with the workload's market and accounts, and send it every body."""
    with directory() as data:
        keys = _prepare(data / "exchange", workload)
        settings = {"FOLDEX_DATA": str(data / "exchange")}
        port = free_port()
        with Process(settings, data, "serve", "--port", port) as server:
            server.says("Foldex at")
            requests = [
                Request(path, body, keys[number % KEYS]) for number, body in enumerate(bodies)
            ]
            # A fresh interpreter, so that clients and server share nothing but the machine.
            spawned = multiprocessing.get_context("spawn")
            with ProcessPoolExecutor(1, mp_context=spawned) as pool:
                sent = pool.submit(send_all, port, connections, requests).result()
            server.end()
    return sent


def _prepare(data: Path, workload: Workload) -> list[ApiKey]:
    """Open a workload's market and accounts in a new data directory; return keys to trade with."""
    with open_sqlite(data, for_writing=True) as store:
        fill(store.log, Workload(workload.name, workload.opening, []))
    with closing(deployment_of(Settings(data=data)).open_keys(create=True)) as keys:
        made = [keys.create(f"a{number}", ["trade"]) for number in range(KEYS)]
    return [ApiKey(key_id, secret.encode()) for key_id, secret in made]


def _orders(workload: Workload, number: int) -> Iterator[dict[str, str]]:
    """Return the workload's first orders that may rest, as they are asked for over HTTP."""
    [market] = [each for each in workload.opening if isinstance(each, ListMarket)]
    resting = (
        {
            "market": market.market,
            "side": command.side,
            "price": format_steps(command.price_ticks, market.tick_size),
            "quantity": format_steps(command.quantity_lots, market.lot_size),
            "self_trade_prevention": "none",
        }
        for command in workload.commands
        if isinstance(command, PlaceOrder) and command.time_in_force == "gtc"
    )
    return islice(resting, number)
