"""The running exchange says whether it lives and is ready, and why not; each state is caused."""

import logging
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from api.migration import migrate
from api.settings import Settings
from domain.events import WriterStarted
from tests.api_client import (
    Served,
    created,
    exchange_with_traders,
    limit_order,
    ok,
    problem_code,
    serving,
)
from tests.processes import free_port
from tests.waiting import until

QUICK_MS = 300


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    settings = {"max_view_lag_ms": QUICK_MS, "metrics_port": free_port()}
    with exchange_with_traders(tmp_path / "data", **settings) as running:
        yield running


def is_ready(served: Served) -> bool:
    return bool(served.http.get("/health/ready").status_code == 200)


def own(served: Served, path: str) -> httpx.Response:
    """Return what the process's own port answers."""
    return httpx.get(f"http://127.0.0.1:{served.foldex.monitor.port}{path}")


def reasons(served: Served) -> dict[str, str]:
    response = served.http.get("/health/ready")
    assert problem_code(response) == "not_ready"
    return {row["pointer"]: row["detail"] for row in response.json()["errors"]}


def test_a_running_exchange_is_alive_and_ready(served: Served) -> None:
    until(lambda: is_ready(served))

    assert ok(served.http.get("/health/live")) == {"status": "alive"}
    answer = ok(served.http.get("/health/ready"))
    assert answer == {"status": "ready", "position": served.position, "queue": 0}
    assert own(served, "/health/ready").json() == {"status": "ready", "reasons": []}


def test_a_paused_projection_makes_it_not_ready(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    until(lambda: is_ready(served))
    runner = served.foldex.runner
    with monkeypatch.context() as paused:
        resting = threading.Event()

        def rest() -> int:
            resting.set()
            return 0

        paused.setattr(runner, "_fold_next", rest)
        assert resting.wait(10), "nothing is being folded any more"
        created(served.trader("alice").send("POST", "/v1/orders", limit_order()))
        until(lambda: not is_ready(served))

        assert list(reasons(served)) == ["views"]
        assert "behind" in reasons(served)["views"]
        assert own(served, "/health/ready").status_code == 503
        assert ok(served.http.get("/health/live")) == {"status": "alive"}
    until(lambda: is_ready(served))


def test_a_projection_that_failed_makes_it_not_alive(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> int:
        raise RuntimeError("fdxs_in-an-error")

    monkeypatch.setattr(served.foldex.runner, "_fold_next", fail)
    until(lambda: served.foldex.runner.failed is not None)
    response = served.http.get("/health/live")

    assert problem_code(response) == "not_alive"
    assert response.json()["detail"] == "views: it stopped by itself (RuntimeError)"
    assert own(served, "/health/live").status_code == 503


def test_an_engine_that_failed_makes_it_not_alive(served: Served) -> None:
    # Another writer takes over behind the lock's back.
    now_ms = served.clock()
    with served.foldex.deployment.open_store() as store:
        store.log.append([WriterStarted(now_ms, "another")], now_ms)
    served.trader("alice").send("POST", "/v1/orders", limit_order())

    assert problem_code(served.http.get("/health/live")) == "not_alive"
    assert "engine" in reasons(served)


def test_an_exchange_that_shuts_down_is_not_ready(served: Served) -> None:
    until(lambda: is_ready(served))
    served.foldex.gateway.stop()

    assert reasons(served) == {"process": "it is shutting down"}


def test_metrics_follow_what_happens(served: Served) -> None:
    alice = served.trader("alice")
    created(alice.send("POST", "/v1/orders", limit_order()))
    alice.send("POST", "/v1/orders", limit_order(quantity="1000000"))
    expected = {
        'foldex_commands_total{command="PlaceOrder",result="accepted"} 1.0',
        'foldex_commands_total{command="PlaceOrder",result="insufficient_funds"} 1.0',
        'foldex_http_requests_total{method="POST",route="/v1/orders",status="201"} 1.0',
        'foldex_http_problems_total{code="insufficient_funds"} 1.0',
        'foldex_book_orders{market="BTC-USDT",side="buy"} 1.0',
        'foldex_book_levels{market="BTC-USDT",side="sell"} 0.0',
        f"foldex_engine_position {served.position:.1f}",
        "foldex_view_lag_events 0.0",
        'foldex_part_ready{part="log"} 1.0',
    }
    until(lambda: expected <= set(own(served, "/metrics").text.splitlines()), str(expected))


def test_the_public_port_has_no_metrics(served: Served) -> None:
    assert problem_code(served.http.get("/metrics")) == "not_found"


def test_a_database_that_stops_answering_makes_it_not_ready_until_it_is_back(
    tmp_path: Path,
    postgres_url: str,
    postgres_database: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.CRITICAL)
    name = postgres_database.rpartition("/")[2]
    migrate(Settings.model_validate({"database_url": postgres_database}))
    with (
        psycopg.connect(postgres_url, autocommit=True) as server,
        serving(tmp_path / "data", database_url=postgres_database, master_key="ab" * 32) as served,
    ):
        until(lambda: is_ready(served))
        allow = SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}")
        server.execute(allow.format(Identifier(name), SQL("false")))
        server.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,)
        )
        until(lambda: not is_ready(served))
        found = reasons(served)
        server.execute(allow.format(Identifier(name), SQL("true")))
        if served.foldex.failed is None:
            until(lambda: is_ready(served))

    assert {"log", "views"} & set(found)
    assert all("127.0.0.1" not in detail and "postgres" not in detail for detail in found.values())
