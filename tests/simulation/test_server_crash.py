"""The serving process is killed at random moments under load over HTTP.

Batches of orders are sent with an idempotency key; one without an answer is sent again with its
key after the restart. In the end each batch is in the log exactly once.
"""

import multiprocessing
import os
import threading
import time
from functools import cached_property
from multiprocessing.process import BaseProcess
from pathlib import Path
from random import Random
from typing import Any

import httpx
import pytest

from audit.verify import verify
from domain.events import OrderPlaced
from eventstore.sqlite import open_sqlite
from tests.processes import SigningClient, free_port
from tests.simulation.server_child import serve_until_killed

# The servers are forked from a process that imported everything once, which takes a second.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["tests.simulation.server_child"])
KILLS = 50
SOAK_KILLS = 300
WAIT_S_MAX = 30
RUN_S_MAX = 0.2


class Trader:
    """Sends batches one after the other, and knows which were answered."""

    def __init__(self, directory: Path, random: Random) -> None:
        self.directory = directory
        self.random = random
        self.bodies: list[dict[str, Any]] = []
        self.answers: dict[int, list[int]] = {}

    @cached_property
    def client(self) -> SigningClient:
        """The first server leaves the key."""
        key_id, secret = (self.directory / "trader.txt").read_text().split()
        return SigningClient(key_id, secret, timeout_s=WAIT_S_MAX)

    def trade_until_it_breaks(self, port: int) -> None:
        """Send what is unanswered, then new batches, until the connection fails."""
        try:
            while True:
                self.send(port, self.next_number())
        except httpx.TransportError:
            return

    def next_number(self) -> int:
        """Return the oldest batch without an answer, or that of a new one."""
        for number in range(len(self.bodies)):
            if number not in self.answers:
                return number
        self.bodies.append({"orders": [self._order(n) for n in range(10)]})
        return len(self.bodies) - 1

    def _order(self, place: int) -> dict[str, Any]:
        return {
            "market": "BTC-USDT",
            "side": self.random.choice(("buy", "sell")),
            "price": f"{self.random.randint(95, 105) / 100:.2f}",
            "quantity": "0.001",
            "client_order_id": f"b{len(self.bodies)}-{place}",
            "self_trade_prevention": "none",
        }

    def send(self, port: int, number: int) -> None:
        """Send a batch; an answer must be the same as any answer before."""
        url, body = f"http://127.0.0.1:{port}", self.bodies[number]
        reply = self.client.ask(url, "POST", "/v1/orders/batch", body, key=f"b{number}")
        ids = [each["order"]["order_id"] for each in reply["results"]]
        assert self.answers.setdefault(number, ids) == ids


def _start(directory: Path) -> tuple[BaseProcess, int]:
    port = free_port()
    ready, says_ready = PROCESSES.Pipe(duplex=False)
    child = PROCESSES.Process(target=serve_until_killed, args=(directory, port, says_ready))
    child.start()
    says_ready.close()  # So that the child's end is noticed.
    with ready:
        assert ready.recv() == "ready"
    return child, port


def _run_and_kill(trader: Trader) -> None:
    child, port = _start(trader.directory)
    load = threading.Thread(target=trader.trade_until_it_breaks, args=(port,))
    load.start()
    time.sleep(trader.random.random() * RUN_S_MAX)
    child.kill()
    _join(child)
    load.join()


def _finish(trader: Trader) -> None:
    """Send what is still unanswered, and end the process gracefully."""
    child, port = _start(trader.directory)
    for number in range(len(trader.bodies)):
        trader.send(port, number)
    child.terminate()
    assert _join(child) == 0


def _join(child: BaseProcess) -> int | None:
    child.join(WAIT_S_MAX)
    code = child.exitcode
    child.close()
    return code


def _check_log(trader: Trader) -> None:
    placed: dict[str, int] = {}
    with open_sqlite(trader.directory, create=False) as store:
        for commit in store.log.read_all():
            for event in commit.events:
                if isinstance(event, OrderPlaced):
                    assert event.client_order_id not in placed, "an order was placed twice"
                    placed[event.client_order_id] = event.order_id
        report = verify(store)
        assert report.ok, report.problems
    assert placed == {
        f"b{number}-{place}": order_id
        for number, ids in trader.answers.items()
        for place, order_id in enumerate(ids)
    }


def _crash_often(directory: Path, kills: int) -> None:
    seed = int(os.environ.get("FOLDEX_SEED", str(time.time_ns() % 1_000_000)))
    print(f"seed {seed} (repeat with FOLDEX_SEED={seed})")
    trader = Trader(directory, Random(seed))
    for _ in range(kills):
        _run_and_kill(trader)
    _finish(trader)
    trader.client.close()
    print(f"{kills} kills, {len(trader.answers)} batches answered")
    _check_log(trader)
    assert len(trader.answers) == len(trader.bodies) > 0


@pytest.mark.timeout(300)
def test_nothing_acknowledged_is_lost_or_doubled_whenever_the_server_is_killed(
    tmp_path: Path,
) -> None:
    _crash_often(tmp_path, KILLS)


@pytest.mark.soak
def test_the_same_for_many_more_kills_of_the_server(tmp_path: Path) -> None:
    _crash_often(tmp_path, SOAK_KILLS)
