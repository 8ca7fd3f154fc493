"""The serving process: it ends gracefully on a signal, and by itself when the exchange fails."""

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from api.bootstrap import bootstrap
from api.key_stores import keys_in
from api.security import sign_headers
from api.settings import Settings
from domain.events import WriterStarted
from eventstore.sqlite import open_sqlite

ROOT = Path(__file__).parents[2]
SCRIPT = """
import sys
from pathlib import Path
from api.server import serve
from api.settings import Settings
from domain.events import WriterStarted
from eventstore.sqlite import open_sqlite
settings = Settings(data=Path(sys.argv[1]), port=int(sys.argv[2]))
sys.exit(serve(settings, on_ready=lambda foldex: print("ready", flush=True)))
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Process:
    """A process that serves a data directory."""

    def __init__(self, data: Path) -> None:
        self.port = free_port()
        self.process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(data), str(self.port)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def wait_until_ready(self) -> None:
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n"

    def end(self, number: int) -> tuple[int, str]:
        self.process.send_signal(number)
        _, errors = self.process.communicate(timeout=30)
        return self.process.returncode, errors


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def served(data: Path) -> Iterator[Process]:
    process = Process(data)
    process.wait_until_ready()
    with process.process:  # Closes its pipes.
        yield process
        process.process.kill()


def create_key(data: Path) -> tuple[str, str]:
    """Create an operator's key as the command line does: in another process than serves."""
    keys = keys_in(data)
    try:
        return keys.create("", ["operate"])
    finally:
        keys.close()


def open_account(served: Process, key_id: str, secret: str) -> httpx.Response:
    path, body = "/v1/operator/accounts", b'{"account":"alice"}'
    headers = sign_headers(
        key_id,
        secret.encode(),
        timestamp_ms=time.time_ns() // 1_000_000,
        method="POST",
        path=path.encode(),
        body=body,
    )
    headers["Content-Type"] = "application/json"
    return httpx.post(served.url + path, content=body, headers=headers)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_gracefully_and_loses_nothing(
    data: Path, served: Process, number: int
) -> None:
    key_id, secret = create_key(data)
    response = open_account(served, key_id, secret)
    assert response.status_code == 201, response.text
    code, errors = served.end(number)

    assert code == 0, errors
    assert secret not in errors
    with bootstrap(Settings(data=data)) as foldex:
        assert "alice" in foldex.engine.exchange.accounts


def test_a_port_that_is_taken_ends_it_with_an_error(tmp_path: Path, served: Process) -> None:
    code = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path / "other"), str(served.port)],
        cwd=ROOT,
        capture_output=True,
        check=False,
        timeout=30,
    ).returncode

    assert code == 1


def test_a_declared_body_of_10_mb_is_refused_before_it_is_sent(served: Process) -> None:
    head = "POST /v1/orders HTTP/1.1\r\nHost: x\r\nContent-Length: 10485760\r\n\r\n"
    with socket.create_connection(("127.0.0.1", served.port), timeout=10) as connection:
        connection.sendall(head.encode())
        answer = b""
        while part := connection.recv(65536):
            answer += part

    assert answer.startswith(b"HTTP/1.1 413")
    assert b"body_too_large" in answer


def test_an_exchange_that_fails_ends_the_process_with_an_error(data: Path, served: Process) -> None:
    # Another writer takes over behind the lock's back: this one must not go on.
    now_ms = time.time_ns() // 1_000_000
    with open_sqlite(data) as store:
        store.log.append([WriterStarted(now_ms, "another")], now_ms)
    response = open_account(served, *create_key(data))

    assert response.status_code in (503, 504)
    assert response.json()["code"] in ("engine_stopped", "not_recorded", "outcome_unknown")
    assert served.process.wait(timeout=30) == 1
