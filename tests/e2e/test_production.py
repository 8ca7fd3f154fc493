"""Foldex as it runs in production: processes of its own, PostgreSQL and Kafka, over HTTP only."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from kafka import KafkaConsumer, TopicPartition
from kafka.admin import KafkaAdminClient

from api.flow_generator import write_flow
from eventstore.kafka_topics import TOPICS
from tests.processes import Process, SigningClient, foldex, free_port
from tests.waiting import until

WAIT_S = 60.0
MARKET = {
    "market": "BTC-USDT", "base_asset": "BTC", "quote_asset": "USDT", "tick_size": "0.01",
    "lot_size": "0.001",
}  # fmt: skip

pytestmark = pytest.mark.timeout(300)


class Production:
    """A database, a prefix of topics, and the processes on them."""

    def __init__(self, database: str, kafka: str, directory: Path, opened: ExitStack) -> None:
        self.engine_port = free_port()
        self.settings = {
            "FOLDEX_DATABASE_URL": database,
            "FOLDEX_KAFKA": kafka,
            "FOLDEX_KAFKA_PREFIX": f"test-{uuid4().hex[:12]}.",
            "FOLDEX_ENGINE": f"127.0.0.1:{self.engine_port}",
            "FOLDEX_ENGINE_TOKEN": uuid4().hex,
            "FOLDEX_MASTER_KEY": uuid4().hex * 2,
            "FOLDEX_DATA": str(directory / "unused"),
        }
        self.processes: list[Process] = []
        self._directory = directory
        self._opened = opened

    def foldex(self, *words: object, code: int = 0) -> Any:
        return foldex(self.settings, *words, code=code)

    def start(self, *words: object) -> Process:
        process = self._opened.enter_context(Process(self.settings, self._directory, *words))
        self.processes.append(process)
        return process

    def engine(self) -> Process:
        return self.start("engine", "--port", self.engine_port)

    def api(self) -> str:
        """Start an API process; return its URL once it takes requests."""
        url = self.start_api()
        self.processes[-1].says("The API is at")
        return url

    def start_api(self) -> str:
        """Start an API process; return its URL, which `is_ready` some time later."""
        port = free_port()
        self.start("api", "--port", port)
        return f"http://127.0.0.1:{port}"

    def client(self, *scopes: str, account: str = "") -> SigningClient:
        options = [word for scope in scopes for word in ("--scope", scope)]
        made = self.foldex("keys", "create", "--account", account, *options, "--json")
        client = SigningClient(made["key_id"], made["secret"])
        self._opened.callback(client.close)
        return client

    def published(self) -> list[dict[str, Any]]:
        """Return every event in the topic, by position."""
        topic = self.settings["FOLDEX_KAFKA_PREFIX"] + "events"
        consumer = KafkaConsumer(
            bootstrap_servers=self.settings["FOLDEX_KAFKA"], metrics_enabled=False
        )
        places = [TopicPartition(topic, number) for number in range(TOPICS["events"].partitions)]
        consumer.assign(places)
        ends = consumer.end_offsets(places)
        consumer.seek_to_beginning(*places)
        found: dict[int, dict[str, Any]] = {}
        while any(consumer.position(place) < ends[place] for place in places):
            for records in consumer.poll(timeout_ms=500).values():
                for record in records:
                    if record.key is not None:
                        event = json.loads(record.value)
                        found[event["position"]] = event
        consumer.close()
        return [found[position] for position in sorted(found)]

    def end(self) -> None:
        """End what runs, the API first; each ends gracefully."""
        for process in reversed(self.processes):
            if process.process.poll() is None:
                assert process.end() == 0, process.log.read_text()[-4_000:]


@pytest.fixture
def production(
    postgres_database: str, kafka_bootstrap: str, tmp_path: Path
) -> Iterator[Production]:
    with ExitStack() as opened:
        made = Production(postgres_database, kafka_bootstrap, tmp_path, opened)
        yield made
    prefix = made.settings["FOLDEX_KAFKA_PREFIX"]
    admin = KafkaAdminClient(bootstrap_servers=kafka_bootstrap)
    admin.delete_topics([prefix + name for name in TOPICS])
    admin.close()


def is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health/ready").status_code == 200
    except httpx.TransportError:
        return False  # It still starts, or gets no time to answer.


def open_exchange(operator: SigningClient, url: str) -> None:
    """List a market; open and fund alice and bob."""
    for asset in ("BTC", "USDT"):
        operator.ask(url, "POST", "/v1/operator/assets", {"asset": asset})
    operator.ask(url, "POST", "/v1/operator/markets", MARKET)
    for account in ("alice", "bob"):
        operator.ask(url, "POST", "/v1/operator/accounts", {"account": account})
        for asset in ("BTC", "USDT"):
            deposit = {
                "account": account, "asset": asset, "amount": "1000",
                "deposit_id": f"{account}:{asset}",
            }  # fmt: skip
            key = deposit["deposit_id"]
            operator.ask(url, "POST", "/v1/operator/deposits", deposit, key=key)


def order(side: str, price: str, quantity: str = "1") -> dict[str, str]:
    return {"market": "BTC-USDT", "side": side, "price": price, "quantity": quantity}


def test_an_exchange_of_many_processes_is_one_exchange(production: Production) -> None:
    made = production.foldex("migrate", "--json")["done"]
    assert f"made the topic {production.settings['FOLDEX_KAFKA_PREFIX']}events" in made
    assert "made version 1 of the log" in made
    assert production.foldex("migrate", "--json") == {"done": []}

    # What does not wait for one another starts at the same time.
    first = production.engine()
    following = [production.start(each) for each in ("project", "publish", "publish")]
    one, two = production.start_api(), production.start_api()
    first.says("takes commands")
    following[0].says("Following")
    standing_by = [production.engine(), production.start("project")]
    for process in standing_by:
        process.says("Standing by")
    for process in following[1:]:
        process.says("Following")
    until(lambda: is_ready(one) and is_ready(two))

    operator = production.client("operate", "audit")
    open_exchange(operator, one)
    alice = production.client("read", "trade", account="alice")
    bob = production.client("read", "trade", account="bob")

    # A market that one process listed is known to the other at once; an order of one trades there.
    rests = alice.ask(two, "POST", "/v1/orders", order("buy", "100.00"), key="rests")
    takes = bob.ask(one, "POST", "/v1/orders", order("sell", "100.00", "0.4"))
    assert (rests["status"], takes["status"]) == ("open", "filled")
    assert takes["filled_quote"] == "40.00000000"
    seen = f"min_position={takes['position']}"
    [balance] = [
        each for each in bob.ask(two, "GET", f"/v1/balances?{seen}") if each["asset"] == "BTC"
    ]
    assert balance["free"] == "999.60000000"
    depth = httpx.get(f"{one}/v1/markets/BTC-USDT/depth?{seen}").json()
    assert depth["bids"][0][:2] == ["100.00", "0.600"]
    [candle] = httpx.get(f"{two}/v1/markets/BTC-USDT/candles?interval=1m&{seen}").json()
    assert (candle["close"], candle["volume"]) == ("100.00", "0.400")
    unknown = httpx.get(f"{two}/v1/markets/NO-SUCH/depth")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "unknown_market")
    amended = alice.ask(one, "PATCH", f"/v1/orders/{rests['order_id']}", {"quantity": "0.5"})
    assert amended["status"] == "open"

    one_signature_works_once(alice, [one, two])

    engines = (first, standing_by[0])
    one_engine_goes_on_for_another(production, engines, alice, (one, two), rests)
    last = operator.ask(one, "POST", "/v1/operator/accounts", {"account": "carol"})["position"]
    all_of_it_is_everywhere(production, operator, two, last)


def one_engine_goes_on_for_another(
    production: Production,
    engines: tuple[Process, Process],
    alice: SigningClient,
    urls: tuple[str, str],
    rests: dict[str, Any],
) -> None:
    """Kill the engine: the one that stood by goes on, and nothing acknowledged is lost."""
    one, two = urls
    engines[0].kill()
    engines[1].says("takes commands")
    until(lambda: is_ready(one) and is_ready(two))
    again = alice.ask(two, "POST", "/v1/orders", order("buy", "100.00"), key="rests")
    assert again == {**rests, "repeated": True}
    assert alice.ask(one, "GET", "/v1/requests/rests")["status"] == "accepted"
    cancelled = alice.ask(one, "DELETE", f"/v1/orders/{rests['order_id']}")
    assert cancelled["status"] == "cancelled"


def all_of_it_is_everywhere(
    production: Production, operator: SigningClient, url: str, last: int
) -> None:
    """The views, the topic, a replay and rebuilt views have every event up to the last."""
    audited = operator.ask(url, "GET", f"/v1/events?limit=1000&min_position={last}")["items"]
    assert [each["id"] for each in audited] == list(range(1, last + 1))
    until(lambda: len(production.published()) == last)
    assert [each["type"] for each in production.published()] == [each["type"] for each in audited]
    production.foldex("snapshot")
    production.end()
    verified = production.foldex("verify", "--json")
    assert verified["ok"]
    assert production.foldex("rebuild", "--json")["position"] == last
    replayed = production.foldex("replay", "--no-snapshot", "--json")
    assert replayed["state_hash"] == verified["state_hash"]


def one_signature_works_once(alice: SigningClient, urls: list[str]) -> None:
    """Send the very same signed bytes to every API process, several times at once."""
    raw, headers = alice.signed("POST", "/v1/orders", order("buy", "1.00", "0.1"))

    def send(url: str) -> httpx.Response:
        return httpx.post(f"{url}/v1/orders", content=raw, headers=headers)

    with ThreadPoolExecutor(8) as threads:
        replies = list(threads.map(send, urls * 4))
    assert sorted(reply.status_code for reply in replies) == [201] + [401] * 7
    refused = [reply.json()["code"] for reply in replies if reply.status_code == 401]
    assert set(refused) == {"signature_replayed"}


def test_each_group_of_views_can_have_a_process(production: Production) -> None:
    production.foldex("migrate")
    engine, url = production.engine(), production.start_api()
    groups = (["accounts"], ["events"], ["markets"])
    folding = [production.start("project", *only(group)) for group in groups]
    engine.says("takes commands")
    for process in folding:
        process.says("Following")
    # It needs two of them, whatever order they are named in and however often.
    other = production.start("project", *only(["markets", "accounts", "markets"]))
    other.says("Standing by")
    until(lambda: is_ready(url))
    operator = production.client("operate", "audit")
    open_exchange(operator, url)
    alice = production.client("read", "trade", account="alice")
    placed = alice.ask(url, "POST", "/v1/orders", order("buy", "100.00"))
    seen = f"min_position={placed['position']}"
    [newest] = operator.ask(url, "GET", f"/v1/events?order_id={placed['order_id']}&{seen}")["items"]
    assert newest["id"] == placed["position"]
    assert alice.ask(url, "GET", f"/v1/orders/{placed['order_id']}?{seen}")["status"] == "open"
    for process in (folding[0], folding[2]):
        process.kill()
    other.says("Following the log: the projections of accounts and markets")
    last = operator.ask(url, "POST", "/v1/operator/accounts", {"account": "carol"})["position"]
    audited = operator.ask(url, "GET", f"/v1/events?account=carol&min_position={last}")["items"]
    assert [each["id"] for each in audited] == [last]
    production.end()
    assert production.foldex("rebuild", "--json")["position"] == last


def only(groups: list[str]) -> list[str]:
    return [word for group in groups for word in ("--only", group)]


def test_views_of_markets_are_shared_by_workers_from_kafka(production: Production) -> None:
    production.foldex("migrate")
    engine, url = production.engine(), production.start_api()
    # A worker takes the views over once they are there.
    production.start("project", *only(["accounts", "events"])).says("Following")
    workers = [production.start("project", "--from", "kafka") for _ in range(2)]
    production.start("publish").says("Following")
    engine.says("takes commands")
    for worker in workers:
        worker.says("Following")
    until(lambda: is_ready(url))
    operator = production.client("operate")
    open_exchange(operator, url)
    alice = production.client("read", "trade", account="alice")
    bob = production.client("read", "trade", account="bob")
    alice.ask(url, "POST", "/v1/orders", order("buy", "100.00"))
    takes = bob.ask(url, "POST", "/v1/orders", order("sell", "100.00", "0.25"))
    target = f"/v1/orders/{takes['order_id']}"
    until(lambda: bob.send(url, "GET", f"{target}?min_position={takes['position']}").is_success)
    workers[0].kill()
    takes = bob.ask(url, "POST", "/v1/orders", order("sell", "100.00", "0.25"))
    depth = f"{url}/v1/markets/BTC-USDT/depth?min_position={takes['position']}"
    until(lambda: httpx.get(depth).is_success)
    assert httpx.get(depth).json()["bids"][0][:2] == ["100.00", "0.500"]
    production.end()


def test_a_recorded_flow_runs_on_a_database_that_is_empty(
    production: Production, tmp_path: Path
) -> None:
    flow = tmp_path / "flow.csv"
    write_flow(flow, seed=11, commands=2_000)
    assert "run `./foldex migrate`" in production.foldex("flow", "run", flow, code=3)
    production.foldex("migrate")
    report = production.foldex("flow", "run", flow, "--json")
    assert (report["commands"], report["mismatches"]) == (2_000, 0)
    assert production.foldex("verify", "--json")["state_hash"] == report["state_hash"]
    assert "is not empty" in production.foldex("flow", "run", flow, code=2)


def test_everything_in_one_process_runs_on_a_database_too(production: Production) -> None:
    production.foldex("migrate")
    port = free_port()
    served = production.start("serve", "--port", port)
    served.says("Foldex at")
    url = f"http://127.0.0.1:{port}"
    open_exchange(production.client("operate"), url)
    until(lambda: [each["market"] for each in httpx.get(f"{url}/v1/markets").json()])
    last = int(httpx.get(f"{url}/v1/time").headers["X-Position"])
    until(lambda: len(production.published()) == last)
    assert "open for writing" in production.foldex("serve", "--port", free_port(), code=4)
    production.end()


def test_processes_say_what_they_miss(production: Production) -> None:
    with ThreadPoolExecutor() as threads:
        refused = partial(production.foldex, code=3)
        for said in threads.map(refused, ("engine", "project", "publish")):
            assert "run `./foldex migrate`" in said
    production.foldex("migrate")

    def without(setting: str, command: str) -> str:
        less = {name: value for name, value in production.settings.items() if name != setting}
        return str(foldex(less, command, code=2))

    assert "FOLDEX_MASTER_KEY is needed" in without("FOLDEX_MASTER_KEY", "api")
    assert "FOLDEX_ENGINE is needed" in without("FOLDEX_ENGINE", "api")
    assert "FOLDEX_KAFKA is needed" in without("FOLDEX_KAFKA", "publish")
    assert "FOLDEX_ENGINE" in without("FOLDEX_ENGINE_TOKEN", "engine")
