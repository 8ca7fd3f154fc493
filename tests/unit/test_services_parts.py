"""The parts of deploy/services, without the servers themselves."""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from deploy.services import control, debian, software
from deploy.services.clone import PORTS, Clone
from deploy.services.process import ServiceError, end, end_of, is_running, launch, recorded_pid
from tests.processes import free_port

SLEEP = "import signal, sys, time; {}; print('ready', flush=True); time.sleep(60)"


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    return Clone(tmp_path)


@pytest.fixture
def sleeper(request: pytest.FixtureRequest) -> Iterator[subprocess.Popen[bytes]]:
    """Give a process with the argument `mark`; the parameter is what it does first."""
    first = getattr(request, "param", "pass")
    command = [sys.executable, "-c", SLEEP.format(first), "mark"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield process
        process.kill()


def test_a_process_is_known_by_pid_and_mark(sleeper: subprocess.Popen[bytes]) -> None:
    assert is_running(sleeper.pid, "mark")
    assert not is_running(sleeper.pid, "another mark")


def test_a_pid_that_another_process_has_now_is_not_signalled(
    sleeper: subprocess.Popen[bytes],
) -> None:
    end(sleeper.pid, "another mark", signal.SIGKILL, timeout_s=1)
    assert sleeper.poll() is None


def test_end_waits_until_the_process_is_gone(sleeper: subprocess.Popen[bytes]) -> None:
    end(sleeper.pid, "mark", signal.SIGTERM, timeout_s=10)
    assert sleeper.wait(timeout=0.1) == -signal.SIGTERM


@pytest.mark.parametrize(
    "sleeper", ["signal.signal(signal.SIGTERM, signal.SIG_IGN)"], indirect=True
)
def test_a_process_that_does_not_listen_is_killed(sleeper: subprocess.Popen[bytes]) -> None:
    end(sleeper.pid, "mark", signal.SIGTERM, timeout_s=0.2)
    assert sleeper.wait(timeout=0.1) == -signal.SIGKILL


def test_a_process_that_somebody_else_ended_leaves_nothing_behind(tmp_path: Path) -> None:
    """Or it stays a zombie, and the interpreter warns of it when it exits."""
    log = tmp_path / "log"
    gone = launch(["/bin/sleep", "60"], log=log, environment={})
    os.kill(gone.pid, signal.SIGKILL)
    os.waitid(os.P_PID, gone.pid, os.WEXITED | os.WNOWAIT)
    launch(["/bin/true"], log=log, environment={}).wait()
    assert gone.returncode == -signal.SIGKILL


@pytest.mark.parametrize("text", ["", "no number", "4194305", "1\nrest"])
def test_a_stale_pid_file_names_nobody(tmp_path: Path, text: str) -> None:
    file = tmp_path / "pid"
    file.write_text(text)
    assert recorded_pid(file, "mark") is None


def test_a_log_that_grew_large_begins_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deploy.services.process.LOG_BYTES_MAX", 3)
    log = tmp_path / "log"
    for word in ("first", "second"):
        begins = end_of(log)
        launch(["/bin/echo", word], log=log, environment={}).wait()
    assert log.read_text() == "second\n"
    assert begins == 0


def test_a_port_is_remembered(clone: Clone) -> None:
    port = clone.free_port("x")
    assert port in PORTS
    assert clone.free_port("x") == port


def test_a_port_that_someone_else_took_is_replaced(
    clone: Clone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deploy.services.clone.RELEASE_TIMEOUT_S", 0.1)
    port = clone.free_port("x")
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        assert clone.free_port("x") != port
    assert clone.port("x") != port


def test_software_is_built_once_by_many_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(software, "cache", lambda: tmp_path)
    built: list[Path] = []
    threads = [
        threading.Thread(target=software.installed, args=("x", built.append)) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(built) == 1


def test_an_interrupted_installation_leaves_nothing_that_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(software, "cache", lambda: tmp_path)

    def half(target: Path) -> None:
        (target / "half").touch()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        software.installed("x", half)
    assert not (tmp_path / "x").exists()
    whole = software.installed("x", lambda target: (target / "whole").touch())
    assert [entry.name for entry in whole.iterdir()] == ["whole"]


def test_a_download_is_tried_three_times_and_says_what_failed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ServiceError, match="no such mirror"):
        software.fetch(
            ["sh", "-c", "echo x >> tries; echo no such mirror >&2; false"], cwd=tmp_path
        )
    assert (tmp_path / "tries").read_text() == "x\n" * 3
    assert "(3 of 3)" in capsys.readouterr().err


def test_missing_tools_are_named() -> None:
    with pytest.raises(ServiceError, match="installing Kafka needs no-such-tool, which"):
        software.need_tools("sh", "no-such-tool", why="installing Kafka")


@pytest.fixture
def apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Let apt print something."""

    def print_instead(script: str) -> None:
        apt = tmp_path / "apt-get"
        apt.write_text(f"#!/bin/sh\n{script}\n")
        apt.chmod(0o755)

    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.delenv("FOLDEX_DEBIAN_MIRROR", raising=False)
    return print_instead


def test_the_mirror_of_the_machine_is_used(apt: Callable[[str], None]) -> None:
    apt("echo http://m/debian-security/; echo http://m/debian/")
    assert debian.mirror() == "http://m/debian/"


def test_where_apt_knows_no_mirror_one_has_to_be_named(
    apt: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    apt("echo http://m/ubuntu/")
    with pytest.raises(ServiceError, match="name one in FOLDEX_DEBIAN_MIRROR"):
        debian.mirror()
    monkeypatch.setenv("FOLDEX_DEBIAN_MIRROR", "http://mine/debian/")
    assert debian.mirror() == "http://mine/debian/"


@pytest.fixture
def own_servers(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """Give the addresses of servers of one's own, which listen."""
    with socket.create_server(("127.0.0.1", 0)) as own:
        port = own.getsockname()[1]
        addresses = {
            "postgres": f"postgresql://u:p@127.0.0.1:{port}/d",
            "kafka": f"127.0.0.1:{port}",
            "ethereum": f"http://127.0.0.1:{port}",
            "openbao": f"http://127.0.0.1:{port}",
        }
        for name, address in addresses.items():
            monkeypatch.setenv(control.OWN_SERVERS[name], address)
        yield addresses


def test_servers_of_your_own_are_used_as_they_are(
    clone: Clone, own_servers: dict[str, str]
) -> None:
    assert control.start(clone) == own_servers
    assert control.run(clone, ["sh", "-c", 'exit "$((FOLDEX_REQUIRE_SERVICES + 6))"']) == 7


def test_a_server_of_your_own_that_does_not_answer_is_named(
    clone: Clone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(control.OWN_SERVERS["kafka"], f"127.0.0.1:{free_port()}")
    with pytest.raises(ServiceError, match="named by FOLDEX_TEST_KAFKA"):
        control.start(clone, ["kafka"])


@pytest.mark.usefixtures("own_servers")
def test_servers_that_are_asked_for_while_a_run_ends_are_kept(
    clone: Clone, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, locked = Clone.lock, iter(range(9))

    def lock_second(clone: Clone) -> AbstractContextManager[None]:
        if next(locked) == 1:
            control.start(clone, keep=True)
        return lock(clone)

    monkeypatch.setattr(Clone, "lock", lock_second)
    assert control.run(clone, ["true"]) == 0
    assert next(locked) == 3
    assert clone.kept.exists()
    assert clone.facts.exists()


def test_stopping_what_does_not_run_is_quiet(clone: Clone) -> None:
    control.stop(clone)
    control.stop(clone, wipe=True)
    assert not clone.facts.exists()
