"""An engine that is reached over TCP, as tests drive it: on the event loop of each test."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import uvloop

from api.engine_client import EngineClient
from api.engine_local import LocalEngine
from api.engine_port import EnginePort, Result
from api.engine_server import EngineServer
from api.engine_tls import LinkTls, ServerTls
from api.signatures import Signature
from commands.command import Command
from commands.engine import Engine, EngineLimits
from commands.place_order import PlaceOrder
from eventstore.memory import open_memory
from eventstore.store import Store
from tests.given import NOW_MS, OPENING, place
from tests.waiting import until_async

TOKEN = "a token of the tests"
WAIT_S = 10.0


def open_engine(store: Store, **limits: int) -> Engine:
    """Return a running engine on a store, with the market and the accounts of `OPENING`."""
    engine = Engine(
        store.log, store.snapshots, clock_ms=lambda: NOW_MS, writer="test",
        limits=EngineLimits(**limits),
    )  # fmt: skip
    engine.start()
    if "alice" not in engine.exchange.accounts:
        for command in OPENING:
            engine.execute(command)
    return engine


class Setting:
    """An engine, its server on a free port, and clients. tls: of both sides; None: plain TCP."""

    tls: LinkTls | None = None

    def __init__(self, limits: EngineLimits | None = None) -> None:
        store = open_memory()
        self.engine = Engine(
            store.log,
            store.snapshots,
            clock_ms=lambda: NOW_MS,
            writer="test",
            limits=limits or EngineLimits(),
        )
        self.signed = 0
        self.port = 0

    @asynccontextmanager
    async def serving(self, port: int = 0) -> AsyncIterator[EngineServer]:
        tls = None if self.tls is None else ServerTls(self.tls)
        server = EngineServer(LocalEngine(self.engine, lambda: NOW_MS), TOKEN, tls)
        self.port = await server.start("127.0.0.1", port)
        try:
            yield server
        finally:
            await server.stop()

    @asynccontextmanager
    async def client(self, token: str = TOKEN) -> AsyncIterator[EngineClient]:
        client = EngineClient([("127.0.0.1", self.port)], token, self.tls)
        await client.open()
        try:
            yield client
        finally:
            await client.close()

    @asynccontextmanager
    async def stranger(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        """Connect as somebody who has a certificate, where one is needed, and no token."""
        context = None if self.tls is None else self.tls.client_context()
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, ssl=context)
        try:
            async with asyncio.timeout(WAIT_S):
                yield reader, writer
        finally:
            writer.close()

    def signature(self) -> Signature:
        self.signed += 1
        return Signature(self.signed.to_bytes(32), NOW_MS)

    async def submit(self, port: EnginePort, *commands: Command, key: str = "") -> Result:
        answered = port.submit(commands, key=key, signature=self.signature())
        return await asyncio.wait_for(answered, WAIT_S)


Test = Callable[[Setting, EngineServer, EngineClient], Coroutine[Any, Any, None]]


def run(test: Test, *, limits: EngineLimits | None = None) -> None:
    """Run a test with an engine that has traders, its server and a connected client."""

    async def body() -> None:
        setting = Setting(limits)
        with setting.engine as engine:
            for command in OPENING:
                engine.execute(command)
            async with setting.serving() as server, setting.client() as client:
                await until_async(lambda: client.ready)
                await test(setting, server, client)

    uvloop.run(body())


def order(lots: int = 1, price_ticks: int = 100, **more: Any) -> PlaceOrder:
    """Return an order of alice's to buy."""
    return place("alice", "buy", price_ticks, lots, **more)
