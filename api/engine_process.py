"""The engine's own process: stands by while another one writes, then recovers and serves."""

import asyncio
import contextlib
import logging
import signal
from collections.abc import Callable
from contextlib import ExitStack
from typing import Final

import uvloop

from api.certificate_metric import watch_certificate
from api.clock import system_clock_ms
from api.deployment import Deployment, deployment_of
from api.engine_local import LocalEngine
from api.engine_place import PLAIN_ADVICE, tls_of
from api.engine_server import EngineServer
from api.engine_tls import ServerTls
from api.fence import FenceWatch
from api.logs import configure_logging
from api.making import make_engine, make_snapshotter
from api.metrics import Metrics
from api.monitor import Monitor
from api.parts import EnginePart, LoopPart, StandbyPart, StorePart, ThreadPart
from api.settings import Settings, is_loopback
from api.settings_sources import BadSetting
from commands.engine import Engine
from eventstore.errors import StoreLocked
from eventstore.store import Store

WATCH_EVERY_S: Final = 0.1
STANDBY_WAIT_S: Final = 0.5
"""How long one try to become the writer waits, and with it a signal to stop."""

_log = logging.getLogger(__name__)

OnReady = Callable[[str, int], None]


def run_engine(
    settings: Settings,
    *,
    on_ready: OnReady = lambda host, port: None,
    on_standby: Callable[[str], None] = lambda reason: None,
) -> int:
    """Run the engine for API processes until SIGTERM or SIGINT; return the exit code.

    on_standby: called when another process writes, with who it is; on_ready: once commands are
    taken, with the address.
    Returns: 0 after a graceful end; 1 when the engine failed: start it again, it recovers.
    Raises: StoreError: the store cannot be used; BadSetting; OSError: the port is taken.
    """
    token = settings.engine_token.get_secret_value()
    if not token:
        raise BadSetting("FOLDEX_ENGINE_TOKEN is needed: the API processes show it to the engine")
    files = tls_of(settings, "server")
    tls = None if files is None else ServerTls(files)
    configure_logging(settings)
    if tls is None and not is_loopback(settings.engine_host):
        _log.warning("the link is plain TCP on %s: %s", settings.engine_host, PLAIN_ADVICE)
    return uvloop.run(_Process(settings, token, tls, on_ready, on_standby).run())


class _Process:
    """One run of an engine's process."""

    def __init__(
        self,
        settings: Settings,
        token: str,
        tls: ServerTls | None,
        on_ready: OnReady,
        on_standby: Callable[[str], None],
    ) -> None:
        self._settings = settings
        self._token = token
        self._tls = tls
        self._on_ready = on_ready
        self._on_standby = on_standby
        self._deployment: Deployment = deployment_of(settings)
        self._stop = asyncio.Event()
        self._metrics = Metrics()
        self._loop = LoopPart()
        self._right = StandbyPart()
        self._monitor = Monitor(settings, self._metrics, [self._loop, self._right])
        watch_certificate(settings, "server", self._metrics)

    async def run(self) -> int:
        """Stand by, serve, stop."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        with ExitStack() as opened:
            opened.callback(loop.create_task(self._turn()).cancel)
            opened.callback(self._monitor.stop)
            self._monitor.start()
            store = await self._become_writer()
            if store is None:
                return 0
            opened.enter_context(store)
            # Nothing asks the store any more when it is closed.
            opened.callback(self._monitor.stop)
            return await self._serve(store)

    async def _turn(self) -> None:
        while True:
            self._loop.turned()
            await asyncio.sleep(WATCH_EVERY_S)

    async def _become_writer(self) -> Store | None:
        """Return the store once no other process writes it; None when told to stop before."""
        said = False
        while not self._stop.is_set():
            try:
                return await asyncio.to_thread(
                    self._deployment.open_store,
                    create=True,
                    for_writing=True,
                    wait_s=STANDBY_WAIT_S,
                )
            except StoreLocked as error:
                if not said:
                    _log.info("standing by: %s", error)
                    self._on_standby(str(error))
                said = True
        return None

    async def _serve(self, store: Store) -> int:
        engine = make_engine(store, system_clock_ms, self._metrics)
        local = LocalEngine(engine, system_clock_ms)
        server = EngineServer(local, self._token, self._tls)
        snapshotter = make_snapshotter(self._deployment, self._settings, engine)
        fence = FenceWatch(store.log)
        self._right.writes = True
        for part in (EnginePart(engine), ThreadPart("fence", fence), StorePart(store)):
            self._monitor.watch(part)
        try:
            await asyncio.to_thread(engine.start)
            _log.info("the engine writes %s from %d on", self._deployment.place, local.position)
            host = self._settings.engine_host
            port = await server.start(host, self._settings.engine_port)
            snapshotter.start()
            fence.start()
            self._on_ready(host, port)
            failed = await self._until_it_ends(engine, fence)
        finally:
            await server.refuse_more()
            await asyncio.to_thread(snapshotter.stop)
            await asyncio.to_thread(fence.stop)
            await asyncio.to_thread(engine.stop, snapshot=fence.failed is None)
            await server.stop()
        return 1 if failed or engine.failed is not None else 0

    async def _until_it_ends(self, engine: Engine, fence: FenceWatch) -> bool:
        """Return whether it ends because it failed."""
        while not self._stop.is_set():
            error = engine.failed or fence.failed
            if error is not None:
                _log.error("the engine failed (%s: %s): ending", type(error).__name__, error)
                return True
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), WATCH_EVERY_S)
        return False
