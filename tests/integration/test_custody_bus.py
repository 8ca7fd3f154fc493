"""Custody's bus on a real broker."""

import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from kafka import KafkaConsumer, KafkaProducer
from kafka.admin import KafkaAdminClient

from eventstore.kafka_brokers import Brokers
from eventstore.kafka_errors import BusUnavailable
from eventstore.kafka_topics import TopicPlan, ensure_topics
from tests.custody.test_deposits import step
from tests.custody.world import WEI, World
from tests.kafka_world import read_topic
from tests.waiting import until
from wallet import kafka_bus
from wallet.bus import ADDRESS_CREATED, COMMAND, ERRORS, TRANSACTION, Commands
from wallet.desk import Desk
from wallet.errors import BadRequest
from wallet.kafka_bus import KafkaBus
from wallet.kafka_desk import KafkaDesk
from wallet.outbox import Relay

NAMES = (COMMAND, ADDRESS_CREATED, TRANSACTION, ERRORS)


PLANS = {name: TopicPlan(about="", partitions=2) for name in NAMES}


@pytest.fixture
def prefix(kafka_bootstrap: str) -> Iterator[str]:
    made = f"test-{uuid4().hex[:12]}."
    ensure_topics(Brokers(kafka_bootstrap), plans=PLANS, prefix=made)
    yield made
    admin = KafkaAdminClient(bootstrap_servers=kafka_bootstrap)
    admin.delete_topics([made + name for name in NAMES])
    admin.close()


def bus_on(world: World, brokers: Brokers, prefix: str) -> KafkaBus:
    commands = Commands(Desk(world.custody), world.custody.books)
    relay = Relay(world.chain.id, world.custody.books)
    return KafkaBus(brokers, commands, relay, group="custody", prefix=prefix)


def answer(bus: KafkaBus, commands: int) -> None:
    """Let it answer so many commands, and disconnect."""
    answered: list[int] = []

    def go_on() -> bool:
        answered.append(bus.run_once())
        return sum(answered) >= commands

    try:
        until(go_on, f"{commands} commands are answered")
    finally:
        bus.close()


def send(bootstrap: str, topic: str, *values: bytes) -> None:
    producer = KafkaProducer(bootstrap_servers=bootstrap)
    for value in values:
        producer.send(topic, value)
    producer.flush()
    producer.close()


def bodies(bootstrap: str, topic: str) -> list[dict[str, Any]]:
    records = read_topic(bootstrap, topic).values()
    return [json.loads(record.value) for each in records for record in each]


def test_commands_are_answered_and_transactions_told_over_kafka(
    kafka_bootstrap: str, prefix: str
) -> None:
    world = World()
    send(
        kafka_bootstrap,
        prefix + COMMAND,
        json.dumps({"type": "create_account", "meta": {"account": "ann", "n": 1}}).encode(),
        b"poison",
    )
    bus = bus_on(world, Brokers(kafka_bootstrap), prefix)
    answer(bus, 2)
    [address] = bodies(kafka_bootstrap, prefix + ADDRESS_CREATED)
    assert (address["account"], address["n"]) == ("ann", 1)
    [error] = bodies(kafka_bootstrap, prefix + ERRORS)
    assert (error["error_code"], error["request"]) == ("BAD_REQUEST", "poison")

    world.start()
    assert world.custody.addresses.of("ann") == address["address"]
    world.deposit("ann", WEI)
    step(world, 3)
    again = bus_on(world, Brokers(kafka_bootstrap), prefix)
    again.run_once()
    again.close()
    told = bodies(kafka_bootstrap, prefix + TRANSACTION)
    assert [body["status"] for body in told if body["direction"] == "in"] == [
        "confirming",
        "credited",
    ]
    assert len(bodies(kafka_bootstrap, prefix + ADDRESS_CREATED)) == 1


def test_a_person_asks_over_kafka_and_gets_this_answer_and_no_other(
    kafka_bootstrap: str, prefix: str
) -> None:
    bus = bus_on(World(), Brokers(kafka_bootstrap), prefix)
    desk = KafkaDesk(Brokers(kafka_bootstrap), prefix=prefix)
    with pytest.raises(BusUnavailable, match=r"did not answer within 0\.1 s"):
        desk.ask('{"type": "create_account", "meta": {"account": "bob"}}', 0.1)
    bus.start()
    try:
        topic, created = desk.ask('{"type": "create_account", "meta": {"account": "ann"}}', 30)
        assert (topic, created["account"]) == (ADDRESS_CREATED, "ann")
        topic, refused = desk.ask('{"type": "steal", "_env": {"id": "mine"}}', 30)
        assert (topic, refused["error_code"]) == (ERRORS, "BAD_REQUEST")
        assert refused["_env"]["causation_id"] == "mine"
    finally:
        bus.stop()
    found = [json.loads(each) for each in desk.messages(ADDRESS_CREATED)]
    assert {each["account"] for each in found} == {"ann", "bob"}
    assert list(desk.messages(TRANSACTION)) == []
    for wrong in ("no json", "[]", '{"type": "x", "_env": 1}'):
        with pytest.raises(BadRequest):
            desk.ask(wrong, 30)


def test_a_consumer_that_is_never_let_in_asks_anew(
    kafka_bootstrap: str, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    consumers: list[KafkaConsumer] = []

    class FirstIsLeftOut(KafkaConsumer):  # type: ignore[misc]
        def subscribe(self, topics: list[str]) -> None:
            consumers.append(self)
            if len(consumers) > 1:
                patience.undo()
            super().subscribe(topics if len(consumers) > 1 else [prefix + TRANSACTION])

        def assignment(self) -> set[object]:
            found: set[object] = super().assignment()
            return found if len(consumers) > 1 else set()

    monkeypatch.setattr(kafka_bus, "KafkaConsumer", FirstIsLeftOut)
    command = b'{"type": "create_account", "meta": {"account": "ann"}}'
    send(kafka_bootstrap, prefix + COMMAND, command)
    with monkeypatch.context() as patience:
        patience.setattr(kafka_bus, "JOIN_S_MAX", 2.0)
        answer(bus_on(World(), Brokers(kafka_bootstrap), prefix), 1)
    assert len(consumers) == 2
