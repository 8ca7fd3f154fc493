"""The serving process: it ends gracefully on a signal, and by itself when the exchange fails."""

import signal
import socket
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from api.bootstrap import bootstrap
from api.key_stores import keys_in
from api.settings import Settings
from domain.events import WriterStarted
from eventstore.sqlite import open_sqlite
from tests.processes import Process, SigningClient, foldex, free_port


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


class Served(NamedTuple):
    """A process that serves the data directory."""

    process: Process
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@pytest.fixture
def served(data: Path, tmp_path: Path) -> Iterator[Served]:
    port = free_port()
    with Process({"FOLDEX_DATA": str(data)}, tmp_path, "serve", "--port", port) as process:
        process.says("Foldex at")
        yield Served(process, port)


def create_key(data: Path) -> tuple[str, str]:
    """Create an operator's key as the command line does: in another process than serves."""
    with closing(keys_in(data)) as keys:
        return keys.create("", ["operate"])


def open_account(served: Served, key_id: str, secret: str) -> httpx.Response:
    with closing(SigningClient(key_id, secret)) as client:
        return client.send(served.url, "POST", "/v1/operator/accounts", {"account": "alice"})


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_gracefully_and_loses_nothing(
    data: Path, served: Served, number: signal.Signals
) -> None:
    key_id, secret = create_key(data)
    response = open_account(served, key_id, secret)
    assert response.status_code == 201, response.text
    code, log = served.process.end(number), served.process.log.read_text()

    assert code == 0, log
    assert secret not in log
    with bootstrap(Settings(data=data)) as foldex:
        assert "alice" in foldex.engine.exchange.accounts


def test_a_port_that_is_taken_ends_it_with_an_error(tmp_path: Path, served: Served) -> None:
    other = {"FOLDEX_DATA": str(tmp_path / "other")}

    assert "address already in use" in foldex(other, "serve", "--port", served.port, code=1)


def test_a_declared_body_of_10_mb_is_refused_before_it_is_sent(served: Served) -> None:
    head = "POST /v1/orders HTTP/1.1\r\nHost: x\r\nContent-Length: 10485760\r\n\r\n"
    with socket.create_connection(("127.0.0.1", served.port), timeout=10) as connection:
        connection.sendall(head.encode())
        answer = b""
        while part := connection.recv(65536):
            answer += part

    assert answer.startswith(b"HTTP/1.1 413")
    assert b"body_too_large" in answer


def test_an_exchange_that_fails_ends_the_process_with_an_error(data: Path, served: Served) -> None:
    # Another writer takes over behind the lock's back: this one must not go on.
    now_ms = time.time_ns() // 1_000_000
    with open_sqlite(data) as store:
        store.log.append([WriterStarted(now_ms, "another")], now_ms)
    response = open_account(served, *create_key(data))

    assert response.status_code in (503, 504)
    assert response.json()["code"] in ("engine_stopped", "not_recorded", "outcome_unknown")
    assert served.process.process.wait(timeout=30) == 1
