"""The composition root: the one place where the parts of a running exchange are put together."""

import os
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Self

from api.deployment import Deployment, deployment_of
from api.engine_local import LocalEngine
from api.engine_port import EnginePort
from api.gateway import Gateway
from api.keys import KeyStore
from api.security import Verifier
from api.settings import Settings
from api.snapshotter import Snapshotter
from commands.engine import Engine
from eventstore.store import Store
from projections.runner import ProjectionRunner
from projections.views import Views


def system_clock_ms() -> int:
    """Return the time in ms since 1970 UTC: the only clock that business time comes from."""
    return time.time_ns() // 1_000_000


@dataclass(slots=True, kw_only=True)
class Frontend:
    """What serves the API: the views and keys, and the way to an engine, wherever that runs."""

    settings: Settings
    deployment: Deployment
    views: Views
    keys: KeyStore
    gateway: Gateway
    verifier: Verifier

    def start(self) -> None:
        """Begin. The way to the engine begins on the event loop: `Gateway.open`."""

    def stop(self) -> None:
        """End, and close everything."""
        with ExitStack() as last_to_first:
            last_to_first.callback(self.keys.close)
            last_to_first.callback(self.views.close)
            last_to_first.callback(self.gateway.stop)

    @property
    def failed(self) -> BaseException | None:
        """Why it stopped by itself, if it did: then the process has to end."""
        return None

    @property
    def ready(self) -> bool:
        """Whether commands are taken."""
        return self.failed is None and self.gateway.ready

    def __enter__(self) -> Self:
        """Start; what was opened is closed again when that fails."""
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()


@dataclass(slots=True, kw_only=True)
class Foldex(Frontend):
    """A whole exchange in one process."""

    store: Store
    engine: Engine
    runner: ProjectionRunner
    snapshotter: Snapshotter

    def start(self) -> None:
        """Recover, take commands, let the views follow.

        Raises: StoreError: the store is damaged, newer than this version, or another's.
        """
        self.engine.start()
        self.runner.start()
        self.snapshotter.start()

    def stop(self) -> None:
        """Take no more commands, finish those taken, let the views end on a commit, close.

        Whatever was acknowledged is durable already; this makes the next start quick.
        """
        with ExitStack() as last_to_first:
            # Each part is closed even when one before it fails to.
            last_to_first.callback(self.store.close)
            last_to_first.callback(self.keys.close)
            last_to_first.callback(self.views.close)
            last_to_first.callback(self.runner.stop)
            last_to_first.callback(self.engine.stop)
            last_to_first.callback(self.gateway.stop)
            last_to_first.callback(self.snapshotter.stop)

    @property
    def failed(self) -> BaseException | None:
        """Why the exchange stopped by itself, if it did: then the process has to end."""
        return self.engine.failed or self.runner.failed


def bootstrap(settings: Settings, *, clock_ms: Callable[[], int] = system_clock_ms) -> Foldex:
    """Return a whole exchange, with nothing running yet: `start` it.

    Raises: StoreError: the store cannot be opened, and what to do; KeyStoreError: the keys.
    """
    deployment = deployment_of(settings)
    with ExitStack() as undo:
        store = deployment.open_store(create=True, for_writing=True)
        undo.callback(store.close)
        keys = deployment.open_keys()
        undo.callback(keys.close)
        runner = deployment.runner(store.log)
        views = deployment.open_views()
        undo.callback(views.close)
        engine = make_engine(store, clock_ms)
        gateway = _gateway(settings, LocalEngine(engine, clock_ms), views, clock_ms)
        undo.pop_all()
        return Foldex(
            settings=settings,
            deployment=deployment,
            store=store,
            engine=engine,
            runner=runner,
            views=views,
            keys=keys,
            gateway=gateway,
            verifier=Verifier(keys.find, clock_ms),
            snapshotter=make_snapshotter(deployment, settings, engine),
        )


def make_engine(store: Store, clock_ms: Callable[[], int]) -> Engine:
    """Return the writer of a store that was opened for writing; not started."""
    writer = f"{socket.gethostname()}:{os.getpid()}"
    return Engine(store.log, store.snapshots, clock_ms=clock_ms, writer=writer)


def make_snapshotter(deployment: Deployment, settings: Settings, engine: Engine) -> Snapshotter:
    """Return what keeps a recent snapshot of an engine's state."""
    return Snapshotter(
        deployment,
        lambda: engine.exchange.position,
        every_events=settings.snapshot_every_events,
    )


def _gateway(
    settings: Settings, engine: EnginePort, views: Views, clock_ms: Callable[[], int]
) -> Gateway:
    return Gateway(
        engine,
        views,
        clock_ms=clock_ms,
        command_timeout_s=settings.command_timeout_s,
        view_wait_s=settings.view_wait_s,
        query_threads=settings.query_threads,
    )
