"""What belongs to this clone: its ports, logs and data, and the file that tells where servers are.

.services/services.json   where the servers are, while they run
.services/*.port          chosen at the first start and kept
.services/*.log           what the servers say
.services/kafka/          Kafka's data
.services/postgres/       PostgreSQL's data, unless root starts it (see `Clone.data`)
"""

import hashlib
import json
import os
import random
import shutil
import socket
from collections.abc import Iterator
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path

from deploy.services.process import wait_until
from deploy.services.software import locked

ROOT = Path(__file__).resolve().parent.parent.parent
# Below the range from which Linux takes the ports of outgoing connections, so that a server finds
# its port free again after a restart.
PORTS = range(20_000, 32_000)
PORT_TRIES_MAX = 100
RELEASE_TIMEOUT_S = 2
ROOT_DATA = Path("/var/lib/foldex/services")


@dataclass(frozen=True, slots=True)
class Clone:
    """A checkout and the state of its servers."""

    root: Path = ROOT

    @property
    def state(self) -> Path:
        """The directory of everything here; made when missing."""
        directory = self.root / ".services"
        directory.mkdir(exist_ok=True)
        return directory

    @property
    def facts(self) -> Path:
        """The file that tells where the servers are."""
        return self.root / ".services" / "services.json"

    @property
    def kept(self) -> Path:
        """A mark: the servers were asked for by `start`, so `run` leaves them running."""
        return self.state / "kept"

    @property
    def data(self) -> Path:
        """The directory for data of servers that refuse root.

        They run as an unprivileged user when root starts them, and it may be unable to enter the
        clone. So root's is elsewhere, under a name made of the clone's path.
        """
        if os.geteuid() != 0:
            return self.state
        name = hashlib.sha256(os.fsencode(self.root)).hexdigest()[:16]
        return ROOT_DATA / name

    def lock(self) -> AbstractContextManager[None]:
        """Let one process at a time start or stop servers."""
        return locked(self.state / "lock")

    def port(self, name: str) -> int | None:
        """Return the port remembered under `name`."""
        try:
            return int((self.state / f"{name}.port").read_text())
        except (OSError, ValueError):
            return None

    def free_port(self, name: str) -> int:
        """Return the remembered port; another one, remembered from now on, when that is taken."""
        remembered = self.port(name)
        # A server that was just killed may still hold it for a moment.
        if remembered and wait_until(lambda: _is_free(remembered), RELEASE_TIMEOUT_S):
            return remembered
        for port in random.sample(PORTS, PORT_TRIES_MAX):
            if _is_free(port):
                (self.state / f"{name}.port").write_text(str(port))
                return port
        raise OSError("no free port was found")

    def write_facts(self, addresses: dict[str, str]) -> None:
        """Replace the facts in one step; no addresses remove the file."""
        if not addresses:
            self.facts.unlink(missing_ok=True)
            return
        partial = self.state / "services.json.partial"
        partial.write_text(json.dumps(addresses, indent=2) + "\n")
        partial.replace(self.facts)

    def wipe(self) -> None:
        """Delete data, logs and ports. Nothing may run."""
        if self.data != self.state:
            shutil.rmtree(self.data, ignore_errors=True)
        for entry in self.state.iterdir():
            if entry.is_dir():
                shutil.rmtree(entry)
            elif entry.name not in {"lock", "users.lock"}:
                entry.unlink()


def abandoned_data() -> Iterator[Path]:
    """Yield root's data directories whose clone is gone."""
    for owner in ROOT_DATA.glob("*/clone"):
        with suppress(FileNotFoundError):  # Its clone may be wiping it just now.
            if not Path(owner.read_text()).is_dir():
                yield owner.parent


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
