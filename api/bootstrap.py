"""The composition root: the one place where the parts of a running exchange are put together."""

import os
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

from api.gateway import Gateway
from api.keys import KeyStore
from api.security import Verifier
from api.settings import Settings
from api.snapshotter import Snapshotter
from commands.engine import Engine
from eventstore.sqlite import open_sqlite
from eventstore.store import Store
from projections.runner import ProjectionRunner
from projections.views import Views


def system_clock_ms() -> int:
    """Return the time in ms since 1970 UTC: the only clock that business time comes from."""
    return time.time_ns() // 1_000_000


@dataclass(slots=True, kw_only=True)
class Foldex:
    """A running exchange and its parts."""

    settings: Settings
    store: Store
    engine: Engine
    runner: ProjectionRunner
    views: Views
    keys: KeyStore
    gateway: Gateway
    verifier: Verifier
    snapshotter: Snapshotter
    _running: bool = False

    def start(self) -> None:
        """Recover, take commands, let the views follow.

        Raises: StoreError: the store is damaged, newer than this version, or another's.
        """
        self.engine.start()
        self._running = True
        self.runner.start()
        self.snapshotter.start()

    def stop(self) -> None:
        """Take no more commands, finish those taken, let the views end on a commit, close.

        Whatever was acknowledged is durable already; this makes the next start quick.
        """
        self._running = False
        with ExitStack() as last_to_first:
            # Each part is closed even when one before it fails to.
            last_to_first.callback(self.store.close)
            last_to_first.callback(self.keys.close)
            last_to_first.callback(self.views.close)
            last_to_first.callback(self.runner.stop)
            last_to_first.callback(self.engine.stop)
            last_to_first.callback(self.gateway.close)
            last_to_first.callback(self.snapshotter.stop)

    @property
    def failed(self) -> BaseException | None:
        """Why the exchange stopped by itself, if it did: then the process has to end."""
        return self.engine.failed or self.runner.failed

    @property
    def ready(self) -> bool:
        """Whether commands are taken and the views follow."""
        return self._running and self.failed is None and self.engine.running

    def __enter__(self) -> "Foldex":
        """Start; what was opened is closed again when that fails."""
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()


def bootstrap(settings: Settings, *, clock_ms: Callable[[], int] = system_clock_ms) -> Foldex:
    """Return an exchange on the data directory, with nothing running yet: `start` it.

    Raises: StoreError: the store cannot be opened, and what to do; KeyStoreError: the keys.
    """
    with ExitStack() as undo:
        store = open_sqlite(settings.data, for_writing=True)
        undo.callback(store.close)
        keys = KeyStore(settings.data, settings.master_key.get_secret_value())
        undo.callback(keys.close)
        runner = ProjectionRunner(store.log, settings.data)
        views = Views(settings.data)
        undo.callback(views.close)
        engine = Engine(
            store.log,
            store.snapshots,
            clock_ms=clock_ms,
            writer=f"{socket.gethostname()}:{os.getpid()}",
        )
        gateway = Gateway(
            engine,
            views,
            runner,
            clock_ms=clock_ms,
            command_timeout_s=settings.command_timeout_s,
            view_wait_s=settings.view_wait_s,
            query_threads=settings.query_threads,
        )
        undo.pop_all()
        return Foldex(
            settings=settings,
            store=store,
            engine=engine,
            runner=runner,
            views=views,
            keys=keys,
            gateway=gateway,
            verifier=Verifier(keys.find, clock_ms),
            snapshotter=Snapshotter(
                settings.data,
                lambda: engine.exchange.position,
                every_events=settings.snapshot_every_events,
            ),
        )
