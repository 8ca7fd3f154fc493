"""Health says what is wrong, at once, whatever hangs; nothing of what errors quote is told."""

import http.client
import json
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from api import monitor as monitor_module
from api import parts
from api.metrics import Metrics
from api.monitor import Monitor
from api.parts import Asked, LinkPart, LoopPart, Part, StandbyPart, ThreadPart, ViewsPart
from api.settings import Settings
from tests.processes import free_port
from tests.waiting import until

SECRET = "postgresql://foldex:hidden@db/foldex"


class Probed(Asked):
    """Does what it is told when it is asked."""

    def __init__(self, ask: Callable[[], None] = lambda: None) -> None:
        super().__init__("database")
        self.do = ask

    def ask(self) -> None:
        self.do()


class Worker:
    """Something that fails when it is told to."""

    failed: BaseException | None = None


class Port:
    """The way to an engine, as far as it is watched."""

    ready = False
    position = 7
    queue_depth = 3


def fail() -> None:
    raise ConnectionError(SECRET)


@contextmanager
def watching(*watched: Part, **settings: Any) -> Iterator[Monitor]:
    monitor = Monitor(Settings(**settings), Metrics(), watched)
    monitor.start()
    try:
        yield monitor
    finally:
        monitor.stop()


def reasons(monitor: Monitor) -> dict[str, str]:
    return {reason.part: reason.detail for reason in monitor.ready().reasons}


def test_all_is_well_once_every_part_has_answered() -> None:
    with watching(Probed(), LoopPart()) as monitor:
        assert (monitor.live().status, monitor.live().reasons) == ("alive", [])
        assert (monitor.ready().status, monitor.ready().reasons) == ("ready", [])


def test_a_database_that_does_not_answer_makes_it_not_ready_but_leaves_it_alive() -> None:
    part = Probed(fail)
    with watching(part) as monitor:
        until(lambda: reasons(monitor) == {"database": "it does not answer (ConnectionError)"})
        assert monitor.live().good

        part.do = lambda: None
        until(lambda: monitor.ready().good)


def test_what_errors_say_is_not_told(caplog: pytest.LogCaptureFixture) -> None:
    with watching(Probed(fail)) as monitor:
        until(lambda: "does not answer" in caplog.text)
        told = str(monitor.ready()) + monitor.metrics.exposed().decode()
        time.sleep(1.1)

    assert "hidden" not in told
    assert caplog.text.count("does not answer") == 1


def test_a_database_that_hangs_is_noticed_without_waiting_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(parts, "STALE_S", 0.3)
    go_on = threading.Event()

    def hang() -> None:
        go_on.wait(30)

    with watching(Probed(hang), Probed()) as monitor:
        began = time.monotonic()
        assert reasons(monitor)["database"].startswith("no answer for")
        assert monitor.live().good
        assert time.monotonic() - began < 0.2
        go_on.set()
        until(lambda: monitor.ready().good)


def test_a_part_that_failed_needs_a_restart() -> None:
    worker = Worker()
    with watching(ThreadPart("fence", worker)) as monitor:
        assert monitor.live().good
        worker.failed = RuntimeError(SECRET)

        assert monitor.live().status == "dead"
        assert [(each.part, each.detail) for each in monitor.live().reasons] == [
            ("fence", "it stopped by itself (RuntimeError)")
        ]
        assert monitor.ready().reasons == monitor.live().reasons


def test_a_loop_that_hangs_needs_a_restart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "STALE_S", 0.1)
    loop = LoopPart()
    with watching(loop) as monitor:
        assert monitor.live().good
        loop.turned()
        until(lambda: not monitor.live().good)
        loop.turned()
        assert monitor.live().good


def test_a_process_that_stands_by_is_alive_and_not_ready() -> None:
    right = StandbyPart()
    with watching(right) as monitor:
        assert monitor.live().good
        assert reasons(monitor) == {"writer": "it stands by for another process"}
        right.writes = True
        assert monitor.ready().good


def test_an_engine_that_is_not_reached_makes_an_api_process_not_ready() -> None:
    port = Port()
    with watching(LinkPart(port)) as monitor:  # type: ignore[arg-type]
        assert list(reasons(monitor)) == ["engine"]
        assert "\nfoldex_engine_position 7" not in monitor.metrics.exposed().decode()
        port.ready = True
        assert monitor.ready().good
        assert "\nfoldex_engine_position 7" in monitor.metrics.exposed().decode()


def test_views_may_be_behind_for_as_long_as_is_set() -> None:
    now = {"end": 10, "reached": 10}
    part = ViewsPart(lambda: now["reached"], lambda: now["end"], lag_ms_max=300)
    with watching(part) as monitor:
        assert monitor.ready().good
        now["end"] = 15
        until(lambda: not monitor.ready().good)
        assert reasons(monitor)["views"].startswith("they are 5 events and ")
        assert "foldex_view_lag_events 5" in monitor.metrics.exposed().decode()
        now["reached"] = 15
        until(lambda: monitor.ready().good)


def test_a_part_can_come_later() -> None:
    with watching() as monitor:
        assert monitor.ready().good
        monitor.watch(Probed(fail))
        until(lambda: "database" in reasons(monitor))


def get(port: int, path: str) -> tuple[int, str, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.headers["Content-Type"], answer.read().decode()
    finally:
        connection.close()


def test_the_metrics_port_serves_metrics_and_health() -> None:
    worker = Worker()
    with watching(ThreadPart("fence", worker), metrics_port=free_port()) as monitor:
        status, media_type, text = get(monitor.port, "/metrics")
        assert status == 200
        assert media_type.startswith("text/plain; version=")
        assert 'foldex_part_live{part="fence"} 1.0' in text

        assert get(monitor.port, "/health/live")[0] == 200
        assert get(monitor.port, "/health/ready")[0] == 200
        worker.failed = RuntimeError(SECRET)
        for path in ("/health/live", "/health/ready"):
            status, media_type, text = get(monitor.port, path)
            assert (status, media_type) == (503, "application/json")
            assert json.loads(text)["reasons"][0]["part"] == "fence"
            assert "hidden" not in text
        assert get(monitor.port, "/")[0] == 404
        assert 'foldex_part_live{part="fence"} 0.0' in get(monitor.port, "/metrics")[2]


@pytest.mark.parametrize("sent", [b"", b"GET /metrics HTTP/1.1\r\n"], ids=["nothing", "half"])
def test_who_says_nothing_at_the_metrics_port_is_left_with_no_trace(
    sent: bytes,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    with watching(metrics_port=free_port()) as monitor:
        with monkeypatch.context() as impatient:
            impatient.setattr(monitor_module._Handler, "timeout", 0.5)
            with socket.create_connection(("127.0.0.1", monitor.port), timeout=10) as silent:
                silent.sendall(sent)
                assert silent.recv(1) == b"", "it is ended"
        assert get(monitor.port, "/health/live")[0] == 200
    said = [each for each in caplog.records if "was not answered" in each.message]
    assert [each.levelname for each in said] == ["DEBUG"]
    assert capfd.readouterr().err == ""


def test_without_a_metrics_port_nothing_is_served() -> None:
    with watching(Probed()) as monitor:
        assert monitor.port == 0
