"""Start, stop and crash the servers of a clone, one caller at a time."""

import fcntl
import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Protocol
from urllib.parse import urlsplit

from deploy.services.anvil import Anvil
from deploy.services.clone import Clone
from deploy.services.kafka import Kafka
from deploy.services.openbao import OpenBao
from deploy.services.postgres import Postgres
from deploy.services.process import ServiceError, accepts_connections, say
from deploy.services.software import locked

# Set to the address of a server of your own, which is then used as it is.
OWN_SERVERS = {
    "postgres": "FOLDEX_TEST_POSTGRES_URL",
    "kafka": "FOLDEX_TEST_KAFKA",
    "ethereum": "FOLDEX_TEST_ETHEREUM",
    "openbao": "FOLDEX_TEST_OPENBAO",
}
NAMES = tuple(OWN_SERVERS)
DEFAULT_PORTS = {"postgres": 5432, "kafka": 9092, "ethereum": 8545, "openbao": 8200}
SERVERS: dict[str, Callable[[Clone], "Server"]] = {
    "postgres": Postgres,
    "kafka": Kafka,
    "ethereum": Anvil,
    "openbao": OpenBao,
}


class Server(Protocol):
    """A server of a clone."""

    @property
    def name(self) -> str: ...
    def pid(self) -> int | None: ...
    def address(self) -> str: ...
    def start(self) -> None: ...
    def stop(self) -> None: ...
    def crash(self) -> None: ...


def start(clone: Clone, names: Sequence[str] = NAMES, *, keep: bool = False) -> dict[str, str]:
    """Make the named servers run and return the addresses of all that run.

    What runs already stays as it is, and a server of your own is only looked at.
    keep: let `run` leave them running.
    Raises: ServiceError: names each server that is not to be had, and why.
    """
    with clone.lock():
        if keep:
            clone.kept.touch()
        with ThreadPoolExecutor() as threads:
            failures = [*filter(None, threads.map(lambda name: _try_start(clone, name), names))]
        addresses = _addresses(clone)
        clone.write_facts(addresses)
    if failures:
        raise ServiceError("\n\n".join(failures))
    return addresses


def stop(clone: Clone, names: Sequence[str] = NAMES, *, wipe: bool = False) -> None:
    """Stop the named servers; when all stop, their addresses are gone too.

    wipe: delete data, ports and logs of all servers as well.
    """
    with clone.lock():
        _stop(clone, NAMES if wipe else names)
        if wipe:
            clone.wipe()


def crash(clone: Clone, name: str) -> None:
    """End one server as a crash does, and leave it down; its address stays known."""
    with clone.lock():
        _each(clone, [name], lambda server: server.crash())


def restart_after_crash(clone: Clone, name: str) -> None:
    """Crash one server and start it again on the same port and data."""
    crash(clone, name)
    start(clone, [name])


def status(clone: Clone) -> dict[str, dict[str, str | int | None]]:
    """Return each server's address, pid and state: up, down, or own for a server of your own."""
    return {name: _own_status(name) or _status(_server(clone, name)) for name in NAMES}


def known_address(clone: Clone, name: str) -> str | None:
    """Return where a server was said to be: yours, or the clone's; None when nobody said it."""
    known = json.loads(clone.facts.read_text()) if clone.facts.exists() else {}
    address = _own(name) or known.get(name)
    return None if address is None else str(address)


def run(clone: Clone, command: Sequence[str]) -> int:
    """Run a command while the servers run, and return its exit status.

    Afterwards they stop, unless `start` was asked for them or another `run` still uses them. The
    command sees FOLDEX_REQUIRE_SERVICES=1: a test that finds no server fails instead of skipping.
    """
    with _ended_by_sigterm():
        try:
            with locked(_users(clone), fcntl.LOCK_SH):
                start(clone)
                return _call(command)
        finally:
            _stop_when_unused(clone)


def _try_start(clone: Clone, name: str) -> str:
    """Return why the server cannot be had; nothing when it runs."""
    own = _own(name)
    try:
        if own is not None:
            _look_at(name, own)
        else:
            server = _server(clone, name)
            was_up = server.pid() is not None
            server.start()
            say(f"{name} {'runs' if was_up else 'was started'} at {server.address()}")
    except (ServiceError, OSError, subprocess.SubprocessError) as error:
        return (
            f"{name} cannot be started: {error}\n"
            f"To use a server of your own, set {OWN_SERVERS[name]} to its address."
        )
    return ""


def _stop(clone: Clone, names: Sequence[str]) -> None:
    _each(clone, names, lambda server: server.stop())
    if set(names) == set(NAMES):
        clone.kept.unlink(missing_ok=True)
        clone.write_facts({})


def _addresses(clone: Clone) -> dict[str, str]:
    found = {name: _own(name) for name in NAMES}
    for name in NAMES:
        server = _server(clone, name)
        if found[name] is None and server.pid() is not None:
            found[name] = server.address()
    return {name: address for name, address in found.items() if address is not None}


def _each(clone: Clone, names: Sequence[str], action: Callable[[Server], None]) -> None:
    servers = [_server(clone, name) for name in names]
    with ThreadPoolExecutor() as threads:
        list(threads.map(action, servers))


def _server(clone: Clone, name: str) -> Server:
    return SERVERS[name](clone)


def _status(server: Server) -> dict[str, str | int | None]:
    pid = server.pid()
    return {"state": "down" if pid is None else "up", "address": server.address(), "pid": pid}


def _own_status(name: str) -> dict[str, str | int | None] | None:
    own = _own(name)
    return None if own is None else {"state": "own", "address": own, "pid": None}


def _own(name: str) -> str | None:
    return os.environ.get(OWN_SERVERS[name]) or None


def _look_at(name: str, address: str) -> None:
    first = address.partition(",")[0]
    place = urlsplit(first if "://" in first else f"//{first}")
    host, port = place.hostname or "127.0.0.1", place.port or DEFAULT_PORTS[name]
    if not accepts_connections(host, port):
        raise ServiceError(f"nothing answers at {host}:{port}, named by {OWN_SERVERS[name]}")


def _call(command: Sequence[str]) -> int:
    """Run the command; an interruption from the keyboard reaches it too, so wait for its end."""
    process = subprocess.Popen(command, env={**os.environ, "FOLDEX_REQUIRE_SERVICES": "1"})
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            continue
        except SystemExit:
            process.terminate()


def _users(clone: Clone) -> Path:
    """Return the file that each `run` holds a lock on, together with the others."""
    return clone.state / "users.lock"


def _stop_when_unused(clone: Clone) -> None:
    """Stop the servers, unless they are kept or another `run` uses them."""
    with (
        suppress(BlockingIOError),
        locked(_users(clone), fcntl.LOCK_EX | fcntl.LOCK_NB),
        clone.lock(),  # Nobody asks to keep them now.
    ):
        if not clone.kept.exists():
            _stop(clone, NAMES)


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """Let SIGTERM unwind the stack, so that what was started is stopped."""

    def unwind(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, unwind)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
