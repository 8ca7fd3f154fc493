"""The clients of the measures over HTTP, in a process of their own: they sign, send and wait."""

import asyncio
import time
from collections.abc import Iterator
from typing import NamedTuple

import uvloop

from api.security import sign_headers


class ApiKey(NamedTuple):
    """What a request is signed with."""

    key_id: str
    secret: bytes


class Request(NamedTuple):
    """What is sent, and in whose name; it is signed when it is sent."""

    path: str
    body: bytes
    key: ApiKey


class Sent(NamedTuple):
    """seconds: from the first request to the last answer. latencies_s: from sending to answer."""

    seconds: float
    latencies_s: list[float]


def send_all(port: int, connections: int, requests: list[Request]) -> Sent:
    """Send requests over so many keep-alive connections, on each the next when one is answered.

    Before the clock starts every key is used once, for a question.
    Raises: RuntimeError: not everything was accepted.
    """
    return uvloop.run(_send_all(port, connections, requests))


async def _send_all(port: int, connections: int, requests: list[Request]) -> Sent:
    clients = [
        _Client(*await asyncio.open_connection("127.0.0.1", port)) for _ in range(connections)
    ]
    for key in {request.key for request in requests}:
        await clients[0].ask("GET", Request("/v1/requests/none", b"", key))
    latencies_s: list[float] = []
    left = iter(requests)
    started = time.perf_counter()
    await asyncio.gather(*(_send_some(client, left, latencies_s) for client in clients))
    seconds = time.perf_counter() - started
    for client in clients:
        client.writer.close()
    return Sent(seconds, latencies_s)


async def _send_some(client: "_Client", left: Iterator[Request], latencies_s: list[float]) -> None:
    for request in left:
        latencies_s.append(await client.ask("POST", request))


class _Client(NamedTuple):
    """One connection: HTTP/1.1 as far as our own server speaks it."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def ask(self, method: str, request: Request) -> float:
        """Return how long the answer took, from sending; the signing is not in it."""
        content = _signed(method, request)
        started = time.perf_counter()
        self.writer.write(content)
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        body = await self.reader.readexactly(length)
        latency_s = time.perf_counter() - started
        if head[9:10] != b"2" or b'"problem"' in body:
            raise RuntimeError(f"not accepted: {body[:1_000]!r}")
        return latency_s


def _signed(method: str, request: Request) -> bytes:
    headers = sign_headers(
        request.key.key_id, request.key.secret, timestamp_ms=time.time_ns() // 1_000_000,
        method=method, path=request.path.encode(), body=request.body,
    )  # fmt: skip
    if request.body:
        headers["Content-Type"] = "application/json"
    headers["Content-Length"] = str(len(request.body))
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    head = f"{method} {request.path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{lines}\r\n"
    return head.encode() + request.body
