"""The engine as a process of its own: one writes, one stands by, and whoever was shut out ends."""

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from api import fence
from api.fence import FenceWatch
from domain.events import WriterStarted
from eventstore.memory import open_memory
from eventstore.sqlite import open_sqlite
from tests.processes import Process, foldex, free_port

WAIT_S = 20.0


class Engines:
    """Engine processes on one data directory."""

    def __init__(self, directory: Path, opened: ExitStack) -> None:
        self.data = directory / "data"
        self.port = free_port()
        self.settings = {"FOLDEX_DATA": str(self.data), "FOLDEX_ENGINE_TOKEN": "t" * 32}
        self._directory = directory
        self._opened = opened

    def start(self) -> Process:
        words = ("engine", "--port", self.port)
        return self._opened.enter_context(Process(self.settings, self._directory, *words))


@pytest.fixture
def engines(tmp_path: Path) -> Iterator[Engines]:
    with ExitStack() as opened:
        yield Engines(tmp_path, opened)


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def append_as_another(data: Path) -> None:
    """Store a commit behind the back of whoever has the lock."""
    with open_sqlite(data, create=False) as store:
        head = next(iter(store.log.read(0)))
        store.log.append([WriterStarted(head.time_ms, "another")], head.time_ms)


def test_a_standby_waits_without_listening_and_takes_over(engines: Engines) -> None:
    first = engines.start()
    first.says("takes commands")
    standby = engines.start()
    assert str(first.process.pid) in standby.says("Standing by")
    first.kill()
    assert f":{engines.port}" in standby.says("takes commands")
    assert listens(engines.port)
    assert standby.end() == 0


def test_a_standby_ends_when_it_is_told_to(engines: Engines) -> None:
    first = engines.start()
    first.says("takes commands")
    standby = engines.start()
    standby.says("Standing by")
    assert standby.end() == 0
    assert first.end() == 0
    assert not listens(engines.port)


def test_an_idle_engine_that_was_shut_out_ends_with_an_error(engines: Engines) -> None:
    first = engines.start()
    first.says("takes commands")
    append_as_another(engines.data)
    assert first.process.wait(WAIT_S) == 1
    assert "another writer has stored commit 2" in first.log.read_text()


def test_a_port_that_is_taken_and_a_missing_token_are_said_in_one_line(engines: Engines) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert "address already in use" in foldex(
            engines.settings, "engine", "--port", port, code=2
        )
    less = {"FOLDEX_DATA": str(engines.data)}
    assert "FOLDEX_ENGINE_TOKEN is needed" in foldex(less, "engine", code=2)


def test_a_log_that_only_we_write_is_no_reason_to_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fence, "CHECK_EVERY_S", 0.001)
    monkeypatch.setattr(fence, "APPEND_S_MAX", 0.05)
    log = open_memory().log
    watch = FenceWatch(log)
    watch.start()
    for number in range(200):
        log.append([WriterStarted(number, "us")], number)
        time.sleep(0.001)
    assert watch.failed is None
    watch.stop()
