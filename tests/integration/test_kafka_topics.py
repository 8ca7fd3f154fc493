"""Topics are made once, as Foldex needs them, and never used when they are otherwise."""

import gc
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest
from kafka.admin import ConfigResource, ConfigResourceType

from eventstore.kafka_brokers import Brokers
from eventstore.kafka_errors import BusUnavailable, TopicUnusable
from eventstore.kafka_markers import last_marker
from eventstore.kafka_topics import TOPICS, TopicPlan, administrator, ensure_topics, find_topic
from eventstore.kafka_writer import _producer
from tests.processes import free_port


@pytest.fixture
def prefix(brokers: Brokers) -> Iterator[str]:
    made = f"test-{uuid4().hex[:12]}."
    yield made
    with administrator(brokers) as admin:
        admin.delete_topics([name for name in admin.list_topics() if name.startswith(made)])


def test_every_topic_is_made_as_planned_and_a_second_time_nothing(
    brokers: Brokers, prefix: str
) -> None:
    assert ensure_topics(brokers, prefix=prefix) == [prefix + name for name in TOPICS]
    assert ensure_topics(brokers, prefix=prefix) == []

    for name, plan in TOPICS.items():
        assert find_topic(brokers, prefix + name).partitions == plan.partitions
    with administrator(brokers) as admin:
        events = ConfigResource(ConfigResourceType.TOPIC, prefix + "events")
        found = admin.describe_configs([events], config_filter="all")["topic"][prefix + "events"]
    assert found["retention.ms"]["value"] == "-1"
    assert found["retention.bytes"]["value"] == "-1"
    assert found["cleanup.policy"]["value"] == "delete"


def test_several_may_make_them_at_once(brokers: Brokers, prefix: str) -> None:
    with ThreadPoolExecutor(3) as threads:
        made = list(threads.map(lambda _: ensure_topics(brokers, prefix=prefix), range(3)))

    assert {name for names in made for name in names} == {prefix + name for name in TOPICS}


def test_another_number_of_partitions_is_refused(brokers: Brokers, prefix: str) -> None:
    ensure_topics(brokers, prefix=prefix, plans={"events": TopicPlan(about="", partitions=2)})

    with pytest.raises(TopicUnusable, match="has 2 partitions, not 12"):
        ensure_topics(brokers, prefix=prefix)


def test_events_that_would_be_deleted_are_refused(brokers: Brokers, prefix: str) -> None:
    short = TopicPlan(about="", partitions=12, retention_ms=60_000)
    ensure_topics(brokers, prefix=prefix, plans={"events": short})

    with pytest.raises(TopicUnusable, match="for ever"):
        ensure_topics(brokers, prefix=prefix)


# Kafka's client leaves sockets that could not connect to the garbage collector.
@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_without_brokers_it_says_so() -> None:
    port = free_port()
    with pytest.raises(BusUnavailable, match=str(port)):
        ensure_topics(Brokers(f"127.0.0.1:{port}"))
    gc.collect()  # While the warnings are let through.


@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_trying_for_long_without_brokers_leaves_nothing_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Or the process would run out of threads and files while the brokers are away."""
    monkeypatch.setattr("eventstore.kafka_brokers.CONNECT_TIMEOUT_MS", 100)
    brokers = Brokers(f"127.0.0.1:{free_port()}")
    uses: tuple[Callable[[], object], ...] = (
        lambda: find_topic(brokers, "events"),
        lambda: last_marker(brokers, "events"),
        lambda: _producer(brokers, "events"),
    )
    before = threading.active_count(), len(os.listdir("/proc/self/fd"))
    for use in uses * 3:
        with pytest.raises(BusUnavailable):
            use()
        gc.collect()
    after = threading.active_count(), len(os.listdir("/proc/self/fd"))
    assert after == before
