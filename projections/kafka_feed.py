"""Keeps the views of markets from the topic `events`: any number of workers share its partitions.

What is folded and how far each partition is are written in one transaction, and only while the
partition is where this worker left it. So it does not matter what Kafka believes of who works on
what: a worker that slept through a change of partitions is refused, forgets what it has in memory
and begins again from the database.
"""

import logging
from contextlib import suppress
from typing import Any, Final

from kafka import KafkaConsumer
from kafka.errors import KafkaError, NoOffsetForPartitionError, OffsetOutOfRangeError

from domain.events import Event
from eventstore.background import Background
from eventstore.kafka_brokers import Brokers, connecting
from eventstore.kafka_errors import BusError, BusUnavailable, RecordsLost, TopicUnusable
from eventstore.kafka_topics import ERRORS_TOPIC, EVENTS_TOPIC, find_topic
from projections import kafka_offsets
from projections.database import Database, Overtaken, ViewStore, ViewsUnavailable
from projections.kafka_offsets import Reached, Source
from projections.kafka_records import BadRecord, read_records, report
from projections.view_set import MARKETS, MarketFold, is_of_this_version

POLL_MS: Final = 200
JOIN_POLL_MS: Final = 2_000
"""While it has no partitions: the client loses an assignment that comes while nobody polls."""
RECORDS_PER_BATCH: Final = 5_000
WAIT_FOR_VIEWS_S: Final = 0.5
SESSION_TIMEOUT_MS: Final = 10_000

_log = logging.getLogger(__name__)


class KafkaFeed:
    """One worker. `failed`: why it stopped by itself, if it did.

    The views must have been built from the store (`ProjectionRunner`, `rebuild`); the first worker
    that sees them takes the group "markets" over. group: of consumers, the same for all workers.
    """

    def __init__(
        self,
        store: ViewStore,
        brokers: Brokers,
        *,
        topic: str = EVENTS_TOPIC,
        errors_topic: str = ERRORS_TOPIC,
        group: str = "foldex-markets",
        session_timeout_ms: int = SESSION_TIMEOUT_MS,
    ) -> None:
        self.failed: BaseException | None = None
        self._store = store
        self._source = Source(brokers, topic)
        self._errors_topic = errors_topic
        self._group = group
        self._session_timeout_ms = session_timeout_ms
        self._consumer: Any = None
        self._db: Database | None = None
        self._topic_id = ""
        self._fold: MarketFold | None = None
        self._reached: dict[int, Reached] = {}
        self._thread = Background("kafka-feed", self._run)

    @property
    def reached(self) -> dict[int, int]:
        """The event position that each partition of this worker has reached in the views."""
        return {partition: each.position for partition, each in self._reached.items()}

    def start(self) -> None:
        """Fold what comes from now on, in a thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop after the batch at hand; other workers take the partitions over."""
        self._thread.stop()
        self._close()

    def run_once(self) -> int:
        """Fold the next few records; return how many there were. Connects if need be.

        Raises: PoisonRecord, RecordsLost: nothing of this batch is in the views; TopicUnusable;
        BusUnavailable; ViewsBroken; StoreTooNew; the database's errors.
        """
        try:
            return self._fold_batch()
        except Overtaken:
            _log.info("another worker has moved on what this one held: beginning again")
            self._forget()
            return 0
        except BadRecord as bad:
            report(self._source.brokers, self._errors_topic, bad)
            raise bad.error from bad
        except BaseException:
            self._forget()
            raise

    def _run(self) -> None:
        try:
            while not self._thread.stopping:
                self._run_or_wait()
        except Exception as error:  # noqa: BLE001  whatever it is, going on could skip an event
            trace = None if isinstance(error, BusError) else error
            _log.error("the feed of %s stopped: %s", self._source.topic, error, exc_info=trace)
            self.failed = error
            self._close()

    def _run_or_wait(self) -> None:
        try:
            self.run_once()
        except (BusUnavailable, ViewsUnavailable) as error:
            _log.warning("the feed of %s waits: %s", self._source.topic, error)
            self._thread.rest(WAIT_FOR_VIEWS_S)

    def _fold_batch(self) -> int:
        db = self._open()
        if db is None:
            self._thread.rest(WAIT_FOR_VIEWS_S)
            return 0
        polled = self._poll()
        if not polled:
            return 0
        with self._store.writing(db) as current:
            if not current:
                self._forget()
                return 0
            return self._write(db, polled)

    def _write(self, db: Database, polled: dict[int, list[Any]]) -> int:
        """Fold the records of several partitions, and write it with their new places."""
        events: list[tuple[int, Event]] = []
        moved: dict[int, Reached] = {}
        for partition, records in polled.items():
            found, moved[partition] = read_records(records, self._reached[partition])
            events += found
        assert self._fold is not None
        with db.transaction():
            # First of all: what the fold reads of a market is then as this worker left it. In the
            # same order in every worker, so that two never wait for each other.
            for partition in sorted(moved):
                kafka_offsets.move(db, partition, self._reached[partition], moved[partition])
            self._fold.fold(events)
            for write in self._fold.writes():
                db.write(write)
        self._reached.update(moved)
        return sum(map(len, polled.values()))

    def _poll(self) -> dict[int, list[Any]]:
        """Return new records by partition, only of those whose place this worker knows."""
        try:
            timeout_ms = POLL_MS if self._reached else JOIN_POLL_MS
            polled = self._consumer.poll(timeout_ms=timeout_ms, max_records=RECORDS_PER_BATCH)
        except NoOffsetForPartitionError:
            # Partitions that the group has just given to this worker, perhaps not for the first
            # time: what it held of them in memory may be out of date.
            polled = {}
            self._reached = {}
        except OffsetOutOfRangeError as error:
            raise RecordsLost(
                f"the topic {self._source.topic} no longer has what comes next ({error}): rebuild"
                " the views from the store"
            ) from error
        except KafkaError as error:
            raise BusUnavailable(f"{self._source.topic} cannot be read: {error!r}") from error
        if {place.partition for place in self._consumer.assignment()} != set(self._reached):
            self._enter()
            return {}
        return {place.partition: records for place, records in polled.items()}

    def _enter(self) -> None:
        """Begin at the places that the database says, in all partitions of this worker."""
        db, topic_id = self._db, self._topic_id
        assert db is not None
        known = kafka_offsets.load(db, topic_id)
        places = sorted(self._consumer.assignment())
        if not {place.partition for place in places} <= known.keys():
            raise TopicUnusable(
                f"{self._source.topic} has more partitions than the views were folded from:"
                " streams have moved between partitions; rebuild the views from the store"
            )
        for place in places:
            self._consumer.seek(place, known[place.partition].next_offset)
        self._reached = {place.partition: known[place.partition] for place in places}
        self._fold = MarketFold(db)
        _log.info("folding partitions %s of %s", sorted(self._reached), self._source.topic)

    def _open(self) -> Database | None:
        """Return the current views, taken over from the store; None while there are none."""
        name = self._store.current()
        if self._db is not None and self._db.name == name:
            return self._db
        self._forget()
        if name is None:
            return None
        db = self._store.open(name)
        try:
            if not is_of_this_version(db):
                db.close()
                return None
            self._topic_id = find_topic(self._source.brokers, self._source.topic).id
            if not kafka_offsets.load(db, self._topic_id):
                _log.info("taking the views of %s over from the store", MARKETS)
                kafka_offsets.take_over(db, self._source)
            self._connect()
        except BaseException:
            db.close()
            raise
        self._db = db
        return db

    def _connect(self) -> None:
        if self._consumer is not None:
            return
        with connecting(self._source.brokers) as settings:
            self._consumer = KafkaConsumer(
                self._source.topic,
                **settings,
                group_id=self._group,
                enable_auto_commit=False,  # The places are in the database.
                auto_offset_reset="none",
                session_timeout_ms=self._session_timeout_ms,
                heartbeat_interval_ms=self._session_timeout_ms // 4,
                max_poll_records=RECORDS_PER_BATCH,
                reconnect_backoff_max_ms=1_000,
                metrics_enabled=False,
            )

    def _forget(self) -> None:
        """Drop what is in memory: the next batch begins from the database."""
        self._reached = {}
        self._fold = None
        if self._db is not None:
            self._db.close()
            self._db = None

    def _close(self) -> None:
        self._forget()
        if self._consumer is not None:
            with suppress(KafkaError):
                self._consumer.close(autocommit=False)
            self._consumer = None
