"""The serving process is killed at random moments under load over HTTP.

Batches of orders are sent with an idempotency key; one without an answer is sent again with its
key after the restart. In the end each batch is in the log exactly once.
"""

import json
import multiprocessing
import os
import socket
import threading
import time
from multiprocessing.process import BaseProcess
from pathlib import Path
from random import Random
from typing import Any

import httpx
import pytest

from api.security import sign_headers
from audit.verify import verify
from domain.events import OrderPlaced
from eventstore.sqlite import open_sqlite
from tests.simulation.server_child import serve_until_killed

# The servers are forked from a process that imported everything once, which takes a second.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["tests.simulation.server_child"])
KILLS = 50
SOAK_KILLS = 300
WAIT_S_MAX = 30
RUN_S_MAX = 0.2
TARGET = "/v1/orders/batch"


class Trader:
    """Sends batches one after the other, and knows which were answered."""

    def __init__(self, directory: Path, random: Random) -> None:
        self.directory = directory
        self.random = random
        self.bodies: list[bytes] = []
        self.answers: dict[int, list[int]] = {}
        self.http = httpx.Client(timeout=WAIT_S_MAX)

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
        self.bodies.append(json.dumps({"orders": [self._order(n) for n in range(10)]}).encode())
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
        key_id, secret = (self.directory / "trader.txt").read_text().split()
        body = self.bodies[number]
        signed = sign_headers(
            key_id, secret.encode(), timestamp_ms=time.time_ns() // 1_000_000, method="POST",
            path=TARGET.encode(), body=body,
        )  # fmt: skip
        headers = {"Content-Type": "application/json", "Idempotency-Key": f"b{number}", **signed}
        url = f"http://127.0.0.1:{port}{TARGET}"
        reply = self.http.post(url, content=body, headers=headers)
        assert reply.status_code < 300, reply.text
        ids = [each["order"]["order_id"] for each in reply.json()["results"]]
        assert self.answers.setdefault(number, ids) == ids


def _start(directory: Path) -> tuple[BaseProcess, int]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
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
    with trader.http:
        for _ in range(kills):
            _run_and_kill(trader)
        _finish(trader)
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
