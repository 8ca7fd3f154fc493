"""A production deployment on this machine: its processes, each started again when it ends."""

import json
import secrets
import subprocess
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx

from tests.processes import SigningClient, command_line, environment, free_port

WAIT_S_MAX = 60.0
RESTART_S = 0.1


class Production:
    """Processes by name, all with the same settings. `with`: all are ended in the end."""

    def __init__(self, directory: Path, database_url: str, kafka: str) -> None:
        self.api_port, self.engine_ports = free_port(), [free_port(), free_port()]
        self.url = f"http://127.0.0.1:{self.api_port}"
        self.directory = directory
        self._clients = ExitStack()
        settings = {
            "FOLDEX_DATA": str(directory),
            "FOLDEX_DATABASE_URL": database_url,
            "FOLDEX_KAFKA": kafka,
            "FOLDEX_MASTER_KEY": secrets.token_hex(32),
            "FOLDEX_ENGINE": ",".join(f"127.0.0.1:{port}" for port in self.engine_ports),
            "FOLDEX_ENGINE_TOKEN": secrets.token_hex(16),
        }
        self.environment = environment(settings)
        self.commands = {
            "engine-1": ["engine", "--port", str(self.engine_ports[0])],
            "engine-2": ["engine", "--port", str(self.engine_ports[1])],
            "api": ["api", "--port", str(self.api_port)],
            "project": ["project"],
            "publish": ["publish"],
        }
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._stopping = threading.Event()
        self._supervisor = threading.Thread(target=self._restart_what_ended, daemon=True)

    def run(self, *arguments: str) -> str:
        """Return what a command printed, having succeeded."""
        done = subprocess.run(
            command_line(*arguments), env=self.environment, check=False,
            capture_output=True, text=True, timeout=WAIT_S_MAX,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def client(self, *arguments: str) -> SigningClient:
        """Return a client with a new key of its own."""
        key: dict[str, str] = json.loads(self.run("keys", "create", *arguments, "--json"))
        client = SigningClient(key["key_id"], key["secret"], timeout_s=10.0)
        self._clients.callback(client.close)
        return client

    def __enter__(self) -> "Production":
        for name in self.commands:
            self._start(name)
        self._supervisor.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._clients.close()
        self._stopping.set()
        self._supervisor.join()
        for process in self._running.values():
            process.terminate()
        for process in self._running.values():
            try:
                process.wait(WAIT_S_MAX)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                raise

    def leave_out(self, *names: str) -> None:
        """Do without these processes. Called before any is started."""
        for name in names:
            del self.commands[name]

    def kill(self, name: str) -> None:
        """End a process at once; the supervisor starts it again."""
        self._running[name].kill()

    def wait_until_ready(self) -> None:
        """Return once the API takes commands."""
        self.wait_for(lambda: httpx.get(f"{self.url}/health/ready").status_code == 200)

    def wait_for(self, condition: Any) -> None:
        """Return once a condition holds; being unreachable counts as not yet."""
        give_up_s = time.monotonic() + WAIT_S_MAX
        while True:
            try:
                if condition():
                    return
            except httpx.TransportError:
                time.sleep(0)
            assert time.monotonic() < give_up_s, self.logs()
            time.sleep(0.05)

    def logs(self) -> str:
        """Return the end of what each process wrote."""
        return "\n".join(
            f"--- {name}\n" + (self.directory / f"{name}.txt").read_text()[-2_000:]
            for name in self.commands
        )

    def _restart_what_ended(self) -> None:
        while not self._stopping.wait(RESTART_S):
            for name, process in list(self._running.items()):
                if process.poll() is not None:
                    self._start(name)

    def _start(self, name: str) -> None:
        with (self.directory / f"{name}.txt").open("ab") as output:
            self._running[name] = subprocess.Popen(
                command_line(*self.commands[name]), env=self.environment,
                stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
            )  # fmt: skip
