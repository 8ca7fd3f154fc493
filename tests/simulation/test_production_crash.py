"""Faults under load in a production deployment: processes killed, PostgreSQL and Kafka crashed.

Batches of orders are sent with idempotency keys; one without an answer is sent again with its key.
In the end each batch is in the log exactly once, the views are those of a rebuild from zero, and
each event is on Kafka, in order per stream.
"""

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import httpx
import psycopg
import pytest

from audit.verify import verify
from deploy.services import control
from deploy.services.clone import Clone
from domain.events import OrderPlaced, stream_of
from eventstore.postgres import open_postgres
from eventstore.store import Store
from projections.compare import compare
from projections.postgres import PostgresViews
from projections.runner import catch_up
from projections.sqlite import SQLiteViews
from projections.views import Views
from tests import services
from tests.kafka_world import read_topic
from tests.simulation.production import Caller, Production

FAULTS = 10
SOAK_FAULTS = 120
BATCH_ORDERS = 20
PROCESSES = ("engine-1", "engine-2", "project", "publish", "api")
MARKETS = ("BTC-USDT", "ETH-USDT", "SOL-USDT")
ACCOUNTS = ("alice", "bob", "carol")
TRADERS = 3


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Clone]:
    """Give servers that nothing else uses, as they are going to be crashed."""
    if any(map(os.environ.get, control.OWN_SERVERS.values())):
        pytest.skip("crashes servers: needs those of `make services`, not servers of your own")
    services.address_of("postgres")
    services.address_of("kafka")
    clone = Clone(tmp_path / "servers")
    clone.root.mkdir()
    control.start(clone)
    yield clone
    control.stop(clone, wipe=True)


class Trader(threading.Thread):
    """Sends batches until told to stop, each again and again until it is answered."""

    def __init__(self, caller: Caller, name: str, random: Random) -> None:
        super().__init__(name=name)
        self.answers: dict[str, int] = {}
        self.sent_again = 0
        self.stopping = False
        self._caller = caller
        self._random = random

    def run(self) -> None:
        """Send batches; the last one is answered before the thread ends."""
        number = 0
        while not self.stopping:
            number += 1
            orders = [self._order(f"{self.name}-{number}-{n}") for n in range(BATCH_ORDERS)]
            results = self._send(f"{self.name}-{number}", {"orders": orders})
            for order, result in zip(orders, results, strict=True):
                self.answers[str(order["client_order_id"])] = result["order"]["order_id"]

    def _order(self, name: str) -> dict[str, object]:
        return {
            "market": self._random.choice(MARKETS),
            "side": self._random.choice(("buy", "sell")),
            "price": f"{self._random.randint(95, 105) / 100:.2f}",
            "quantity": "0.001",
            "client_order_id": name,
            "self_trade_prevention": "none",
        }

    def _send(self, key: str, body: dict[str, Any]) -> list[dict[str, Any]]:
        while True:
            try:
                reply = self._caller.send("POST", "/v1/orders/batch", body, key=key)
            except httpx.TransportError:
                reply = None
            if reply is not None and reply.status_code < 300:
                results: list[dict[str, Any]] = reply.json()["results"]
                return results
            assert reply is None or reply.status_code >= 500, reply.text
            self.sent_again += 1
            time.sleep(0.1)


def _open_exchange(production: Production) -> list[Caller]:
    """Open markets and accounts over the API, and return a caller for each account."""
    operator = production.caller("--scope", "operate")
    bodies: list[tuple[str, dict[str, str]]] = [
        ("/v1/operator/assets", {"asset": asset}) for asset in ("BTC", "ETH", "SOL", "USDT")
    ]
    for market in MARKETS:
        base, _, quote = market.partition("-")
        listed = {"market": market, "base_asset": base, "quote_asset": quote, "tick_size": "0.01",
                  "lot_size": "0.001"}  # fmt: skip
        bodies.append(("/v1/operator/markets", listed))
    for account in ACCOUNTS:
        bodies.append(("/v1/operator/accounts", {"account": account}))
        for asset in ("BTC", "ETH", "SOL", "USDT"):
            funds = {"account": account, "asset": asset, "amount": "1000000",
                     "deposit_id": f"{account}:{asset}"}  # fmt: skip
            bodies.append(("/v1/operator/deposits", funds))
    for number, (path, body) in enumerate(bodies):
        reply = operator.send("POST", path, body, key=f"opening-{number}")
        assert reply.status_code < 300, reply.text
    return [production.caller("--account", each, "--scope", "trade") for each in ACCOUNTS]


def _do_harm(production: Production, servers: Clone, random: Random, faults: int) -> None:
    """Do each kind of harm in turn, in random order, at random moments."""
    kinds = [*PROCESSES, *PROCESSES[:3], "postgres", "kafka"]
    for number in range(faults):
        if number % len(kinds) == 0:
            random.shuffle(kinds)
        time.sleep(random.uniform(0.2, 1.5))
        kind = kinds[number % len(kinds)]
        print(f"fault {number + 1} of {faults}: {kind}", flush=True)
        if kind in PROCESSES:
            production.kill(kind)
        else:
            control.restart_after_crash(servers, kind)


def _campaign(directory: Path, servers: Clone, database_url: str, faults: int) -> None:
    seed = int(os.environ.get("FOLDEX_SEED", str(time.time_ns() % 1_000_000)))
    print(f"seed {seed} (repeat with FOLDEX_SEED={seed})")
    random = Random(seed)
    kafka = control.start(servers)["kafka"]
    production = Production(directory, database_url, kafka)
    production.run("migrate")
    with production:
        production.wait_until_ready()
        traders = [
            Trader(caller, f"t{number}", Random(seed + number))
            for number, caller in enumerate(_open_exchange(production))
        ]
        for trader in traders:
            trader.start()
        _do_harm(production, servers, random, faults)
        for trader in traders:
            trader.stopping = True
        for trader in traders:
            trader.join(120)
            assert not trader.is_alive(), production.logs()
        answers = {name: id for trader in traders for name, id in trader.answers.items()}
        again = sum(trader.sent_again for trader in traders)
        with open_postgres(database_url) as store:
            last = store.log.stored_head().position
            _wait_for_views(production, database_url, last)
            _check_log(store, answers)
            _check_views(store, database_url, directory / "rebuilt")
            _check_kafka(production, store, kafka)
    print(f"{faults} faults, {len(answers)} orders, {again} sent again, {last} events")


def _wait_for_views(production: Production, database_url: str, position: int) -> None:
    views = Views(PostgresViews(database_url))
    try:
        production.wait_for(lambda: views.position() >= position)
    finally:
        views.close()


def _check_log(store: Store, answers: dict[str, int]) -> None:
    placed: dict[str, int] = {}
    for commit in store.log.read_all():
        for event in commit.events:
            if isinstance(event, OrderPlaced):
                assert event.client_order_id not in placed, "an order was placed twice"
                placed[event.client_order_id] = event.order_id
    assert answers
    assert placed == answers
    report = verify(store)
    assert report.ok, report.problems


def _check_views(store: Store, database_url: str, directory: Path) -> None:
    catch_up(store.log, SQLiteViews(directory))
    kept, rebuilt = Views(PostgresViews(database_url)), Views(SQLiteViews(directory))
    try:
        assert compare(kept, rebuilt) == []
    finally:
        kept.close()
        rebuilt.close()


def _check_kafka(production: Production, store: Store, bootstrap: str) -> None:
    """Each event is there at least once, and its first time after those before it."""
    expected: dict[str, list[int]] = {}
    for commit in store.log.read_all():
        for position, event in commit.recorded():
            expected.setdefault(stream_of(event), []).append(position)
    found: dict[str, list[int]] = {}

    def complete() -> bool:
        found.clear()
        found.update(_first_times(bootstrap))
        return {key: len(each) for key, each in found.items()} == {
            key: len(each) for key, each in expected.items()
        }

    production.wait_for(complete)
    assert found == expected


def _first_times(bootstrap: str) -> dict[str, list[int]]:
    """Return the positions on the topic by stream, in order, without what was sent again."""
    found: dict[str, list[int]] = {}
    seen: set[int] = set()
    for records in read_topic(bootstrap, "events").values():
        for record in records:
            position = dict(record.headers).get("position")
            if record.key is None or position is None or int(position) in seen:
                continue
            seen.add(int(position))
            found.setdefault(record.key.decode(), []).append(int(position))
    return found


def _fresh_database(servers: Clone) -> str:
    url = control.start(servers)["postgres"]
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE exchange")
    return services.database_url(url, "exchange")


@pytest.mark.timeout(400)
def test_nothing_is_lost_or_doubled_whatever_is_killed(tmp_path: Path, servers: Clone) -> None:
    _campaign(tmp_path, servers, _fresh_database(servers), FAULTS)


@pytest.mark.soak
def test_nothing_is_lost_or_doubled_in_a_hundred_faults(tmp_path: Path, servers: Clone) -> None:
    _campaign(tmp_path, servers, _fresh_database(servers), SOAK_FAULTS)
