"""Custody as a process of its own, on PostgreSQL and Kafka, killed on the way."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient
from typer.testing import CliRunner

from api.__main__ import app
from api.demo_chain import OFFICER, DemoChain, start_chain
from api.faucet import TOKEN_DECIMALS, pay, pay_token
from api.settings import Settings
from eventstore.kafka_topics import TOPICS
from tests.e2e.test_production import Production, is_ready
from tests.processes import Process, SigningClient
from tests.waiting import until
from wallet.approvals import IntentText, approve, format_approval
from wallet.types import Address, ChainId, Intent, IntentId, IntentKind
from wallet.vault.officers import load_officer, open_officer
from wallet.vault.passphrase import from_file
from wallet.vault.protection import PassphraseProtection

pytestmark = pytest.mark.timeout(300)

ETHER = 10**18
HEAR_MS = 50
PAYEE = Address("0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC")


@pytest.fixture
def chain(tmp_path: Path) -> Iterator[DemoChain]:
    with ExitStack() as opened:
        yield start_chain(Settings(data=tmp_path), opened, block_s=0.3)


@pytest.fixture
def production(
    postgres_database: str, kafka_bootstrap: str, chain: DemoChain, tmp_path: Path
) -> Iterator[Production]:
    with ExitStack() as opened:
        made = Production(postgres_database, kafka_bootstrap, tmp_path, opened)
        made.settings.update(
            FOLDEX_ETHEREUM_URL=chain.url,
            FOLDEX_SIGNER=str(chain.settings.signer),
            FOLDEX_WALLET_CONFIG=str(chain.settings.wallet_config),
        )
        yield made
    prefix = made.settings["FOLDEX_KAFKA_PREFIX"]
    admin = KafkaAdminClient(bootstrap_servers=kafka_bootstrap)
    admin.delete_topics([prefix + name for name in TOPICS])
    admin.close()


def approval(chain: DemoChain, shown: dict[str, Any]) -> str:
    """Sign what the review shows with the officer's own key."""
    file = load_officer(chain.directory / f"{OFFICER}.key")
    passphrase = from_file(chain.directory / "passphrase")
    key = open_officer(file, PassphraseProtection(passphrase, file.protection, bytes))
    intent = Intent(
        id=IntentId(shown["id"]),
        kind=IntentKind(shown["kind"]),
        chain=ChainId(shown["chain"]),
        to=Address(shown["to"]),
        amount=int(shown["amount"]),
    )
    assert IntentText.of(intent).amount == shown["amount"]
    return format_approval(approve(key, OFFICER, intent, approved_ms=time.time_ns() // 1_000_000))


class Heard:
    """What the topics said so far: each is read once, by one consumer, however often it is asked.

    A consumer for each look costs a fifth of a second of work, which the processes under test lack.
    """

    def __init__(self, bootstrap: str, prefix: str, opened: ExitStack) -> None:
        self._bootstrap, self._prefix, self._opened = bootstrap, prefix, opened
        self._consumers: dict[str, Any] = {}
        self._bodies: dict[str, list[dict[str, Any]]] = {}

    def of(self, topic: str) -> list[dict[str, Any]]:
        consumer = self._consumers.get(topic) or self._open(topic)
        while found := consumer.poll(timeout_ms=HEAR_MS):
            for records in found.values():
                self._bodies[topic] += [json.loads(record.value) for record in records]
        return self._bodies[topic]

    def _open(self, topic: str) -> Any:
        consumer = KafkaConsumer(bootstrap_servers=self._bootstrap, enable_auto_commit=False)
        self._opened.callback(consumer.close)
        name = self._prefix + topic
        places = [TopicPartition(name, n) for n in range(TOPICS[topic].partitions)]
        consumer.assign(places)
        consumer.seek_to_beginning(*places)
        self._consumers[topic], self._bodies[topic] = consumer, []
        return consumer


@pytest.fixture
def heard(production: Production) -> Iterator[Heard]:
    """Listen to the topics of this test's processes."""
    with ExitStack() as opened:
        settings = production.settings
        yield Heard(settings["FOLDEX_KAFKA"], settings["FOLDEX_KAFKA_PREFIX"], opened)


def command(production: Production, body: dict[str, Any]) -> None:
    producer = KafkaProducer(bootstrap_servers=production.settings["FOLDEX_KAFKA"])
    topic = production.settings["FOLDEX_KAFKA_PREFIX"] + "command"
    producer.send(topic, json.dumps(body).encode())
    producer.close()


def statuses(heard: Heard) -> set[str]:
    return {body["status"] for body in heard.of("transaction")}


def free(client: SigningClient, url: str) -> dict[str, str]:
    balances = client.ask(url, "GET", "/v1/balances")
    return {each["asset"]: each["free"] for each in balances}


def wallet(production: Production, *words: str) -> Any:
    """Run a command of `foldex wallet` in this process: starting one costs two seconds of work."""
    done = CliRunner().invoke(app, ["wallet", *words], env=production.settings)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout) if "--json" in words else done.stdout


class Opened(NamedTuple):
    """What runs, and who asks."""

    custody: Process
    url: str
    operator: SigningClient
    alice: SigningClient


def open_custody(production: Production, chain: DemoChain) -> Opened:
    """Start everything and open an account. What does not wait for one another starts together."""
    production.foldex("migrate")
    engine, project = production.engine(), production.start("project")
    custody, url = production.start("wallet", "run"), production.start_api()
    with ThreadPoolExecutor() as threads:
        checked = threads.submit(production.foldex, "config", "check")
        operators = threads.submit(production.client, "operate")
        alices = threads.submit(production.client, "read", "withdraw", account="alice")
    signs = f"{chain.settings.signer} signs for eip155:"
    assert signs in checked.result().replace("\n", "")
    operator = operators.result()
    engine.says("takes commands")
    project.says("Following the log")
    custody.says("Custody follows")
    until(lambda: is_ready(url))
    for asset in ("ETH", "USDT"):
        operator.ask(url, "POST", "/v1/operator/assets", {"asset": asset})
    operator.ask(url, "POST", "/v1/operator/accounts", {"account": "alice"})
    return Opened(custody, url, operator, alices.result())


def test_coins_come_and_go_while_custody_is_killed_and_started_again(
    production: Production, chain: DemoChain, heard: Heard
) -> None:
    node = chain.node
    assert node is not None
    custody, url, operator, alice = open_custody(production, chain)
    command(production, {"type": "create_account", "meta": {"account": "alice"}})
    given = alice.ask(url, "POST", "/v1/deposit-addresses", {"asset": "ETH"})
    address = Address(given["address"])
    [told] = until(lambda: heard.of("address.created"))
    assert (told["account"], told["address"]) == ("alice", address)

    pay_token(chain.url, chain.token, address, "12.5")
    command(production, {"type": "add_token", "contract": chain.token, "asset": "USDT",
                         "decimals": TOKEN_DECIMALS, "review": False})  # fmt: skip
    until(lambda: "registered" in statuses(heard))
    command(production, {"type": "rescan", "first": 0, "idempotency_key": "before"})
    until(lambda: free(alice, url).get("USDT") == "12.50000000")

    custody.kill()
    production.processes.remove(custody)
    pay(chain.url, address, 2 * ETHER)
    pay_token(chain.url, chain.token, address, "1.5")
    deep_enough = node.tip.height + 4
    until(lambda: node.tip.height > deep_enough)
    custody = production.start("wallet", "run")
    until(lambda: free(alice, url).get("ETH") == "2.00000000")
    until(lambda: free(alice, url)["USDT"] == "14.00000000")

    wanted = {"asset": "ETH", "amount": "0.5", "address": PAYEE}
    made = alice.ask(url, "POST", "/v1/withdrawals", wanted, key="w1")
    path = f"/v1/operator/withdrawals/{made['withdrawal_id']}"
    review = until(lambda: _review(operator, url, path))
    handed_in = {"approval": approval(chain, review["intent"])}
    operator.ask(url, "POST", f"{path}/approvals", handed_in)
    until(lambda: _is_broadcast(heard))
    custody.kill()
    production.processes.remove(custody)
    production.start("wallet", "run")
    shown = f"/v1/withdrawals/{made['withdrawal_id']}"
    until(lambda: alice.ask(url, "GET", shown)["status"] == "completed")
    until(lambda: operator.ask(url, "GET", "/v1/operator/custody")["open_payments"] == 0)
    report = wallet(production, "reconcile", "--json")
    assert report["differences"] == []
    assert (report["deposits"], report["withdrawals"]) == (3, 1)
    assert {"registered", "rescanning", "rescanned"} <= statuses(heard)
    _stop_a_withdrawal_that_was_asked_for_over_kafka(
        production=production, heard=heard, alice=alice, operator=operator, url=url
    )
    production.end()


def _stop_a_withdrawal_that_was_asked_for_over_kafka(
    *, production: Production, heard: Heard, alice: SigningClient, operator: SigningClient, url: str
) -> None:
    asked = {"type": "withdraw", "idempotency_key": "k1", "account": "alice", "asset": "ETH",
             "to": PAYEE, "value": str(ETHER)}  # fmt: skip
    for _ in range(2):
        command(production, asked)
    until(lambda: len(_told(heard, "requested")) == 2)
    first, again = _told(heard, "requested")
    assert first == again
    number = first["withdrawal_id"]
    assert free(alice, url)["ETH"] == "0.50000000"
    approve_it = f"/v1/operator/withdrawals/{number}/approve"
    until(lambda: operator.send(url, "POST", approve_it, {}).is_success)
    told = wallet(production, "cancel", str(number), "--reason", "a drill")
    assert "is cancelled" in told
    until(lambda: free(alice, url)["ETH"] == "1.50000000")
    assert "paused" in wallet(production, "pause", "--reason", "a drill")
    state = wallet(production, "status", "--json")
    assert (state["paused"], state["paused_by"]) == ("a drill", "command line")
    assert state["signer_journal"] > 0
    assert "resumed" in wallet(production, "resume", "--reason", "it is over")
    assert wallet(production, "reconcile", "--json")["differences"] == []


def _told(heard: Heard, status: str) -> list[dict[str, Any]]:
    return [body for body in heard.of("transaction") if body["status"] == status]


def _is_broadcast(heard: Heard) -> bool:
    told = heard.of("transaction")
    return any(each.get("withdrawal_id") and each["status"] == "broadcast" for each in told)


def _review(operator: SigningClient, url: str, path: str) -> Any:
    reply = operator.send(url, "GET", f"{path}/review")
    return reply.json() if reply.is_success else None
