"""What is counted is what happened; every value has a bounded set of labels."""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from api.metrics import GAUGES, Metrics, Reading
from commands.cancel_order import CancelOrder
from commands.errors import CommandNotRecorded
from commands.open_account import OpenAccount
from commands.receipt import Receipt
from domain.errors import UnknownOrder

ROOT = Path(__file__).parents[2]


def values(metrics: Metrics) -> dict[str, float]:
    """Return each sample, by its name and the values of its labels in order of their names."""
    families = text_string_to_metric_families(metrics.exposed().decode())
    return {
        " ".join(
            (sample.name, *(value for _, value in sorted(sample.labels.items())))
        ): sample.value
        for family in families
        for sample in family.samples
    }


def open_account(name: str) -> OpenAccount:
    return OpenAccount(time_ms=1, account=name)


def cancel() -> CancelOrder:
    return CancelOrder(time_ms=1, account="a", order_id=1)


def test_a_commit_is_counted_by_command_and_result() -> None:
    metrics = Metrics()
    decided: list[Any] = [
        ([open_account("a")], [Receipt(1)], None),
        ([cancel(), open_account("b"), cancel()], [UnknownOrder(), Receipt(2), Receipt(3)], None),
    ]
    metrics.engine.committed(decided, 3, 4_000_000)
    found = values(metrics)

    assert found["foldex_commands_total OpenAccount accepted"] == 2
    assert found["foldex_commands_total CancelOrder unknown_order"] == 1
    assert found["foldex_commands_total CancelOrder accepted"] == 1
    assert found["foldex_events_total"] == 3
    assert found["foldex_commit_commands_sum"] == 4
    assert found["foldex_commit_events_sum"] == 3
    assert found["foldex_append_seconds_count"] == 1
    assert found["foldex_append_seconds_sum"] == pytest.approx(0.004)


def test_a_batch_that_recorded_nothing_is_no_commit() -> None:
    metrics = Metrics()
    metrics.engine.committed([([cancel()], [UnknownOrder()], None)], 0, 1)
    found = values(metrics)

    assert found["foldex_commands_total CancelOrder unknown_order"] == 1
    assert found["foldex_append_seconds_count"] == 0


def test_commands_without_an_outcome_are_counted_by_the_error() -> None:
    metrics = Metrics()
    metrics.engine.unanswered([cancel(), cancel()], CommandNotRecorded())

    assert values(metrics)["foldex_commands_total CancelOrder not_recorded"] == 2


def test_recovery_says_how_far_it_is() -> None:
    metrics = Metrics()
    metrics.engine.recovering(50, 200)
    found = values(metrics)

    assert (found["foldex_recovery_position"], found["foldex_recovery_target"]) == (50, 200)


def test_requests_are_counted_by_route_and_status() -> None:
    metrics = Metrics()
    observe = metrics.observe_request
    observe(method="GET", route="/v1/time", status=200, seconds=0.003, code="")
    observe(method="GET", route="/v1/time", status=503, seconds=0.003, code="not_ready")
    found = values(metrics)

    assert found["foldex_http_requests_total GET /v1/time 200"] == 1
    assert found["foldex_http_requests_total GET /v1/time 503"] == 1
    assert found["foldex_http_problems_total not_ready"] == 1
    assert found["foldex_http_request_seconds_bucket 0.005 GET /v1/time"] == 2
    assert found["foldex_http_request_seconds_bucket 0.0025 GET /v1/time"] == 0


class Numbers:
    def __init__(self, numbers: Iterable[Reading]) -> None:
        self.numbers = numbers

    def readings(self) -> Iterable[Reading]:
        return self.numbers


def test_gauges_are_read_when_somebody_asks() -> None:
    metrics = Metrics()
    numbers = Numbers([Reading("foldex_book_orders", 7, ("BTC-USDT", "buy"))])
    metrics.read_from(numbers)
    assert values(metrics)["foldex_book_orders BTC-USDT buy"] == 7

    numbers.numbers = [Reading("foldex_book_orders", 8, ("BTC-USDT", "buy"))]
    assert values(metrics)["foldex_book_orders BTC-USDT buy"] == 8


def test_two_processes_in_one_share_nothing() -> None:
    first, second = Metrics(), Metrics()
    first.engine.unanswered([cancel()], CommandNotRecorded())

    assert "foldex_commands_total CancelOrder not_recorded" not in values(second)


def exposed_names() -> set[str]:
    """Return the name of every series that there can be."""
    suffixes = {
        "counter": ("_total",),
        "histogram": ("_bucket", "_sum", "_count"),
        "gauge": ("",),
    }
    return {
        family.name + suffix
        for family in Metrics().registry.collect()
        for suffix in suffixes[family.type]
    }


def used_names(path: Path) -> set[str]:
    text = path.read_text(encoding="utf-8")
    return set(re.findall(r"\bfoldex_[a-z_]+\b", text))


@pytest.mark.parametrize(
    "path",
    sorted([*ROOT.glob("deploy/grafana/**/*.json"), *ROOT.glob("deploy/prometheus/*.yml")]),
    ids=lambda path: path.name,
)
def test_dashboards_and_alerts_use_only_metrics_that_exist(path: Path) -> None:
    assert used_names(path) <= exposed_names()


def test_there_are_a_dashboard_and_alerts_to_check() -> None:
    [dashboard] = ROOT.glob("deploy/grafana/dashboards/*.json")
    assert json.loads(dashboard.read_text(encoding="utf-8"))["panels"]
    assert used_names(dashboard)
    assert used_names(ROOT / "deploy/prometheus/alerts.yml")


def test_every_metric_is_explained() -> None:
    page = (ROOT / "docs/observability.md").read_text(encoding="utf-8")
    for family in Metrics().registry.collect():
        assert f"`{family.name}" in page


def test_every_gauge_is_named_by_its_unit() -> None:
    for name in GAUGES:
        assert name.rpartition("_")[2] in {
            "live", "ready", "position", "commands", "levels", "orders", "events", "seconds",
            "paused", "height", "differences", "payments",
        }  # fmt: skip
