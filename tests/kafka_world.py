"""What tests of Kafka share: topics of their own, synthetic logs, and what is in a topic."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import msgspec
from kafka import KafkaConsumer, TopicPartition
from kafka.admin import KafkaAdminClient

from domain.events import AccountOpened, DepositCredited, Event, MarketResumed, stream_of
from eventstore.kafka_brokers import Brokers
from eventstore.kafka_topics import TopicPlan, ensure_topics
from eventstore.messages import POSITION, REACHED, decode_event, partition_of
from eventstore.store import Log

PARTITIONS = 4
START_MS = 1_700_000_000_000


class Topics(msgspec.Struct, frozen=True):
    """The topics of one test, fresh by their prefix.

    bootstrap: where the test itself looks. secured: where Foldex connects, if that is elsewhere.
    """

    bootstrap: str
    prefix: str
    secured: Brokers | None = None

    @property
    def brokers(self) -> Brokers:
        return self.secured or Brokers(self.bootstrap)

    @property
    def events(self) -> str:
        return self.prefix + "events"

    @property
    def errors(self) -> str:
        return self.prefix + "errors"


PLANS = {name: TopicPlan(about="", partitions=PARTITIONS) for name in ("events", "errors")}
"""Only the topics that tests use, with few partitions: making each costs time."""


@contextmanager
def fresh_topics(bootstrap: str, secured: Brokers | None = None) -> Iterator[Topics]:
    topics = Topics(bootstrap, f"test-{uuid4().hex[:12]}.", secured)
    ensure_topics(topics.brokers, plans=PLANS, prefix=topics.prefix)
    yield topics
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    admin.delete_topics([topics.prefix + name for name in PLANS])
    admin.close()


def synthetic(first: int, count: int) -> list[Event]:
    """Return events of 20 accounts, 3 markets and the time after `START_MS`; each is different."""
    events: list[Event] = []
    for number in range(first, first + count):
        time_ms = START_MS + number
        account = f"account-{number % 20}"
        events.append(
            MarketResumed(time_ms, f"M{number % 3}-USD")
            if number % 4 == 0
            else DepositCredited(time_ms, account, "USD", number, f"chain:{number}:0")
            if number % 4 < 3
            else AccountOpened(time_ms, f"new-{number}")
        )
    return events


def append(log: Log, commits: int, events_per_commit: int = 10) -> None:
    """Append commits of synthetic events."""
    for _ in range(commits):
        events = synthetic(log.head.position + 1, events_per_commit)
        log.append(events, events[-1].time_ms)


def read_topic(bootstrap: str, topic: str) -> dict[int, list[Any]]:
    """Return all records that a topic has now, by partition."""
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, group_id=None, enable_auto_commit=False)
    try:
        places = [TopicPartition(topic, n) for n in sorted(consumer.partitions_for_topic(topic))]
        consumer.assign(places)
        consumer.seek_to_beginning(*places)
        ends = consumer.end_offsets(places)
        records: dict[int, list[Any]] = {place.partition: [] for place in places}
        while any(consumer.position(place) < ends[place] for place in places):
            for place, found in consumer.poll(timeout_ms=500).items():
                records[place.partition] += found
        return records
    finally:
        consumer.close()


def require_whole(log: Log, topics: Topics) -> int:
    """Check that a topic has every event of a log, in order per stream; return the repeats.

    A repeat is an event that its partition had already; those left out, what remains must be just
    the events of the log that belong there, in order, and each must name the one before it.
    """
    records = read_topic(topics.bootstrap, topics.events)
    wanted: dict[int, list[tuple[int, Event]]] = {partition: [] for partition in records}
    for commit in log.read_all():
        for position, event in commit.recorded():
            wanted[partition_of(stream_of(event), len(records))].append((position, event))
    repeats = 0
    for partition, found in records.items():
        new = _new_events(found)
        assert [decode_event(record.value) for record in new] == wanted[partition]
        assert [record.key.decode() for record in new] == [
            stream_of(event) for _, event in wanted[partition]
        ]
        repeats += sum(REACHED not in dict(record.headers) for record in found) - len(new)
    return repeats


def _new_events(records: Sequence[Any]) -> list[Any]:
    """Return the events that were not there before, checking the chain of positions."""
    reached, last, new = 0, 0, []
    for record in records:
        headers = dict(record.headers)
        previous = int(headers["previous"])
        position = int(headers.get(POSITION) or headers[REACHED])
        if position <= reached:
            continue
        assert previous == last
        reached = position
        if POSITION in headers:
            last = position
            new.append(record)
    return new


def reached_everywhere(topics: Topics) -> list[int]:
    """Return what the last record of each partition, a marker, says."""
    found = read_topic(topics.bootstrap, topics.events)
    return [int(dict(records[-1].headers)[REACHED]) for records in found.values()]
