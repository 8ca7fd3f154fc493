"""An exchange whose views of markets are folded from Kafka, as tests drive it."""

import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

from eventstore.memory import open_memory
from eventstore.published import SQLitePublished
from eventstore.publisher import Publisher
from projections.compare import Difference, compare
from projections.kafka_feed import KafkaFeed
from projections.postgres import PostgresViews
from projections.runner import ProjectionRunner, rebuild
from projections.sqlite import SQLiteViews
from projections.view_set import ACCOUNTS, EVENT_ROWS
from projections.views import Views
from tests.day import Day
from tests.kafka_world import Topics
from tests.waiting import until

COMMANDS = 300


class FeedWorld:
    """A log that goes on, its publisher, and views: accounts from the log, markets from Kafka."""

    def __init__(
        self, topics: Topics, directory: Path, resources: ExitStack, views_url: str = ""
    ) -> None:
        self.topics = topics
        self.directory = directory
        self._place = views_url or str(directory / "kafka")
        self._resources = resources
        self.day = Day(resources.enter_context(open_memory()))
        self.day.go_on(COMMANDS)
        positions = SQLitePublished(directory)
        resources.callback(positions.close)
        self.publisher = Publisher(
            self.day.log, positions, topics.brokers, topic=topics.events, clock_ms=lambda: 0
        )
        resources.callback(self.publisher.stop)
        self.store = PostgresViews(views_url) if views_url else SQLiteViews(Path(self._place))
        resources.callback(self.store.close)
        self.views = Views(self.store)
        resources.callback(self.views.close)
        rebuild(self.day.log, self.store)
        self._accounts = ProjectionRunner(self.day.log, self.store, groups=[ACCOUNTS, EVENT_ROWS])
        resources.callback(self._accounts.stop)

    def feed(self, group: str = "") -> KafkaFeed:
        """Return a worker; without a group's name it shares the partitions with all others."""
        feed = KafkaFeed(
            self.store,
            self.topics.brokers,
            topic=self.topics.events,
            errors_topic=self.topics.errors,
            group=self.topics.prefix + group,
            session_timeout_ms=6_000,
        )
        self._resources.callback(feed.stop)
        return feed

    def child(self, group: str = "") -> "subprocess.Popen[bytes]":
        """Return such a worker in a process of its own."""
        topics = self.topics
        child = subprocess.Popen(
            [
                *(sys.executable, "-m", "tests.simulation.feed_child", self._place),
                *(topics.bootstrap, topics.prefix, topics.prefix + group),
            ]
        )
        self._resources.callback(child.wait)
        self._resources.callback(child.kill)
        return child

    def go_on(self, commands: int = COMMANDS) -> None:
        """Let more happen, publish it, and fold it into the views of accounts."""
        self.day.go_on(commands)
        self.publish()
        self.fold_accounts()

    def fold_accounts(self) -> None:
        while self._accounts.run_once():
            pass

    def publish(self) -> None:
        while self.publisher.run_once():
            pass

    @property
    def is_complete(self) -> bool:
        return self.views.position() == self.day.log.head.position

    def differences(self) -> list[Difference]:
        """Return how the views differ from views that are folded from the log alone."""
        reference = SQLiteViews(self.directory / "store")
        rebuild(self.day.log, reference)
        views = Views(reference)
        try:
            return compare(self.views, views)
        finally:
            views.close()

    def require_exact(self) -> None:
        until(lambda: self.is_complete, "the views are complete")
        assert self.differences() == []
