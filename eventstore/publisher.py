"""Relays the log to Kafka: every event at least once, in order per stream.

A crash at any moment makes some events appear twice, never out of order and never not at all:
the position is moved only after the brokers have acknowledged everything up to it.
"""

import logging
import time
from collections.abc import Callable
from typing import Final

import msgspec

from domain.events import stream_of
from eventstore.background import Background
from eventstore.commit import GENESIS, Commit, Head
from eventstore.errors import NoStore, StoreDamaged, StoreError, StoreTooNew
from eventstore.kafka_brokers import Brokers
from eventstore.kafka_errors import BusError, BusUnavailable, OtherLog, PublisherOvertaken
from eventstore.kafka_markers import last_marker
from eventstore.kafka_topics import EVENTS_TOPIC
from eventstore.kafka_writer import TopicWriter
from eventstore.messages import (
    POSITION,
    PREVIOUS,
    REACHED,
    encode_event,
    encode_marker,
    partition_of,
)
from eventstore.published import Published, PublishedPositions
from eventstore.store import Log

COMMITS_PER_PAGE: Final = 5
EVENTS_PER_BATCH: Final = 4_000
"""A batch ends with the page that reaches it."""
MARKER_INTERVAL_S: Final = 0.05
IDLE_S: Final = 0.25
STANDBY_S: Final = 0.5
RETRY_FIRST_S: Final = 0.1
RETRY_MAX_S: Final = 5.0

_log = logging.getLogger(__name__)


class Lag(msgspec.Struct, frozen=True):
    """How far the topic is behind the log. ms: the age of the oldest event not yet published."""

    events: int
    ms: int


class Publisher:
    """One relay from a log to one topic. `failed`: why it stopped by itself, if it did.

    clock_ms: ms UTC, for the lag only. topic: must exist (`ensure_topics`).
    """

    def __init__(
        self,
        log: Log,
        positions: PublishedPositions,
        brokers: Brokers,
        *,
        clock_ms: Callable[[], int],
        topic: str = EVENTS_TOPIC,
    ) -> None:
        self.failed: BaseException | None = None
        self.standing_by = False
        self._log = log
        self._positions = positions
        self._brokers = brokers
        self._clock_ms = clock_ms
        self._topic = topic
        self._relay: _Relay | None = None
        self._head = GENESIS
        self._failures = 0
        self._thread = Background("publisher", self._run)

    @property
    def position(self) -> int:
        """The position of the last event that is known to be in the topic."""
        return self._head.position

    @property
    def connected(self) -> bool:
        """Whether the brokers answered when they were last needed."""
        return self._relay is not None

    def lag(self) -> Lag:
        """Return how far behind it is. Raises: StoreError."""
        head = self._head
        waiting = self._log.read(head.number, 1, previous=head)
        if not waiting:
            return Lag(0, 0)
        events = self._log.stored_head().position - head.position
        return Lag(events, max(0, self._clock_ms() - waiting[0].time_ms))

    def start(self) -> None:
        """Publish from now on, in a thread; while another publisher does, stand by."""
        self._thread.start()

    def stop(self) -> None:
        """Stop after the batch at hand; what is left is published next time."""
        self._thread.stop()
        self._disconnect()
        self._positions.unlock()

    def run_once(self) -> int:
        """Publish the next few commits; return how many events. Connects if need be.

        Raises: BusUnavailable, PublisherOvertaken: another try may work; TopicUnusable;
        OtherLog; StoreError. Whatever was raised, the next call begins after what is known to be
        in the topic.
        """
        try:
            relay = self._connected()
            commits = _read_batch(self._log, relay.published.head)
            count = relay.publish(commits)
        except BaseException:
            self._disconnect()
            raise
        self._head = relay.published.head
        return count

    def _connected(self) -> "_Relay":
        if self._relay is None:
            self._relay = _Relay(self._brokers, self._topic, self._positions)
            marker = last_marker(self._brokers, self._topic)
            if marker is not None:
                there = Head(marker.commit, marker.reached, bytes.fromhex(marker.seal))
                _require_of_log(self._log, there, self._topic)
            _require_of_log(self._log, self._relay.published.head, self._topic)
            self._head = self._relay.published.head
        return self._relay

    def _disconnect(self) -> None:
        if self._relay is not None:
            self._relay.close()
            self._relay = None

    def _run(self) -> None:
        while self.failed is None and not self._thread.stopping:
            try:
                self._follow_a_while()
            except (StoreError, BusError) as error:
                self._try_again(error)
            except Exception as error:  # noqa: BLE001  going on could publish a wrong thing
                self._fail(error)

    def _follow_a_while(self) -> None:
        """Publish one batch, or wait for something to publish."""
        self.standing_by = not self._positions.try_lock()
        if self.standing_by:
            self._thread.rest(STANDBY_S)
            return
        if not self.run_once():
            self._log.wait(self._head.number, IDLE_S)
        if self._failures:
            _log.info("publishing goes on at position %d", self.position)
            self._failures = 0

    def _try_again(self, error: StoreError | BusError) -> None:
        """Wait before the next try, longer each time; it is logged once."""
        if not _may_pass(error):
            return self._fail(error)
        if not self._failures:
            _log.warning("publishing waits at position %d: %s", self.position, error)
        # A lost connection to the database has also lost the lock that was held by it.
        self._positions.unlock()
        self._thread.rest(min(RETRY_FIRST_S * 2.0 ** min(self._failures, 10), RETRY_MAX_S))
        self._failures += 1
        return None

    def _fail(self, error: BaseException) -> None:
        trace = None if isinstance(error, BusError) else error
        _log.error("the publisher stopped at position %d: %s", self.position, error, exc_info=trace)
        self.failed = error
        self._disconnect()


class _Relay:
    """A connection to the topic, and how far the topic is."""

    def __init__(self, brokers: Brokers, topic: str, positions: PublishedPositions) -> None:
        self._topic = topic
        self._positions = positions
        self._writer = TopicWriter(brokers, topic)
        try:
            known = positions.load(self._writer.topic_id)
        except BaseException:
            self._writer.close()
            raise
        if known is None:
            _log.info("publishing to %s from the first event", topic)
        self.published = known or Published.nothing(self._writer.partitions)
        self._last = list(self.published.last)
        self._time_ms = 0
        self._marked = GENESIS
        self._marked_at_s = 0.0

    def publish(self, commits: list[Commit]) -> int:
        """Write commits that follow `published`, and a marker when it is time for one."""
        for commit in commits:
            self._add(commit)
            self._time_ms = commit.time_ms
        head = commits[-1].head if commits else self.published.head
        self._mark(head, idle=not commits)
        self._writer.flush()
        if not commits:
            return 0
        published = Published(head, tuple(self._last))
        self._positions.move(self._writer.topic_id, self._topic, published)
        count = head.position - self.published.head.position
        self.published = published
        return count

    def close(self) -> None:
        self._writer.close()

    def _add(self, commit: Commit) -> None:
        last, add, partitions = self._last, self._writer.add, self._writer.partitions
        for position, event in enumerate(commit.events, commit.first_position):
            stream = stream_of(event)
            partition = partition_of(stream, partitions)
            headers = ((POSITION, b"%d" % position), (PREVIOUS, b"%d" % last[partition]))
            value = encode_event(position, stream, event)
            add(partition, stream.encode(), value, headers, event.time_ms)
            last[partition] = position

    def _mark(self, head: Head, *, idle: bool) -> None:
        """Say in every partition how far it is complete; while busy not more often than needed."""
        now_s = time.monotonic()
        if head == self._marked or (now_s - self._marked_at_s < MARKER_INTERVAL_S and not idle):
            return
        value = encode_marker(head, self._time_ms)
        for partition, last in enumerate(self._last):
            headers = ((REACHED, b"%d" % head.position), (PREVIOUS, b"%d" % last))
            self._writer.add(partition, None, value, headers, self._time_ms)
        self._marked = head
        self._marked_at_s = now_s


def _read_batch(log: Log, head: Head) -> list[Commit]:
    """Return the commits after a head: enough of them that a flush is worth its wait."""
    batch: list[Commit] = []
    events = 0
    while events < EVENTS_PER_BATCH:
        commits = log.read(head.number, COMMITS_PER_PAGE, previous=head)
        if not commits:
            break
        batch += commits
        head = commits[-1].head
        events += sum(len(commit.events) for commit in commits)
    return batch


def _require_of_log(log: Log, head: Head, topic: str) -> None:
    """Raises: OtherLog: the log has no such commit, or another one in its place."""
    if head.number and log.head_at(head.number) != head:
        raise OtherLog(
            f"{topic} was published up to event {head.position}, which is beyond the end of this"
            " log or not the same in it: events were lost, or it is another log's topic; verify"
            " the log, and publish another log to topics of its own"
        )


def _may_pass(error: Exception) -> bool:
    """Return whether trying again may help: a broker or database that does not answer now."""
    if isinstance(error, BusError):
        return isinstance(error, BusUnavailable | PublisherOvertaken)
    return not isinstance(error, StoreDamaged | StoreTooNew | NoStore)
