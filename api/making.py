"""Parts that several kinds of processes are put together from, each made in one place."""

import os
import socket
from collections.abc import Callable
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING

from api.clock import system_clock_ms
from api.deployment import Deployment
from api.metrics import Metrics
from api.parts import Failing, ViewsPart
from api.settings import Settings
from api.snapshotter import Snapshotter
from commands.engine import Engine
from eventstore.store import Store
from projections.views import Views

if TYPE_CHECKING:
    from eventstore.publisher import Publisher


def make_engine(store: Store, clock_ms: Callable[[], int], metrics: Metrics) -> Engine:
    """Return the writer of a store that was opened for writing; not started."""
    return Engine(
        store.log,
        store.snapshots,
        clock_ms=clock_ms,
        writer=f"{socket.gethostname()}:{os.getpid()}",
        observer=metrics.engine,
    )


def views_part(
    settings: Settings,
    views: Views,
    end: Callable[[], int],
    runner: Failing | None = None,
) -> ViewsPart:
    """Return what watches the views. end: the log's; runner: who moves them on, if here."""
    lag_ms_max = settings.max_view_lag_ms
    return ViewsPart(views.position, end, lag_ms_max=lag_ms_max, runner=runner)


def make_snapshotter(deployment: Deployment, settings: Settings, engine: Engine) -> Snapshotter:
    """Return what keeps a recent snapshot of an engine's state."""
    return Snapshotter(
        deployment,
        lambda: engine.exchange.position,
        every_events=settings.snapshot_every_events,
    )


def make_publisher(
    deployment: Deployment,
    settings: Settings,
    store: Store,
    opened: ExitStack,
    clock_ms: Callable[[], int] = system_clock_ms,
) -> "Publisher":
    """Return what relays a store's log to Kafka; not started. opened: stops and closes it."""
    # Only who publishes waits for Kafka's client.
    from api.brokers import brokers_of  # noqa: PLC0415
    from eventstore.kafka_topics import EVENTS_TOPIC  # noqa: PLC0415
    from eventstore.publisher import Publisher  # noqa: PLC0415

    positions = opened.enter_context(closing(deployment.open_positions()))
    publisher = Publisher(
        store.log,
        positions,
        brokers_of(settings),
        clock_ms=clock_ms,
        topic=settings.kafka_prefix + EVENTS_TOPIC,
    )
    opened.callback(publisher.stop)
    return publisher
