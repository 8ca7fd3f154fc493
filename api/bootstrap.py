"""The composition root: the one place where the parts of a running exchange are put together."""

from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from api.certificate_metric import watch_certificate
from api.clock import system_clock_ms
from api.deployment import Deployment, deployment_of
from api.engine_local import LocalEngine
from api.engine_place import engine_client_of
from api.engine_port import EnginePort
from api.fence import FenceWatch
from api.gateway import Gateway
from api.keys import KeyStore
from api.making import make_engine, make_publisher, make_snapshotter, views_part
from api.metrics import Metrics
from api.monitor import Monitor
from api.parts import (
    EnginePart,
    LinkPart,
    LoopPart,
    Part,
    PublisherPart,
    StorePart,
    ThreadPart,
)
from api.rate_limits import RateLimits
from api.security import Verifier
from api.settings import Settings
from api.snapshotter import Snapshotter
from commands.engine import Engine
from eventstore.store import Store
from projections.database import ViewStore
from projections.runner import ProjectionRunner
from projections.view_set import GROUPS
from projections.views import Views
from wallet.desk import Desk

if TYPE_CHECKING:
    from api.custody_part import CustodyPart
    from eventstore.publisher import Publisher
    from wallet.kafka_bus import KafkaBus


@dataclass(slots=True, kw_only=True)
class Frontend:
    """What serves the API: the views and keys, and the way to an engine, wherever that runs.

    resources: closes all of it, the last first, and each also when one before it fails to. desk:
    where a chain is connected.
    """

    settings: Settings
    deployment: Deployment
    views: Views
    keys: KeyStore
    gateway: Gateway
    verifier: Verifier
    rates: RateLimits
    monitor: Monitor
    loop: LoopPart
    resources: ExitStack
    desk: Desk | None = None

    def start(self) -> None:
        """Begin. The way to the engine begins on the event loop: `Gateway.open`."""
        self.monitor.start()

    def stop(self) -> None:
        """Take no more commands, finish what is under way, and close everything.

        Whatever was acknowledged is durable already; this makes the next start quick.
        """
        self.resources.close()

    @property
    def failed(self) -> BaseException | None:
        """Why it stopped by itself, if it did: then the process has to end."""
        return self.gateway.failed

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
    """A whole exchange in one process. publisher: where there is a Kafka to publish to."""

    store: Store
    engine: Engine
    runner: ProjectionRunner
    fence: FenceWatch
    snapshotter: Snapshotter
    publisher: "Publisher | None"
    custody: "CustodyPart | None" = None
    bus: "KafkaBus | None" = None

    def start(self) -> None:
        """Recover, take commands, let the views follow.

        Raises: StoreError: the store is damaged, newer than this version, or another's.
        """
        self.monitor.start()
        self.engine.start()
        self.fence.start()
        self.runner.start()
        self.snapshotter.start()
        if self.publisher is not None:
            self.publisher.start()
        if self.settings.ethereum_url:
            self.start_custody(self.settings)

    def start_custody(self, settings: Settings) -> None:
        """Connect the chain that the settings name, and run custody beside the engine.

        Raises: BadSetting; WalletError: the node or the signer does not answer, or is another.
        """
        from api.custody_setup import (  # noqa: PLC0415  Without a chain none of it is waited for.
            open_bus,
            open_custody,
            open_desk,
            start_custody,
        )

        opened = self.resources
        custody = open_custody(
            settings,
            self.deployment,
            opened,
            send=self.engine.execute,
            log=self.store.log,
            clock_ms=self.gateway.clock_ms,
        )
        self.desk = open_desk(settings, self.deployment, opened)
        self.custody = start_custody(settings, self.deployment, opened, custody, self.store.log)
        self.monitor.watch(self.custody)
        if settings.kafka:
            self.bus = open_bus(
                settings,
                self.deployment,
                opened,
                send=self.engine.execute,
                log=self.store.log,
                clock_ms=self.gateway.clock_ms,
            )
            opened.callback(self.bus.stop)
            self.bus.start()

    @property
    def failed(self) -> BaseException | None:
        """Why the exchange stopped by itself, if it did: then the process has to end."""
        published = None if self.publisher is None else self.publisher.failed
        custody = None if self.custody is None else self.custody.failed
        bus = None if self.bus is None else self.bus.failed
        parts = (
            self.gateway.failed,
            self.fence.failed,
            self.runner.failed,
            published,
            custody,
            bus,
        )
        return next((failure for failure in parts if failure is not None), None)


def bootstrap(settings: Settings, *, clock_ms: Callable[[], int] = system_clock_ms) -> Foldex:
    """Return a whole exchange, with nothing running yet: `start` it.

    Raises: StoreError: the store cannot be opened, and what to do; KeyStoreError: the keys.
    """
    deployment = deployment_of(settings)
    with ExitStack() as opened:
        store = opened.enter_context(deployment.open_store(create=True, for_writing=True))
        keys, views, kept = _open_for_reading(deployment, opened)
        for group in GROUPS:
            opened.enter_context(deployment.lock(f"projections-{group}"))
        runner = ProjectionRunner(store.log, kept)
        opened.callback(runner.stop)
        publisher = None
        if settings.kafka:
            publisher = make_publisher(deployment, settings, store, opened, clock_ms)
        metrics = Metrics()
        engine = make_engine(store, clock_ms, metrics)
        opened.callback(engine.stop)
        fence = FenceWatch(store.log)
        opened.callback(fence.stop)
        gateway = _gateway(settings, LocalEngine(engine, clock_ms), views, clock_ms)
        opened.callback(gateway.stop)
        snapshotter = make_snapshotter(deployment, settings, engine)
        opened.callback(snapshotter.stop)
        loop = LoopPart()
        parts: list[Part] = [
            loop,
            EnginePart(engine),
            ThreadPart("fence", fence),
            StorePart(store),
            views_part(settings, views, lambda: engine.exchange.position, runner),
        ]
        if publisher is not None:
            parts.append(PublisherPart(publisher))
        monitor = Monitor(settings, metrics, parts)
        opened.callback(monitor.stop)
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
            rates=RateLimits(settings),
            fence=fence,
            snapshotter=snapshotter,
            publisher=publisher,
            monitor=monitor,
            loop=loop,
            resources=opened.pop_all(),
        )


def bootstrap_api(settings: Settings, *, clock_ms: Callable[[], int] = system_clock_ms) -> Frontend:
    """Return what serves the API beside an engine in another process, which the settings name.

    Raises: KeyStoreError: the keys cannot be used; StoreError; BadSetting: its certificates cannot.
    """
    deployment = deployment_of(settings)
    with ExitStack() as opened:
        keys, views, _ = _open_for_reading(deployment, opened)
        engine = engine_client_of(settings)
        gateway = _gateway(settings, engine, views, clock_ms)
        opened.callback(gateway.stop)
        loop = LoopPart()
        followed = views_part(settings, views, lambda: engine.position)
        monitor = Monitor(settings, Metrics(), [loop, LinkPart(engine), followed])
        watch_certificate(settings, "client", monitor.metrics)
        opened.callback(monitor.stop)
        desk = _desk(settings, deployment, opened) if settings.ethereum_url else None
        return Frontend(
            desk=desk,
            settings=settings,
            deployment=deployment,
            views=views,
            keys=keys,
            gateway=gateway,
            verifier=Verifier(keys.find, clock_ms),
            rates=RateLimits(settings),
            monitor=monitor,
            loop=loop,
            resources=opened.pop_all(),
        )


def _desk(settings: Settings, deployment: Deployment, opened: ExitStack) -> Desk:
    from api.custody_setup import open_desk  # noqa: PLC0415  As in `start_custody`.

    return open_desk(settings, deployment, opened)


def _open_for_reading(
    deployment: Deployment, opened: ExitStack
) -> tuple[KeyStore, Views, ViewStore]:
    keys = opened.enter_context(closing(deployment.open_keys(create=True)))
    kept = opened.enter_context(closing(deployment.open_views()))
    views = opened.enter_context(closing(Views(kept)))
    return keys, views, kept


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
