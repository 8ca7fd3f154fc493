"""Ask custody over Kafka, and read its topics, as a person at a shell does."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final
from uuid import uuid4

import msgspec
from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from eventstore.kafka_brokers import Brokers, connecting
from eventstore.kafka_errors import BusUnavailable
from eventstore.kafka_topics import find_topic
from eventstore.kafka_writer import TopicWriter
from eventstore.messages import partition_of
from wallet.bus import ADDRESS_CREATED, COMMAND, ERRORS, TRANSACTION
from wallet.errors import BadRequest

ANSWERS: Final = (ADDRESS_CREATED, TRANSACTION, ERRORS)
POLL_MS: Final = 100


class KafkaDesk:
    """One person's. prefix: of the topics' names."""

    def __init__(self, brokers: Brokers, *, prefix: str = "") -> None:
        self._brokers = brokers
        self._prefix = prefix

    def ask(self, text: str, timeout_s: float) -> tuple[str, dict[str, Any]]:
        """Send a command and return its answer, and the topic that it came on.

        text: JSON; a command without an id gets a fresh one, by which its answer is known.
        Raises: BadRequest: it is no JSON object; BusUnavailable: no answer in time, or no Kafka.
        """
        command = _command(text)
        command_id = command["_env"]["id"]
        with self._consumer(*ANSWERS) as consumer:
            self._send(command, command_id)
            give_up_s = time.monotonic() + timeout_s
            while time.monotonic() < give_up_s:
                for records in consumer.poll(timeout_ms=POLL_MS).values():
                    for record in records:
                        body = msgspec.json.decode(record.value)
                        if body.get("_env", {}).get("causation_id") == command_id:
                            return record.topic.removeprefix(self._prefix), body
        raise BusUnavailable(f"custody did not answer within {timeout_s:g} s; is it running?")

    def messages(self, topic: str) -> Iterator[bytes]:
        """Yield the values of what is in a topic now, in order per partition.

        Raises: BusUnavailable; TopicUnusable: there is no such topic.
        """
        with self._consumer(topic) as consumer:
            places = consumer.assignment()
            ends = consumer.end_offsets(places)
            consumer.seek_to_beginning(*places)
            while any(consumer.position(place) < ends[place] for place in places):
                for place, records in consumer.poll(timeout_ms=POLL_MS).items():
                    yield from (each.value for each in records if each.offset < ends[place])

    @contextmanager
    def _consumer(self, *topics: str) -> Iterator[Any]:
        """Yield a consumer at the ends of topics: what comes from now on is read."""
        names = [self._prefix + topic for topic in topics]
        counts = {name: find_topic(self._brokers, name).partitions for name in names}
        places = [TopicPartition(name, n) for name in names for n in range(counts[name])]
        with connecting(self._brokers) as settings:
            consumer: Any = KafkaConsumer(**settings, enable_auto_commit=False)
        try:
            consumer.assign(places)
            consumer.seek_to_end(*places)
            for place in places:
                consumer.position(place)
            yield consumer
        except KafkaError as error:
            raise BusUnavailable(f"Kafka does not answer: {error!r}") from error
        finally:
            consumer.close(autocommit=False)

    def _send(self, command: dict[str, Any], key: str) -> None:
        writer = TopicWriter(self._brokers, self._prefix + COMMAND)
        try:
            now_ms = time.time_ns() // 1_000_000
            value = msgspec.json.encode(command)
            writer.add(partition_of(key, writer.partitions), key.encode(), value, [], now_ms)
            writer.flush()
        finally:
            writer.close()


def _command(text: str) -> dict[str, Any]:
    try:
        command = msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise BadRequest(f"the command is no JSON: {error}") from error
    if not isinstance(command, dict) or not isinstance(command.get("_env", {}), dict):
        raise BadRequest("a command is a JSON object; its `_env`, if any, is one too")
    command["_env"] = {"id": uuid4().hex, **command.get("_env", {})}
    return command
