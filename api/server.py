"""Serve the API over HTTP until told to stop, or until the exchange fails."""

import asyncio
import logging
import signal
import socket
from collections.abc import Callable
from types import FrameType
from typing import Final

import uvicorn

from api.app import create_app
from api.bootstrap import Foldex, Frontend, bootstrap, bootstrap_api
from api.logs import configure_logging
from api.settings import Settings

log = logging.getLogger("foldex.server")

WATCH_EVERY_S: Final = 0.1
DRAIN_S_MAX: Final = 10
"""How long requests under way may take after a signal to stop."""


class _ToldToStop(BaseException):
    """SIGTERM came before requests were taken."""


class Server(uvicorn.Server):
    """uvicorn, which turns SIGTERM and SIGINT into a graceful end; says when it takes requests."""

    def __init__(
        self, config: uvicorn.Config, foldex: Frontend, on_ready: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._foldex = foldex
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Bind, say so, and begin to watch the exchange."""
        await self._foldex.gateway.open()
        await super().startup(sockets)
        if not self.should_exit:
            self._watch = asyncio.create_task(self._end_when_failed())
            self._on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let the requests under way end, then give up the way to the engine."""
        await super().shutdown(sockets)
        await self._foldex.gateway.close()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin a graceful end; a second SIGINT waits for no request.

        uvicorn would raise the signal again afterwards, and the process would die before the
        exchange is stopped.
        """
        self.force_exit = self.should_exit and sig == signal.SIGINT
        self.should_exit = True

    async def _end_when_failed(self) -> None:
        """A failed engine takes no commands ever again: end, so that a supervisor restarts us."""
        while not self.should_exit:
            self._foldex.loop.turned()
            failed = self._foldex.failed
            if failed is not None:
                log.error("the exchange failed (%s: %s): ending", type(failed).__name__, failed)
                self.should_exit = True
            await asyncio.sleep(WATCH_EVERY_S)


def serve(
    settings: Settings,
    *,
    on_ready: Callable[[Foldex], None] = lambda foldex: None,
    prepare: Callable[[Foldex], None] = lambda foldex: None,
) -> int:
    """Run the exchange until SIGTERM or SIGINT; return the process's exit code.

    prepare: called once the exchange runs, before requests are taken; on_ready: once they are.
    Returns: 0 after a graceful end, 1 when the exchange failed or the port could not be bound.
    Raises: StoreError, KeyStoreError: the data directory cannot be used; says what to do.
    """
    configure_logging(settings)
    before = signal.getsignal(signal.SIGTERM)

    def told(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, before)
        raise _ToldToStop

    # uvicorn listens to it while it serves. Till then, too, what was begun has to be ended: the
    # signer of a demo is a process of its own.
    signal.signal(signal.SIGTERM, told)
    try:
        with bootstrap(settings) as foldex:
            prepare(foldex)
            served = _run(foldex, lambda: on_ready(foldex))
            signal.signal(signal.SIGTERM, before)
    except _ToldToStop:
        return 0
    # After the stop, which may be what fails.
    return 0 if served and foldex.failed is None else 1


def serve_api(settings: Settings, *, on_ready: Callable[[Frontend], None]) -> int:
    """Serve the API beside an engine in another process until SIGTERM or SIGINT.

    Returns: 0 after a graceful end, 1 when it failed or the port could not be bound.
    Raises: StoreError, KeyStoreError: the keys cannot be used; says what to do.
    """
    configure_logging(settings)
    with bootstrap_api(settings) as frontend:
        served = _run(frontend, lambda: on_ready(frontend))
    return 0 if served and frontend.failed is None else 1


def _run(foldex: Frontend, on_ready: Callable[[], None]) -> bool:
    """Serve until told to stop; return whether the port could be bound."""
    try:
        Server(_config(foldex), foldex, on_ready).run()
    except SystemExit:
        # uvicorn's way to say that it could not; it has logged why.
        return False
    return True


def _config(foldex: Frontend) -> uvicorn.Config:
    settings = foldex.settings
    return uvicorn.Config(
        create_app(foldex),
        host=settings.host,
        port=settings.port,
        loop="uvloop",
        http="httptools",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=DRAIN_S_MAX,
    )
