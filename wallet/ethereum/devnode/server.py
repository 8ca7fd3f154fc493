"""A `DevNode` on 127.0.0.1: JSON-RPC over HTTP, and new heads over WebSocket, on one port."""

import asyncio
import json
import threading
from contextlib import suppress
from typing import Any, Self

from aiohttp import WSMsgType, web

from wallet.ethereum.devnode import forms
from wallet.ethereum.devnode.evm import Sealed
from wallet.ethereum.devnode.methods import Methods
from wallet.ethereum.devnode.node import DevNode
from wallet.ethereum.devnode.provider import answer

BODY_BYTES_MAX = 10_000_000
START_TIMEOUT_S = 10


class DevNodeServer:
    """Serves a node from a thread, and seals a block each `interval_s`, until it is closed.

    port: 0 takes a free one. interval_s: None seals blocks only when asked to.
    """

    def __init__(self, node: DevNode, *, port: int = 0, interval_s: float | None = None) -> None:
        self._methods = Methods(node)
        self._node, self._port, self._interval_s = node, port, interval_s
        self._sockets: set[web.WebSocketResponse] = set()
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="devnode", daemon=True)
        self._thread.start()
        if not self._ready.wait(START_TIMEOUT_S) or self._failure is not None:
            raise OSError(f"the development node cannot be served: {self._failure}")

    @property
    def url(self) -> str:
        """Its address for HTTP; that for WebSocket begins with `ws` and is else the same."""
        return f"http://127.0.0.1:{self._port}"

    def drop_sockets(self) -> None:
        """Break every WebSocket, as a network does."""
        asyncio.run_coroutine_threadsafe(self._close_sockets(), self._loop).result(START_TIMEOUT_S)

    def close(self) -> None:
        """Stop serving."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            try:
                runner.run(self._serve())
            except OSError as error:
                self._failure = error
                self._ready.set()

    async def _serve(self) -> None:
        app = web.Application(client_max_size=BODY_BYTES_MAX)
        app.add_routes([web.post("/", self._post), web.get("/", self._socket)])
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", self._port)
        await site.start()
        self._port = runner.addresses[0][1]
        unlisten = self._node.listen(self._on_block)
        self._ready.set()
        try:
            await self._seal_until_stopped()
        finally:
            unlisten()
            await self._close_sockets()
            await runner.cleanup()

    async def _seal_until_stopped(self) -> None:
        while not self._stop.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), self._interval_s)
                return
            await asyncio.to_thread(self._node.mine)

    async def _post(self, request: web.Request) -> web.Response:
        return web.json_response(await asyncio.to_thread(self._answer, await request.text()))

    async def _socket(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            if message.type == WSMsgType.TEXT:
                await socket.send_json(await self._socket_answer(socket, message.data))
        self._sockets.discard(socket)
        return socket

    async def _socket_answer(self, socket: web.WebSocketResponse, text: str) -> Any:
        with suppress(ValueError, AttributeError):
            request = json.loads(text)
            if request.get("method") == "eth_subscribe" and request.get("params") == ["newHeads"]:
                self._sockets.add(socket)
                return {"jsonrpc": "2.0", "id": request.get("id"), "result": "0x1"}
        return await asyncio.to_thread(self._answer, text)

    def _answer(self, text: str) -> Any:
        try:
            request = json.loads(text)
        except ValueError:
            request = None
        return answer(self._methods, request)

    def _on_block(self, block: Sealed) -> None:
        asyncio.run_coroutine_threadsafe(self._tell(block), self._loop)

    async def _tell(self, block: Sealed) -> None:
        result = {"subscription": "0x1", "result": forms.header_form(block)}
        head = {"jsonrpc": "2.0", "method": "eth_subscription", "params": result}
        for socket in tuple(self._sockets):
            with suppress(ConnectionError):
                await socket.send_json(head)

    async def _close_sockets(self) -> None:
        for socket in tuple(self._sockets):
            await socket.close()
        self._sockets.clear()
