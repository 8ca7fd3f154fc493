"""Views of markets that are folded from Kafka are those that are folded from the store."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
from kafka import KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient

from domain.events import MarketResumed
from eventstore.kafka_errors import BusError, PoisonRecord, RecordsLost
from eventstore.kafka_topics import ensure_topics
from eventstore.messages import encode_event
from eventstore.published import SQLitePublished
from eventstore.publisher import Publisher
from projections.database import ViewsUnavailable
from projections.kafka_feed import KafkaFeed
from projections.postgres import migrate
from projections.runner import rebuild
from tests.cutting import cut_connections
from tests.feed_world import COMMANDS, FeedWorld
from tests.kafka_world import PLANS, Topics, fresh_topics, read_topic
from tests.waiting import until


@pytest.fixture
def topics(kafka_bootstrap: str) -> Iterator[Topics]:
    with fresh_topics(kafka_bootstrap) as topics:
        yield topics


@pytest.fixture
def world(topics: Topics, tmp_path: Path) -> Iterator[FeedWorld]:
    """Its views are in SQLite: for what does not depend on the database."""
    with ExitStack() as resources:
        yield FeedWorld(topics, tmp_path, resources)


@pytest.fixture(params=["sqlite", "postgres"])
def each_world(
    request: pytest.FixtureRequest, topics: Topics, tmp_path: Path
) -> Iterator[FeedWorld]:
    """Its views are in each database in turn."""
    url = ""
    if request.param == "postgres":
        url = request.getfixturevalue("postgres_database")
        migrate(url)
    with ExitStack() as resources:
        yield FeedWorld(topics, tmp_path, resources, url)


def fold_until(feed: KafkaFeed, done: Callable[[], bool]) -> None:
    until(lambda: feed.run_once() >= 0 and done(), "the feed folds")


def test_views_from_kafka_are_those_from_the_store(each_world: FeedWorld) -> None:
    world = each_world
    world.publish()
    feed = world.feed()
    feed.start()
    world.require_exact()
    for _ in range(3):
        world.go_on()

    world.require_exact()
    assert feed.failed is None
    assert set(feed.reached.values()) == {world.day.log.head.position}


def test_repeats_change_nothing(world: FeedWorld, tmp_path: Path) -> None:
    feed = world.feed()
    feed.start()
    world.go_on()
    world.require_exact()
    again = SQLitePublished(_made(tmp_path / "empty"))
    repeating = Publisher(
        world.day.log,
        again,
        world.topics.brokers,
        topic=world.topics.events,
        clock_ms=lambda: 0,
    )
    while repeating.run_once():
        pass
    repeating.stop()
    again.close()
    world.go_on()

    world.require_exact()
    assert feed.failed is None


def test_a_rebuild_from_the_store_is_taken_over_where_it_ends(each_world: FeedWorld) -> None:
    world = each_world
    feed = world.feed()
    feed.start()
    world.go_on()
    world.require_exact()
    world.day.go_on(COMMANDS)
    rebuild(world.day.log, world.store)
    world.go_on()

    world.require_exact()
    assert feed.failed is None


def test_a_worker_whose_connections_are_cut_again_and_again_goes_on_exactly(
    topics: Topics, tmp_path: Path, postgres_database: str
) -> None:
    migrate(postgres_database)
    with ExitStack() as resources:
        world = FeedWorld(topics, tmp_path, resources, postgres_database)
        world.publish()
        feed = world.feed()
        feed.start()
        world.require_exact()
        for _ in range(5):
            world.day.go_on(COMMANDS)
            world.publish()
            until(lambda: cut_connections(postgres_database), "the feed is connected")
        with suppress(ViewsUnavailable):  # They share a connection with the feed.
            world.fold_accounts()
        world.go_on()

        world.require_exact()
        assert feed.failed is None


def test_two_workers_share_the_partitions_and_one_takes_over_when_the_other_is_killed(
    each_world: FeedWorld,
) -> None:
    world = each_world
    feed = world.feed()
    feed.start()
    world.go_on()
    until(lambda: len(feed.reached) == 4, "one worker has all partitions")
    child = world.child()
    until(lambda: len(feed.reached) == 2, "the partitions are shared")
    world.go_on()
    until(lambda: world.is_complete, "both fold")
    child.send_signal(signal.SIGKILL)
    world.go_on()
    until(lambda: len(feed.reached) == 4, "the partitions of the dead are taken over")

    world.require_exact()
    assert feed.failed is None


def test_a_worker_that_slept_through_losing_its_partitions_writes_nothing(
    each_world: FeedWorld,
) -> None:
    world = each_world
    child = world.child()
    world.go_on()
    until(lambda: world.is_complete, "the child folds")
    feed = world.feed()
    child.send_signal(signal.SIGSTOP)
    feed.start()
    world.go_on()
    until(lambda: len(feed.reached) == 4, "the partitions of the sleeper are taken over")
    until(lambda: world.is_complete, "its work is done by the other")
    child.send_signal(signal.SIGCONT)
    for _ in range(5):
        world.go_on(50)
        time.sleep(0.3)

    world.require_exact()
    assert (feed.failed, child.poll()) == (None, None)


def test_workers_that_all_believe_a_partition_is_theirs_fold_each_event_once(
    each_world: FeedWorld,
) -> None:
    world = each_world
    feeds = [world.feed("one"), world.feed("two"), world.feed("three")]
    for feed in feeds:
        feed.start()
    for _ in range(10):
        world.go_on(60)

    world.require_exact()
    assert [feed.failed for feed in feeds] == [None] * 3


def test_a_worker_that_comes_late_to_a_batch_begins_again_from_what_another_wrote(
    each_world: FeedWorld,
) -> None:
    world = each_world
    first, late = world.feed("one"), world.feed("two")
    for feed in (first, late):
        fold_until(feed, lambda feed=feed: len(feed.reached) == 4)  # type: ignore[misc]
    world.go_on()
    end = world.day.log.head.position
    fold_until(first, lambda: world.is_complete)

    fold_until(late, lambda: set(late.reached.values()) == {end})

    world.require_exact()


Header = tuple[str, bytes]
EVENT = MarketResumed(1_700_000_000_000, "A-B")


def send(world: FeedWorld, value: bytes, headers: list[Header]) -> int:
    """Write a record of somebody else's to partition 0; return its offset."""
    producer = KafkaProducer(bootstrap_servers=world.topics.bootstrap)
    sent = producer.send(
        world.topics.events,
        value,
        b"key",
        headers,
        partition=0,
        timestamp_ms=world.day.exchange.time_ms,
    ).get(10)
    producer.close()
    return int(sent.offset)


def numbered(position: int, previous: int) -> list[Header]:
    return [("position", b"%d" % position), ("previous", b"%d" % previous)]


def newer(value: bytes) -> bytes:
    return value.replace(b".v1", b".v9")


def stop_of(feed: KafkaFeed) -> BusError:
    """Return what a worker stops with."""
    until(lambda: feed.failed is not None, "the worker stops")
    assert isinstance(feed.failed, BusError)
    return feed.failed


FAR = 10**9


@pytest.mark.parametrize(
    ("value", "headers", "reason"),
    [
        (b"hello", [], "not an event's message"),
        (b"{}", numbered(FAR, 0), "not an event's message"),
        (encode_event(FAR, "market:A-B", EVENT), [], "no header 'position'"),
        (encode_event(FAR, "market:A-B", EVENT), numbered(FAR - 1, 0), "do not agree"),
        (newer(encode_event(FAR, "market:A-B", EVENT)), numbered(FAR, 0), "market_resumed.v9"),
        (b"{}", [("reached", b"7"), ("previous", b"0")], "not a marker"),
    ],
    ids=["not json", "other json", "no position", "disagreeing", "newer version", "bad marker"],
)
def test_a_record_that_no_publisher_wrote_stops_the_worker_and_is_reported(
    world: FeedWorld, value: bytes, headers: list[Header], reason: str
) -> None:
    world.publish()
    feed = world.feed()
    feed.start()
    world.go_on()
    until(lambda: world.is_complete, "what is good is folded")
    offset = send(world, value, headers)

    stopped = stop_of(feed)

    assert isinstance(stopped, PoisonRecord)
    assert (stopped.topic, stopped.partition, stopped.offset) == (world.topics.events, 0, offset)
    assert reason in str(stopped)
    assert world.differences() == []
    (report,) = reports(world)
    assert report["type"] == "event"
    assert (report["error_code"], report["error_message"]) == ("poison_record", str(stopped))
    assert report["request"]["value"] == value.decode()
    assert report["request"]["offset"] == offset


def test_a_hole_in_the_positions_stops_the_worker(world: FeedWorld) -> None:
    feed = world.feed()
    feed.start()
    world.go_on()
    until(lambda: world.is_complete, "what is good is folded")
    send(world, encode_event(FAR, "market:A-B", EVENT), numbered(FAR, FAR - 1))

    stopped = stop_of(feed)

    assert isinstance(stopped, RecordsLost)
    assert f"event {FAR - 1} is missing" in str(stopped)
    assert [each["error_code"] for each in reports(world)] == ["records_lost"]


def test_a_rebuild_gets_past_a_bad_record(world: FeedWorld) -> None:
    feed = world.feed()
    feed.start()
    world.go_on()
    until(lambda: world.is_complete, "what is good is folded")
    send(world, b"hello", [])
    stop_of(feed)
    feed.stop()
    before_ms = world.day.exchange.time_ms
    world.day.go_on(COMMANDS)
    assert world.day.exchange.time_ms > before_ms
    rebuild(world.day.log, world.store)

    world.feed().start()
    world.go_on()

    world.require_exact()


def test_records_that_were_deleted_before_they_were_read_stop_the_worker(world: FeedWorld) -> None:
    feed = world.feed()
    world.go_on()
    fold_until(feed, lambda: world.is_complete)
    feed.stop()
    world.go_on()
    admin = KafkaAdminClient(bootstrap_servers=world.topics.bootstrap)
    places = [TopicPartition(world.topics.events, number) for number in range(4)]
    admin.delete_records(dict.fromkeys(places, -1))
    admin.close()
    late = world.feed()
    late.start()

    stopped = stop_of(late)

    assert isinstance(stopped, RecordsLost)
    assert "rebuild" in str(stopped)


def test_a_topic_that_was_made_anew_stops_the_worker(world: FeedWorld) -> None:
    feed = world.feed()
    world.go_on()
    fold_until(feed, lambda: world.is_complete)
    feed.stop()
    admin = KafkaAdminClient(bootstrap_servers=world.topics.bootstrap)
    admin.delete_topics([world.topics.events])
    until(lambda: world.topics.events not in admin.list_topics(), "the topic is gone")
    admin.close()
    ensure_topics(world.topics.brokers, plans=PLANS, prefix=world.topics.prefix)
    late = world.feed()
    late.start()

    assert isinstance(stop_of(late), RecordsLost)


def reports(world: FeedWorld) -> list[dict[str, Any]]:
    """Return the messages of the topic `errors`."""
    found = read_topic(world.topics.bootstrap, world.topics.errors)
    return [msgspec.json.decode(each.value) for records in found.values() for each in records]


def _made(directory: Path) -> Path:
    directory.mkdir()
    return directory
