"""Real `./foldex` processes for tests: started, watched, ended."""

import fcntl
import json
import os
import random
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import httpx

from api.security import sign_headers
from tests.waiting import VIEW_WAIT_S

ROOT = Path(__file__).resolve().parents[1]
PORTS = range(10_000, 20_000)
"""Below those of `deploy/services`, and of those that the kernel finds for connections."""
PORT_TRIES_MAX = 100
START_S_MAX = 60.0
STOP_S_MAX = 30.0


def free_port() -> int:
    """Return a port that nothing listens on.

    Nobody else gets it before this process ends: neither who asks here, in whichever process, nor
    a connection that the kernel finds a port for.
    """
    taken = Path(tempfile.gettempdir()) / f"foldex-ports-{os.getuid()}"
    taken.mkdir(exist_ok=True)
    for port in random.sample(PORTS, PORT_TRIES_MAX):
        mark = os.open(taken / str(port), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with suppress(OSError), socket.socket() as probe:
            fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
            probe.bind(("127.0.0.1", port))
            return port
        os.close(mark)
    raise OSError("no free port was found")


def command_line(*words: object) -> list[str]:
    """Return how a command is run."""
    return [sys.executable, "-P", "-m", "api", *map(str, words)]


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    """Return the environment with these settings and no others, but for patience."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FOLDEX_")}
    patient = {"FOLDEX_VIEW_WAIT_S": str(VIEW_WAIT_S)}
    return {**kept, **patient, "PYTHONPATH": str(ROOT), **settings}


def foldex(settings: Mapping[str, str], *words: object, code: int = 0) -> Any:
    """Run a command to its end; return the JSON object it prints, or the text."""
    done = subprocess.run(
        command_line(*words), env=environment(settings), capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout) if "--json" in words else done.stdout + done.stderr


class Process:
    """A process that runs until it is ended; its log is a file."""

    def __init__(self, settings: Mapping[str, str], directory: Path, *words: object) -> None:
        self.name = " ".join(map(str, words))
        self.log = directory / f"{time.monotonic_ns()}-{words[0]}.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command_line(*words), env=environment(settings), stdout=subprocess.PIPE, stderr=log,
                bufsize=0,
            )  # fmt: skip
        self._heard = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(STOP_S_MAX)
        assert self.process.stdout is not None
        self.process.stdout.close()

    def says(self, text: str) -> str:
        """Wait for a line with this text on its standard output, and return it."""
        assert self.process.stdout is not None
        deadline = time.monotonic() + START_S_MAX
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            while True:
                # Several lines may come at once; the next call looks at the rest of them.
                while b"\n" in self._heard:
                    line, _, self._heard = self._heard.partition(b"\n")
                    if text in line.decode():
                        return line.decode()
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    break
                heard = self.process.stdout.read(65_536)
                assert heard, f"{self.name} ended: {self.log.read_text()[-4_000:]}"
                self._heard += heard
        raise AssertionError(f"{self.name} did not say {text!r}: {self.log.read_text()[-4_000:]}")

    def kill(self) -> None:
        """End it without warning."""
        self.process.kill()
        self.process.wait(STOP_S_MAX)

    def end(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to end; return its exit code."""
        self.process.send_signal(how)
        return self.process.wait(STOP_S_MAX)


class SigningClient:
    """Sends signed requests to one of several API processes."""

    def __init__(self, key_id: str, secret: str, *, timeout_s: float = START_S_MAX) -> None:
        self._key_id = key_id
        self._secret = secret.encode()
        self._http = httpx.Client(timeout=timeout_s)

    def close(self) -> None:
        self._http.close()

    def signed(
        self, method: str, target: str, body: Any = None, *, key: str = ""
    ) -> tuple[bytes, dict[str, str]]:
        """Return the bytes and headers of a request."""
        raw = b"" if body is None else json.dumps(body).encode()
        path, _, query = target.partition("?")
        headers = sign_headers(
            self._key_id, self._secret, timestamp_ms=time.time_ns() // 1_000_000, method=method,
            path=path.encode(), query=query.encode(), body=raw,
        )  # fmt: skip
        if raw:
            headers["Content-Type"] = "application/json"
        if key:
            headers["Idempotency-Key"] = key
        return raw, headers

    def send(
        self, url: str, method: str, target: str, body: Any = None, *, key: str = ""
    ) -> httpx.Response:
        """Send a request and return whatever comes back. Raises: httpx.TransportError."""
        raw, headers = self.signed(method, target, body, key=key)
        return self._http.request(method, url + target, content=raw, headers=headers)

    def ask(self, url: str, method: str, target: str, body: Any = None, *, key: str = "") -> Any:
        """Send a request; return the document of a 2xx."""
        reply = self.send(url, method, target, body, key=key)
        assert reply.is_success, reply.text
        return reply.json()
