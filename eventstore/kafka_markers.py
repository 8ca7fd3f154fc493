"""What a topic itself says of how far it is, whatever is stored elsewhere."""

import time
from collections.abc import Iterator
from typing import Any, Final

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from eventstore.kafka_brokers import Brokers, connecting
from eventstore.kafka_errors import BusUnavailable
from eventstore.messages import REACHED, BadMessage, Marker, decode_marker

READ_TIMEOUT_S: Final = 30.0
FIRST_SPAN_RECORDS: Final = 500
"""How far back from the end to look at first; each further look goes back 10 times as far."""


def last_marker(brokers: Brokers, topic: str) -> Marker | None:
    """Return the marker that is furthest along among the last ones; None: there is none.

    Every partition gets every marker, so one partition is enough. Raises: BusUnavailable.
    """
    with connecting(brokers) as settings:
        consumer = KafkaConsumer(
            **settings, group_id=None, enable_auto_commit=False, metrics_enabled=False
        )
    try:
        return _look_back(consumer, TopicPartition(topic, 0))
    except (KafkaError, OSError) as error:
        raise BusUnavailable(f"the end of {topic} cannot be read: {error!r}") from error
    finally:
        consumer.close()


def _look_back(consumer: Any, place: TopicPartition) -> Marker | None:
    consumer.assign([place])
    begin, end = consumer.beginning_offsets([place])[place], consumer.end_offsets([place])[place]
    span = FIRST_SPAN_RECORDS
    while begin < end:
        consumer.seek(place, max(begin, end - span))
        found = [marker for record in _read(consumer, place, end) for marker in _markers(record)]
        if found:
            return max(found, key=lambda marker: marker.reached)
        if end - span <= begin:
            break
        span *= 10
    return None


def _read(consumer: Any, place: TopicPartition, end: int) -> Iterator[Any]:
    deadline = time.monotonic() + READ_TIMEOUT_S
    while consumer.position(place) < end:
        if time.monotonic() > deadline:
            raise BusUnavailable(f"the end of {place.topic} cannot be read in time")
        yield from consumer.poll(timeout_ms=500).get(place, [])


def _markers(record: Any) -> Iterator[Marker]:
    """Yield what a record says if it is a marker; a reader of the topic judges the others."""
    if REACHED in dict(record.headers):
        try:
            yield decode_marker(record.value)
        except BadMessage:
            return
