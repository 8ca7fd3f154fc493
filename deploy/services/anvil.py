"""Anvil, a node of Ethereum for development, from its npm package."""

import json
import os
import platform
import shutil
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from deploy.services.daemon import Daemon
from deploy.services.process import ServiceError, await_ready, launch, say
from deploy.services.software import fetch, installed, need_tools

VERSION = "1.7.1"
SOFTWARE = f"anvil-{VERSION}-1"  # A changed way of installing counts the last number up.
PACKAGES = {
    "x86_64": "@foundry-rs/anvil-linux-amd64",
    "aarch64": "@foundry-rs/anvil-linux-arm64",
}
STATE_INTERVAL_S = 5
START_TIMEOUT_S = 30


@dataclass(frozen=True, slots=True)
class Anvil(Daemon):
    """The Ethereum node of a clone. Whoever calls its methods holds the lock of the clone.

    It seals a block for each transaction, and further ones when it is asked to (`evm_mine`).
    """

    name = "ethereum"
    stop_timeout_s = 10

    @property
    def data(self) -> Path:
        """The file that it keeps its chain in."""
        return self.clone.state / "ethereum.state"

    @property
    def mark(self) -> str:
        """The name of that file."""
        return str(self.data)

    def address(self) -> str:
        """Return its URL; over WebSocket the same place tells of new blocks."""
        return f"http://127.0.0.1:{self.clone.port(self.name) or 0}"

    def start(self) -> None:
        """Install and start what is missing; return when it serves requests.

        Raises: ServiceError: it is impossible here, or the server did not start.
        """
        program = install()
        if self.pid() is not None:
            if _answers(self.address()):
                return
            self.stop()
        port = self.clone.free_port(self.name)
        process = launch(
            [str(program), "--host", "127.0.0.1", "--port", str(port), *self._options()],
            log=self.log,
            environment=dict(os.environ),
        )
        self.remember(process)
        await_ready(
            process, lambda: _answers(self.address()), log=self.log, timeout_s=START_TIMEOUT_S
        )

    def _options(self) -> list[str]:
        return ["--state", str(self.data), "--state-interval", str(STATE_INTERVAL_S)]


def install() -> Path:
    """Return the program, installing it when it is missing."""
    return installed(SOFTWARE, _build) / "anvil"


def _build(target: Path) -> None:
    need_tools("npm", why="installing anvil")
    package = PACKAGES.get(platform.machine())
    if package is None:
        raise ServiceError(f"anvil is not made for {platform.machine()}")
    say(f"installing anvil {VERSION}")
    # npm checks the package's hash; no script of the package is run.
    quiet = ["npm", "install", "--ignore-scripts", "--no-save", "--no-audit", "--no-fund"]
    fetch([*quiet, f"--prefix={target}", f"{package}@{VERSION}"], cwd=target)
    (target / "node_modules" / package / "bin" / "anvil").rename(target / "anvil")
    shutil.rmtree(target / "node_modules")


def _answers(url: str) -> bool:
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": []})
    request = urllib.request.Request(url, body.encode(), {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=5) as response:
            return "result" in json.load(response)
    except (OSError, ValueError):
        return False
