"""Processes that follow the log until they are told to stop: projections and the publisher."""

import logging
import signal
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from types import FrameType
from typing import Final, Literal, Protocol

from api.deployment import Deployment, deployment_of
from api.logs import configure_logging
from api.making import make_publisher, views_part
from api.metrics import Metrics
from api.monitor import Monitor
from api.parts import Part as WatchedPart
from api.parts import PublisherPart, StandbyPart, StorePart
from api.settings import Settings
from api.settings_sources import BadSetting
from eventstore.errors import StoreLocked
from projections.database import ViewStore
from projections.runner import ProjectionRunner
from projections.view_set import MARKETS
from projections.views import Views

WATCH_EVERY_S: Final = 0.1
STANDBY_EVERY_S: Final = 0.5
MARKETS_GROUP: Final = "foldex-markets"
"""Of the Kafka consumers that share the views of markets."""

Source = Literal["store", "kafka"]

_log = logging.getLogger(__name__)


class Part(Protocol):
    """Something that works in a thread of its own. `failed`: why it stopped by itself."""

    failed: BaseException | None

    def start(self) -> None:
        """Begin."""

    def stop(self) -> None:
        """Finish what is under way, and end."""


def run_projections(
    settings: Settings,
    *,
    source: Source,
    groups: Sequence[str],
    on_ready: Callable[[str], None] = lambda text: None,
) -> int:
    """Keep groups of views exact until SIGTERM or SIGINT; return the exit code.

    From the store one process folds a group at a time, and others stand by; from Kafka any number
    share the markets.
    Returns: 0 after a graceful end, 1 when it failed: start it again.
    Raises: StoreError, ViewsBroken, BadSetting: what cannot be used, and what to do.
    """
    if source == "kafka" and list(groups) != [MARKETS]:
        raise BadSetting("only the views of markets can be folded from Kafka: --only markets")
    if source == "kafka" and not settings.kafka:
        raise BadSetting("FOLDEX_KAFKA is needed to fold from Kafka")
    configure_logging(settings)
    stop = _stop_on_signals()
    there = deployment_of(settings)
    right = StandbyPart()
    with ExitStack() as opened:
        monitor = _monitor(settings, right, opened)
        views = opened.enter_context(closing(there.open_views()))
        part: Part
        if source == "kafka":
            store = opened.enter_context(there.open_store())
            part = _feed(settings, views)
        else:
            if not _lock(there, groups, opened, stop, on_ready):
                return 0
            store = opened.enter_context(there.open_store())
            part = ProjectionRunner(store.log, views, groups=groups)
        right.writes = True
        reader = opened.enter_context(closing(Views(views)))
        log = StorePart(store)
        monitor.watch(log)
        monitor.watch(views_part(settings, reader, lambda: log.position, part))
        # Nothing asks any more when what is asked is closed.
        opened.callback(monitor.stop)
        return _follow(f"the projections of {' and '.join(groups)}", part, stop, on_ready)


def _feed(settings: Settings, views: ViewStore) -> Part:
    # Only who folds from Kafka waits for its client.
    from api.brokers import brokers_of  # noqa: PLC0415
    from eventstore.kafka_topics import ERRORS_TOPIC, EVENTS_TOPIC  # noqa: PLC0415
    from projections.kafka_feed import KafkaFeed  # noqa: PLC0415

    prefix = settings.kafka_prefix
    return KafkaFeed(
        views,
        brokers_of(settings),
        topic=prefix + EVENTS_TOPIC,
        errors_topic=prefix + ERRORS_TOPIC,
        group=prefix + MARKETS_GROUP,
    )


def run_publisher(
    settings: Settings, *, on_ready: Callable[[str], None] = lambda text: None
) -> int:
    """Relay the log to Kafka until SIGTERM or SIGINT; return the exit code, as `run_projections`.

    Raises: StoreError, BadSetting.
    """
    if not settings.kafka:
        raise BadSetting("FOLDEX_KAFKA is needed: HOST:PORT of the brokers")
    configure_logging(settings)
    stop = _stop_on_signals()
    there = deployment_of(settings)
    with ExitStack() as opened:
        store = opened.enter_context(there.open_store())
        publisher = make_publisher(there, settings, store, opened)
        _monitor(settings, PublisherPart(publisher), opened).watch(StorePart(store))
        return _follow("the publisher", publisher, stop, on_ready)


def _monitor(settings: Settings, part: WatchedPart, opened: ExitStack) -> Monitor:
    """Return what watches a part, begun; opened: stops it."""
    monitor = Monitor(settings, Metrics(), [part])
    opened.callback(monitor.stop)
    monitor.start()
    return monitor


def _follow(name: str, part: Part, stop: threading.Event, on_ready: Callable[[str], None]) -> int:
    """Run a part until it is to stop, or fails. Raises: what starting it raises."""
    try:
        part.start()
        on_ready(f"Following the log: {name}")
        while part.failed is None and not stop.wait(WATCH_EVERY_S):
            pass
    finally:
        part.stop()
    error = part.failed
    if error is not None:
        _log.error("%s failed (%s: %s): ending", name, type(error).__name__, error)
    return 0 if error is None else 1


def _lock(
    there: Deployment,
    groups: Sequence[str],
    opened: ExitStack,
    stop: threading.Event,
    on_standby: Callable[[str], None],
) -> bool:
    """Be the one that folds these groups, waiting for it; return False when told to stop before."""
    said = False
    while not stop.is_set():
        with ExitStack() as taken:
            try:
                for group in sorted(groups):
                    taken.enter_context(there.lock(f"projections-{group}"))
            except StoreLocked as error:
                if not said:
                    on_standby(f"Standing by: {error}")
                said = True
            else:
                opened.push(taken.pop_all())
                return True
        stop.wait(STANDBY_EVERY_S)
    return False


def _stop_on_signals() -> threading.Event:
    """Return what SIGTERM and SIGINT set."""
    stop = threading.Event()

    def told(number: int, frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, told)
    return stop
