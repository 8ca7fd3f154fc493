"""Writes to one topic so that the order within a partition can never turn, whatever fails.

Between two flushes each partition gets at most one batch, and nothing is sent after a flush that
was not wholly acknowledged. So what reaches a partition is a prefix of what was added to it; a
writer that failed is thrown away, and its successor begins before what is missing.
"""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

from kafka import KafkaProducer, TopicPartition
from kafka.errors import KafkaError, KafkaTimeoutError

from eventstore.kafka_brokers import CONNECT_TIMEOUT_MS, Brokers, connecting
from eventstore.kafka_errors import BusUnavailable
from eventstore.kafka_topics import find_topic

ACKNOWLEDGE_TIMEOUT_S: Final = 10.0
BATCH_BYTES_MAX: Final = 900_000
"""Of the records of one partition between two flushes; brokers take 1 MiB unless told."""
_RECORD_OVERHEAD_BYTES: Final = 100
_NEVER_BY_ITSELF_MS: Final = 60_000
"""How long the client would wait before it sends on its own account; every flush is sooner."""

Headers = Sequence[tuple[str, bytes]]


class TopicWriter:
    """One connection as a producer: idempotent, and acknowledged by all replicas in sync."""

    def __init__(self, brokers: Brokers, topic: str) -> None:
        """Connect. Raises: BusUnavailable; TopicUnusable: there is no such topic."""
        found = find_topic(brokers, topic)
        self.topic_id = found.id
        self.partitions = found.partitions
        self._places = [TopicPartition(topic, number) for number in range(found.partitions)]
        self._producer = _producer(brokers, topic)
        # What `send` does besides is to find out and to check, for each record, what is known
        # here already: a third of the time that it takes to publish an event.
        self._append = self._producer._accumulator.append
        self._sent: list[Any] = []
        self._bytes = [0] * found.partitions

    def add(
        self, partition: int, key: bytes | None, value: bytes, headers: Headers, time_ms: int
    ) -> None:
        """Add a record; it is written by the next flush, or now if its partition has no room.

        time_ms: the record's own time. Raises: as `flush`.
        """
        size = len(value) + len(key or b"") + _RECORD_OVERHEAD_BYTES
        if self._bytes[partition] + size > BATCH_BYTES_MAX:
            self.flush()
        self._bytes[partition] += size
        try:
            sent, *_ = self._append(self._places[partition], time_ms, key, value, headers)
        except KafkaError as error:
            raise BusUnavailable(f"Kafka takes no record: {error!r}") from error
        self._sent.append(sent)

    def flush(self) -> None:
        """Return when everything that was added is in the topic for good.

        Raises: BusUnavailable: some of it may not be; this writer must not be used again.
        """
        try:
            self._producer.flush(ACKNOWLEDGE_TIMEOUT_S)
        except KafkaTimeoutError as error:
            raise BusUnavailable("Kafka does not acknowledge what is sent") from error
        for sent in self._sent:
            if not sent.succeeded():
                raise BusUnavailable(f"Kafka did not store a record: {sent.exception!r}")
        self._sent.clear()
        self._bytes = [0] * self.partitions

    def close(self) -> None:
        """Disconnect. What was added and not flushed is dropped."""
        # The client's own close waits for what it has not sent: here that must never be sent.
        self._producer._sender.force_close()
        with suppress(KafkaTimeoutError):
            self._producer.close(timeout=1)


def _producer(brokers: Brokers, topic: str) -> Any:
    """Return a client that knows where a topic's partitions are."""
    with connecting(brokers) as settings:
        producer = KafkaProducer(
            **settings,
            enable_idempotence=True,
            acks="all",
            compression_type="lz4",
            batch_size=BATCH_BYTES_MAX + _RECORD_OVERHEAD_BYTES * 1_000,
            linger_ms=_NEVER_BY_ITSELF_MS,
            delivery_timeout_ms=2 * _NEVER_BY_ITSELF_MS,
            max_block_ms=CONNECT_TIMEOUT_MS,
            max_request_size=16 * 1_024 * 1_024,
            reconnect_backoff_max_ms=1_000,
            metrics_enabled=False,
        )
    try:
        producer.partitions_for(topic)
    except KafkaError as error:
        producer.close(timeout=1)
        raise BusUnavailable(f"nobody leads the partitions of {topic}: {error}") from error
    return producer
