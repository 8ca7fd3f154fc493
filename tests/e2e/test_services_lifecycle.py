"""`python3 -m deploy.services` in a clone of its own: servers start, crash, recover and stop."""

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from deploy.services import anvil, control, kafka, openbao, postgres, software
from deploy.services.anvil import Anvil
from deploy.services.clone import Clone
from deploy.services.kafka import Kafka
from deploy.services.postgres import Postgres
from deploy.services.process import ServiceError, is_running
from deploy.services.software import locked

pytestmark = pytest.mark.skipif(
    not all(
        (software.cache() / name).is_dir()
        for name in (postgres.SOFTWARE, kafka.SOFTWARE, anvil.SOFTWARE, openbao.SOFTWARE)
    ),
    reason="needs the servers' programs: run `make services`",
)


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Clone]:
    for variable in control.OWN_SERVERS.values():
        monkeypatch.delenv(variable, raising=False)
    clone = Clone(tmp_path)
    yield clone
    control.stop(clone, wipe=True)


def test_two_starts_at_once_make_one_server(clone: Clone) -> None:
    threads = [threading.Thread(target=control.start, args=(clone, ["postgres"])) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert _log(Postgres(clone)).count("ready to accept connections") == 1
    assert json.loads(clone.facts.read_text()) == {"postgres": Postgres(clone).address()}


def test_a_second_start_leaves_the_server_as_it_is(clone: Clone) -> None:
    control.start(clone, ["postgres"])
    pid = Postgres(clone).pid()
    control.start(clone, ["postgres"])
    assert Postgres(clone).pid() == pid


def test_what_was_committed_survives_an_immediate_stop(clone: Clone) -> None:
    url = control.start(clone, ["postgres"])["postgres"]
    with psycopg.connect(url) as database:
        database.execute("CREATE TABLE facts AS SELECT 7 AS fact")
    control.restart_after_crash(clone, "postgres")
    assert _facts(url) == [(7,)]
    assert "was not properly shut down" in _log(Postgres(clone))


def test_start_recovers_after_the_server_was_killed_with_a_client_busy(clone: Clone) -> None:
    url = control.start(clone, ["postgres"])["postgres"]
    with psycopg.connect(url, autocommit=True) as database:
        database.execute("CREATE TABLE facts AS SELECT 7 AS fact")
        pid = Postgres(clone).pid()
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        # The facts file is stale now, and the data directory names a dead process.
        assert control.start(clone, ["postgres"]) == {"postgres": url}
    assert _facts(url) == [(7,)]


def test_stop_keeps_the_data_and_takes_the_address_away(clone: Clone) -> None:
    url = control.start(clone, ["postgres"])["postgres"]
    with psycopg.connect(url) as database:
        database.execute("CREATE TABLE facts AS SELECT 7 AS fact")
    control.stop(clone)
    assert not clone.facts.exists()
    assert Postgres(clone).pid() is None
    assert control.start(clone, ["postgres"])["postgres"] == url
    assert _facts(url) == [(7,)]


def test_wiping_leaves_nothing(clone: Clone) -> None:
    control.start(clone, ["postgres"])
    data = Postgres(clone).data
    control.stop(clone, wipe=True)
    assert not data.exists()
    assert {entry.name for entry in clone.state.iterdir()} <= {"lock", "users.lock"}


def test_kafka_starts_again_on_its_port_and_data_after_it_was_killed(clone: Clone) -> None:
    address = control.start(clone, ["kafka"])["kafka"]
    control.restart_after_crash(clone, "kafka")
    assert Kafka(clone).address() == address
    assert _log(Kafka(clone)).count(kafka.STARTED) == 2


def test_the_ethereum_node_keeps_its_chain_when_it_stops(clone: Clone) -> None:
    url = control.start(clone, ["ethereum"])["ethereum"]
    assert Anvil(clone).pid() is not None
    _ask(url, "anvil_mine", "0x3")
    tip = _ask(url, "eth_getBlockByNumber", "latest", False)["hash"]
    control.stop(clone, ["ethereum"])
    assert Anvil(clone).pid() is None
    assert control.start(clone, ["ethereum"])["ethereum"] == url
    assert _ask(url, "eth_getBlockByNumber", "0x3", False)["hash"] == tip


def test_a_server_that_cannot_start_says_why(clone: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(postgres.SETTINGS, "max_connections", "-1")
    with pytest.raises(ServiceError) as failure:
        control.start(clone, ["postgres"])
    assert "max_connections" in str(failure.value)
    assert "FOLDEX_TEST_POSTGRES_URL" in str(failure.value)
    assert not clone.facts.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's data is outside of the clone")
def test_data_of_a_clone_that_is_gone_is_deleted_and_its_server_stopped(
    clone: Clone, tmp_path: Path
) -> None:
    gone = Clone(tmp_path / "gone")
    gone.root.mkdir()
    control.start(gone, ["postgres"])
    pid = Postgres(gone).pid()
    assert pid is not None
    shutil.rmtree(gone.root)
    control.start(clone, ["postgres"])
    assert not gone.data.exists()
    assert not is_running(pid, str(Postgres(gone).data))


@pytest.mark.parametrize("kept", [True, False])
def test_run_stops_what_nobody_asked_to_keep(clone: Clone, kept: bool) -> None:
    if kept:
        clone.kept.touch()
    command = ["sh", "-c", f"test -s {clone.facts} && exit 5"]
    assert control.run(clone, command) == 5
    assert (Postgres(clone).pid() is not None) == kept
    assert (Kafka(clone).pid() is not None) == kept


def test_run_leaves_servers_to_another_run_that_uses_them(clone: Clone) -> None:
    control.start(clone, ["postgres"])  # As another run did.
    with locked(clone.state / "users.lock", fcntl.LOCK_SH):
        assert control.run(clone, ["true"]) == 0
        assert Postgres(clone).pid() is not None


def test_the_command_line_shows_what_runs() -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "deploy.services", "status", "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert set(json.loads(shown.stdout)) == {"postgres", "kafka", "ethereum", "openbao"}


def _facts(url: str) -> list[tuple[int]]:
    with psycopg.connect(url) as database:
        return database.execute("SELECT fact FROM facts").fetchall()


def _ask(url: str, method: str, *parameters: object) -> Any:
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters}
    return httpx.post(url, json=body).json()["result"]


def _log(server: Postgres | Kafka) -> str:
    return server.log.read_text()
