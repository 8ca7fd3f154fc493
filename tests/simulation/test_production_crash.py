"""Faults under load in a production deployment: processes killed, PostgreSQL and Kafka crashed.

Batches of orders are sent with idempotency keys; one without an answer is sent again with its key.
In the end each batch is in the log exactly once, the views are those of a rebuild from zero, and
each event is on Kafka, in order per stream.
"""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

import psycopg
import pytest

from deploy.services import control
from deploy.services.clone import Clone
from domain.events import stream_of
from eventstore.postgres import open_postgres
from eventstore.store import Store
from tests import services
from tests.kafka_world import read_topic
from tests.simulation.production import Production
from tests.simulation.trading import (
    Trader,
    check_log,
    check_views,
    open_exchange,
    wait_for_views,
)

FAULTS = 10
SOAK_FAULTS = 120
PROCESSES = ("engine-1", "engine-2", "project", "publish", "api")


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
            Trader(client, production.url, f"t{number}", Random(seed + number))
            for number, client in enumerate(open_exchange(production))
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
            wait_for_views(production, database_url, last)
            check_log(store, answers)
            check_views(store, database_url, directory / "rebuilt")
            _check_kafka(production, store, kafka)
    print(f"{faults} faults, {len(answers)} orders, {again} sent again, {last} events")


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
