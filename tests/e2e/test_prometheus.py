"""A real Prometheus, set up as deploy/ says, watches a running demo."""

import json
import re
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from ruamel.yaml import YAML

from deploy.services import prometheus
from deploy.services.process import ServiceError, await_ready
from tests import services
from tests.e2e.custody_steps import demo_in
from tests.processes import ROOT, free_port
from tests.waiting import until

SETUP = ROOT / "deploy" / "prometheus"
DASHBOARD = json.loads((ROOT / "deploy/grafana/dashboards/foldex.json").read_text("utf-8"))
QUERIES = [target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", ())]
pytestmark = pytest.mark.timeout(300)  # The first time, Prometheus is downloaded.
NOT_IN_A_DEMO = ("publisher", "recovery_target")
"""Parts of the names of what a demo has nothing to say about: it has no Kafka and no old log."""
PATIENCE_S = 60


class Prometheus:
    """Asks the server, until it says what is waited for."""

    def __init__(self, url: str, exchange: str) -> None:
        self._url = url
        self._exchange = exchange

    def ask(self, path: str, **parameters: str) -> Any:
        answer = httpx.get(f"{self._url}/api/v1/{path}", params=parameters).json()
        assert answer["status"] == "success", answer["error"]
        return answer["data"]

    def values(self, query: str) -> list[Any]:
        """Return the series that a query finds now."""
        found: list[Any] = self.ask("query", query=query)["result"]
        return found

    def wait_for_values(self, query: str) -> list[Any]:
        """Return the series as soon as there are some, all of them numbers, or at last anyway."""
        deadline_s = time.monotonic() + PATIENCE_S
        while True:
            for path in ("/v1/time", "/v1/markets/NONE"):  # There must be requests to show.
                httpx.get(f"{self._exchange}{path}")
            found = self.values(query)
            if _are_numbers(found) or time.monotonic() > deadline_s:
                return found
            time.sleep(0.2)


def _are_numbers(found: list[Any]) -> bool:
    return bool(found) and all(series["value"][1] != "NaN" for series in found)


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """Give a Prometheus that watches a demo, and a process named `api` that does not answer."""
    try:
        program = prometheus.install()
    except ServiceError as error:
        services.skip_or_fail(f"needs Prometheus: {error}")
    place = tmp_path_factory.mktemp("prometheus")
    metrics, port, nobody = free_port(), free_port(), free_port()
    _write_setup(place, {"engine": metrics, "api": nobody})
    command = [
        str(program),
        f"--config.file={place / 'prometheus.yml'}",
        f"--storage.tsdb.path={place / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    url = f"http://127.0.0.1:{port}"
    with (
        demo_in(place / "demo", {"FOLDEX_METRICS_PORT": str(metrics)}) as printed,
        (place / "log").open("wb") as log,
        subprocess.Popen(command, stdout=log, stderr=log) as process,
    ):
        try:
            await_ready(process, lambda: _answers(url), log=place / "log", timeout_s=PATIENCE_S)
            [exchange] = set(re.findall(r"http://127\.0\.0\.1:\d+", printed))
            yield Prometheus(url, exchange)
        finally:
            process.terminate()


def _write_setup(place: Path, ports: dict[str, int]) -> None:
    """Write the setup of deploy/, but asking every second, and at these ports of this machine."""
    yaml = YAML(typ="safe", pure=True)
    setup = yaml.load((SETUP / "prometheus.yml").read_text("utf-8"))
    setup["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    [scraped] = setup["scrape_configs"]
    del scraped["dns_sd_configs"]
    scraped["static_configs"] = [
        {"targets": [f"127.0.0.1:{port}"], "labels": {"__meta_dns_name": service}}
        for service, port in ports.items()
    ]
    with (place / "prometheus.yml").open("w", encoding="utf-8") as file:
        yaml.dump(setup, file)
    for name in setup["rule_files"]:
        (place / name).write_bytes((SETUP / name).read_bytes())


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/-/ready").is_success
    except httpx.HTTPError:
        return False


@pytest.mark.parametrize("query", QUERIES)
def test_the_dashboard_has_something_to_show(watched: Prometheus, query: str) -> None:
    query = query.replace("$__rate_interval", "15s")
    if any(part in query for part in NOT_IN_A_DEMO):
        assert watched.values(query) == []
    else:
        assert _are_numbers(watched.wait_for_values(query))


def test_every_alert_can_be_worked_out_and_none_is_raised_for_a_sound_exchange(
    watched: Prometheus,
) -> None:
    watched.wait_for_values('foldex_part_live{service="engine"}')
    watched.wait_for_values('ALERTS{alertname="FoldexProcessDown"}')
    seen = datetime.now(UTC)
    # Before the first answers were read, it was right to miss an engine.
    group = until(lambda: evaluated_since(watched, seen), "the alerts are worked out anew")
    assert {rule["health"] for rule in group["rules"]} == {"ok"}
    raised = {rule["name"] for rule in group["rules"] if rule["state"] != "inactive"}
    assert raised == {"FoldexProcessDown"}


def evaluated_since(watched: Prometheus, seen: datetime) -> Any:
    """Return the alerts once all of them were worked out after a time; None before."""
    [group] = watched.ask("rules")["groups"]
    last = min(datetime.fromisoformat(rule["lastEvaluation"]) for rule in group["rules"])
    return group if last > seen else None


def test_a_process_that_does_not_answer_is_named(watched: Prometheus) -> None:
    [alert] = watched.wait_for_values('ALERTS{alertname="FoldexProcessDown"}')
    assert alert["metric"]["service"] == "api"
    assert alert["metric"]["severity"] == "critical"
