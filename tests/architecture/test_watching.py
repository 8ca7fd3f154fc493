"""The configuration of Prometheus and Grafana fits docker-compose.yml; alerts say what they mean.

That all of them use only metrics that exist: tests/unit/test_metrics.py.
"""

import json
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[2]


def load(path: str) -> Any:
    return YAML(typ="safe", pure=True).load((ROOT / path).read_text(encoding="utf-8"))


COMPOSE = load("docker-compose.yml")
SERVICES: dict[str, Any] = COMPOSE["services"]
[SCRAPED] = load("deploy/prometheus/prometheus.yml")["scrape_configs"]
[GROUP] = load("deploy/prometheus/alerts.yml")["groups"]
DASHBOARD = json.loads((ROOT / "deploy/grafana/dashboards/foldex.json").read_text("utf-8"))


def names_of(name: str) -> set[str]:
    """Return the names under which a service is found."""
    networks = SERVICES[name].get("networks") or []
    given = networks.values() if isinstance(networks, dict) else []
    return {name, *(alias for each in given if each for alias in each.get("aliases", ()))}


def test_every_process_that_stays_is_scraped_on_its_metrics_port() -> None:
    [discovery] = SCRAPED["dns_sd_configs"]
    staying = [
        name
        for name, each in SERVICES.items()
        if "build" in each and each["command"] != ["migrate"]
    ]
    assert staying
    for name in staying:
        assert names_of(name) & set(discovery["names"]), name
        assert SERVICES[name]["environment"]["FOLDEX_METRICS_PORT"] == str(discovery["port"])
    known = set().union(*(names_of(name) for name in staying))
    assert set(discovery["names"]) <= known


@pytest.mark.parametrize("rule", GROUP["rules"], ids=lambda rule: rule["alert"])
def test_every_alert_says_what_is_wrong_and_how_bad_that_is(rule: dict[str, Any]) -> None:
    assert rule["expr"].count("(") == rule["expr"].count(")")
    assert rule["labels"]["severity"] in ("warning", "critical")
    assert rule["for"]
    assert rule["annotations"]["summary"]


def test_the_dashboard_asks_the_data_source_that_is_provisioned() -> None:
    [source] = load("deploy/grafana/provisioning/datasources/prometheus.yml")["datasources"]
    asked = {
        target["datasource"]["uid"]
        for panel in DASHBOARD["panels"]
        for target in panel.get("targets", ())
    }

    assert asked == {source["uid"]}
    assert source["url"] == "http://prometheus:9090"
    assert "prometheus" in SERVICES


def test_the_dashboard_is_where_grafana_looks() -> None:
    [provider] = load("deploy/grafana/provisioning/dashboards/foldex.yml")["providers"]
    place = provider["options"]["path"]

    assert f"./deploy/grafana/dashboards:{place}:ro" in SERVICES["grafana"]["volumes"]


def test_panels_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert at["x"] + at["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells
