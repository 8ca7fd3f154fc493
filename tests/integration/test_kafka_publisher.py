"""The publisher brings every event to Kafka at least once, in order, whatever is killed."""

import gc
import logging
import random
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest
from kafka.admin import KafkaAdminClient

from deploy.services.clone import Clone
from deploy.services.kafka import Kafka
from eventstore import postgres_schema, published_postgres
from eventstore.errors import StoreError
from eventstore.kafka_brokers import Brokers
from eventstore.kafka_errors import OtherLog, TopicUnusable
from eventstore.kafka_topics import ensure_topics
from eventstore.memory import open_memory
from eventstore.postgres import open_postgres
from eventstore.published import SQLitePublished
from eventstore.published_postgres import PostgresPublished
from eventstore.publisher import Lag, Publisher
from eventstore.sqlite import open_sqlite
from eventstore.store import Log
from tests.kafka_world import (
    PLANS,
    START_MS,
    Topics,
    append,
    fresh_topics,
    reached_everywhere,
    require_whole,
    synthetic,
)
from tests.waiting import until

NOW_MS = START_MS + 1_000_000
KILLS = 6


@pytest.fixture
def topics(kafka_bootstrap: str) -> Iterator[Topics]:
    with fresh_topics(kafka_bootstrap) as topics:
        yield topics


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    with open_sqlite(tmp_path, for_writing=True) as store:
        yield store.log


Making = Callable[..., Publisher]


@pytest.fixture
def publisher(log: Log, topics: Topics, tmp_path: Path) -> Iterator[Making]:
    """Make publishers of `log` to `topics`; they are stopped in the end."""
    with ExitStack() as resources:

        def make(kind: type[SQLitePublished] = SQLitePublished, log: Log = log) -> Publisher:
            positions = kind(tmp_path)
            resources.callback(positions.close)
            made = Publisher(
                log, positions, topics.brokers, topic=topics.events, clock_ms=lambda: NOW_MS
            )
            resources.callback(made.stop)
            return made

        yield make


def publish_all(publisher: Publisher) -> None:
    while publisher.run_once():
        pass


def test_every_event_is_published_in_order_and_each_partition_says_how_far_it_is(
    log: Log, topics: Topics, publisher: Making
) -> None:
    append(log, commits=100, events_per_commit=100)

    publish_all(publisher())

    assert require_whole(log, topics) == 0
    assert set(reached_everywhere(topics)) == {10_000}


def test_a_new_publisher_goes_on_where_the_last_one_stopped(
    log: Log, topics: Topics, publisher: Making
) -> None:
    append(log, commits=3)
    first = publisher()
    publish_all(first)
    first.stop()
    append(log, commits=3)
    second = publisher()

    publish_all(second)

    assert second.position == 60
    assert require_whole(log, topics) == 0


def test_what_was_published_but_not_noted_is_published_again(
    log: Log, topics: Topics, publisher: Making
) -> None:
    class Forgetful(SQLitePublished):
        def move(self, *_: object) -> None:
            raise StoreError("the disk is full")

    append(log, commits=5)
    with pytest.raises(StoreError):
        publisher(Forgetful).run_once()

    publish_all(publisher())

    assert require_whole(log, topics) == 50


def test_a_commit_that_no_batch_can_hold_is_published_whole(
    log: Log, topics: Topics, publisher: Making
) -> None:
    append(log, commits=1, events_per_commit=30_000)

    publish_all(publisher())

    assert require_whole(log, topics) == 0


def test_the_lag_is_what_waits_and_since_when(log: Log, publisher: Making) -> None:
    behind = publisher()
    append(log, commits=2)
    assert behind.lag() == Lag(20, NOW_MS - START_MS - 10)
    assert not behind.connected

    publish_all(behind)

    assert behind.lag() == Lag(0, 0)
    assert behind.connected


def test_another_log_is_not_published_to_the_same_topic(log: Log, publisher: Making) -> None:
    append(log, commits=2)
    publish_all(publisher())

    with open_memory() as other:
        append(other.log, commits=1, events_per_commit=20)
        append(other.log, commits=1, events_per_commit=20)
        with pytest.raises(OtherLog):
            publisher(log=other.log).run_once()
    with open_memory() as shorter, pytest.raises(OtherLog):
        publisher(log=shorter.log).run_once()


def test_a_log_that_was_set_back_is_not_published_over_what_it_had(
    log: Log, topics: Topics, publisher: Making, tmp_path: Path
) -> None:
    append(log, commits=2)
    first = publisher()
    publish_all(first)
    first.stop()
    backup = tmp_path / "backup"
    backup.mkdir()
    for file in tmp_path.glob("published.db*"):
        shutil.copy(file, backup)
    append(log, commits=60, events_per_commit=50)
    second = publisher()
    publish_all(second)
    second.stop()
    for file in backup.iterdir():
        shutil.copy(file, tmp_path)

    with open_memory() as restored:
        append(restored.log, commits=2)
        restored.log.append(synthetic(5_000, 3_000), START_MS)
        with pytest.raises(OtherLog):
            publisher(log=restored.log).run_once()


def test_a_missing_topic_stops_the_publisher_and_says_what_to_do(
    log: Log, tmp_path: Path, brokers: Brokers
) -> None:
    positions = SQLitePublished(tmp_path)
    publisher = Publisher(log, positions, brokers, topic="test-no-such-topic", clock_ms=lambda: 0)
    publisher.start()
    until(lambda: publisher.failed is not None, "the publisher stops")

    assert isinstance(publisher.failed, TopicUnusable)
    assert "migrate" in str(publisher.failed)
    publisher.stop()
    positions.close()


def test_a_topic_that_was_made_anew_gets_everything_again(
    log: Log, topics: Topics, publisher: Making
) -> None:
    append(log, commits=4)
    first = publisher()
    publish_all(first)
    first.stop()
    admin = KafkaAdminClient(bootstrap_servers=topics.bootstrap)
    admin.delete_topics([topics.events])
    until(lambda: topics.events not in admin.list_topics(), "the topic is gone")
    admin.close()
    ensure_topics(topics.brokers, plans=PLANS, prefix=topics.prefix)

    publish_all(publisher())

    assert require_whole(log, topics) == 0


def test_a_second_publisher_stands_by_until_the_first_is_gone(
    log: Log, topics: Topics, publisher: Making
) -> None:
    first, second = publisher(), publisher()
    first.start()
    append(log, commits=5)
    until(lambda: first.position == 50, "the first publishes")
    second.start()
    until(lambda: second.standing_by, "the second stands by")
    append(log, commits=5)
    until(lambda: first.position == 100, "the first goes on")
    assert second.position == 0

    first.stop()
    append(log, commits=5)

    until(lambda: second.position == 150, "the second takes over")
    assert require_whole(log, topics) == 0


def test_two_that_publish_at_once_bring_repeats_but_never_another_order(
    log: Log, topics: Topics, publisher: Making
) -> None:
    class Unlocked(SQLitePublished):
        def try_lock(self) -> bool:
            return True

    both = publisher(Unlocked), publisher(Unlocked)
    for each in both:
        each.start()
    for _ in range(40):
        append(log, commits=10)
        time.sleep(0.02)
    until(lambda: max(each.position for each in both) == 4_000, "all is published")
    for each in both:
        each.stop()

    assert [each.failed for each in both] == [None, None]
    require_whole(log, topics)


def test_killed_publishers_lose_nothing_and_keep_the_order(
    log: Log, topics: Topics, tmp_path: Path
) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    command = [sys.executable, "-m", "tests.simulation.publisher_child"]
    loading = threading.Event()

    def load() -> None:
        while not loading.is_set():
            append(log, commits=1, events_per_commit=50)
            time.sleep(0.005)

    loader = threading.Thread(target=load)
    loader.start()
    arguments = [str(tmp_path), topics.bootstrap, topics.events]
    for _ in range(KILLS):
        child = subprocess.Popen([*command, *arguments])
        time.sleep(chance.uniform(0.8, 3.0))
        assert child.poll() is None
        child.kill()
        child.wait()
    loading.set()
    loader.join()

    child = subprocess.Popen([*command, *arguments])
    try:
        until(lambda: _published(tmp_path) == log.head.position, "the last one catches up")
    finally:
        child.kill()
        child.wait()
    require_whole(log, topics)


def test_a_publisher_outlives_its_connections_to_the_database(
    postgres_database: str, topics: Topics
) -> None:
    postgres_schema.migrate(postgres_database)
    published_postgres.migrate(postgres_database)
    with ExitStack() as resources:
        log = resources.enter_context(open_postgres(postgres_database, for_writing=True)).log
        reading = resources.enter_context(open_postgres(postgres_database)).log
        positions = PostgresPublished(postgres_database)
        resources.callback(positions.close)
        publisher = Publisher(
            reading, positions, topics.brokers, topic=topics.events, clock_ms=lambda: NOW_MS
        )
        resources.callback(publisher.stop)
        publisher.start()
        append(log, commits=20)
        until(lambda: publisher.position == 200, "it publishes")
        with psycopg.connect(postgres_database, autocommit=True) as administrator:
            ended = administrator.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname ="
                " current_database() AND application_name ~ '^foldex (publisher|reader)'"
            ).fetchall()
        append(log, commits=20)

        until(lambda: publisher.position == 400, "it goes on")

        assert len(ended) >= 2
        assert publisher.failed is None
        require_whole(log, topics)


def _published(directory: Path) -> int:
    positions = SQLitePublished(directory)
    try:
        row = positions._execute("SELECT max(position) FROM published", ()).fetchone()
        return int(row[0] or 0)
    finally:
        positions.close()


# Kafka's client leaves sockets that could not connect to the garbage collector.
@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_while_the_broker_is_down_the_log_goes_on_and_the_publisher_catches_up(
    log: Log,
    tmp_path: Path,
    kafka_bootstrap: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("eventstore.kafka_writer.ACKNOWLEDGE_TIMEOUT_S", 2.0)
    monkeypatch.setattr("eventstore.publisher.RETRY_MAX_S", 0.5)
    broker = Kafka(Clone(tmp_path))
    broker.start()
    try:
        with fresh_topics(broker.address()) as topics:
            positions = SQLitePublished(tmp_path)
            publisher = Publisher(
                log, positions, topics.brokers, topic=topics.events, clock_ms=lambda: NOW_MS
            )
            publisher.start()
            append(log, commits=20)
            until(lambda: publisher.position == 200, "it publishes")
            with caplog.at_level(logging.WARNING):
                broker.crash()
                append(log, commits=200)
                until(lambda: not publisher.connected, "it notices")
                append(log, commits=200)
                time.sleep(2)
                assert publisher.lag().events == 4_000
                broker.start()
                until(lambda: publisher.position == 4_200, "it catches up")
            publisher.stop()
            positions.close()
            require_whole(log, topics)
            assert len([each for each in caplog.records if each.name.startswith("event")]) == 1
    finally:
        broker.stop()
        gc.collect()  # While the warnings are let through.
