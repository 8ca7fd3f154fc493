"""docker-compose.yml and Dockerfile, as far as they can be checked without Docker.

That the same commands work together is tested in tests/e2e/test_production.py.
"""

import os
import re
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from ruamel.yaml import YAML

from api.__main__ import app
from api.key_stores import decoded_master_key
from api.settings import Settings
from deploy import make_env
from deploy.services.anvil import VERSION as ANVIL_VERSION
from deploy.services.kafka import VERSION as KAFKA_VERSION

ROOT = Path(__file__).resolve().parents[2]
SECRET = re.compile(r"PASSWORD|TOKEN|SECRET|_KEY\b|DATABASE_URL")
VARIABLE = re.compile(r"\$\{(\w+)(?::([?-])([^}]*))?\}")
PINNED = re.compile(r"[\w./-]+:v?\d+\.\d+\.\d+[\w.-]*")


def load(path: str) -> Any:
    return YAML(typ="safe", pure=True).load((ROOT / path).read_text(encoding="utf-8"))


COMPOSE = load("docker-compose.yml")
SERVICES: dict[str, Any] = COMPOSE["services"]
OURS = sorted(name for name, each in SERVICES.items() if "build" in each)
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
EXAMPLE = dict(
    line.split("=", 1)
    for line in (ROOT / ".env.example").read_text(encoding="utf-8").splitlines()
    if line and not line.startswith("#")
)


def texts(node: Any) -> list[str]:
    if isinstance(node, dict):
        return [text for each in node.values() for text in texts(each)]
    if isinstance(node, list):
        return [text for each in node for text in texts(each)]
    return [node] if isinstance(node, str) else []


def test_it_follows_the_schema_of_compose_files() -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    done = subprocess.run(
        [*command, "docker-compose.yml"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_there_is_a_service_for_each_process() -> None:
    project = {"project-accounts", "project-events", "project-markets"}
    assert {"migrate", "engine", "api", "publish"} | project == set(OURS)
    others = set(SERVICES) - set(OURS)
    assert others == {"postgres", "kafka", "ethereum", "prometheus", "grafana"}


@pytest.mark.parametrize("name", OURS)
def test_every_command_exists_with_its_options(name: str) -> None:
    command: Any = typer.main.get_command(app)
    words = list(SERVICES[name]["command"])
    found = command.commands[words[0]]
    context = found.make_context(words[0], words[1:], resilient_parsing=False)
    assert context.command.name == words[0]


@pytest.mark.parametrize("name", OURS)
def test_every_setting_is_known_and_has_a_good_value(name: str) -> None:
    given = {}
    for variable, value in SERVICES[name]["environment"].items():
        assert variable.startswith("FOLDEX_")
        given[variable.removeprefix("FOLDEX_").lower()] = VARIABLE.sub("0" * 64, value)
    settings = Settings.model_validate(given)
    assert settings.database_url.get_secret_value().startswith("postgresql://")
    assert settings.metrics_host == "0.0.0.0"
    needs = {"engine": "engine_token", "api": "master_key", "publish": "kafka"}
    assert getattr(settings, needs.get(name, "database_url"))


def test_no_secret_is_in_the_file_and_each_must_be_given() -> None:
    seen = 0
    for service in SERVICES.values():
        for name, value in service.get("environment", {}).items():
            if SECRET.search(name) and not name.endswith("_FILE"):
                assert [mark for _, mark, _ in VARIABLE.findall(value)] == ["?"], name
                seen += 1
    assert seen > 5


def test_every_variable_is_in_the_example_or_has_a_default() -> None:
    found = [match for text in texts(COMPOSE) for match in VARIABLE.findall(text)]
    assert {name for name, mark, _ in found if mark != "-"} == set(EXAMPLE)
    assert set(EXAMPLE.values()) == {""}


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_every_service_is_watched_restarted_and_does_not_fill_the_disk(name: str) -> None:
    service = SERVICES[name]
    own, from_image = service.get("healthcheck"), "HEALTHCHECK" in DOCKERFILE and "build" in service
    assert own or from_image
    assert service["restart"] == ("no" if name == "migrate" else "always")
    assert service["logging"]["options"]["max-size"]


@pytest.mark.parametrize("name", sorted(set(SERVICES) - set(OURS)))
def test_images_of_others_are_pinned(name: str) -> None:
    assert PINNED.fullmatch(SERVICES[name]["image"])


def test_the_servers_are_those_that_the_tests_run_on() -> None:
    assert SERVICES["kafka"]["image"] == f"apache/kafka:{KAFKA_VERSION}"
    assert SERVICES["ethereum"]["image"] == f"ghcr.io/foundry-rs/foundry:v{ANVIL_VERSION}"
    assert SERVICES["postgres"]["image"] == "timescale/timescaledb:2.19.3-pg17"
    documented = (ROOT / "docs" / "services.md").read_text(encoding="utf-8")
    assert "17, with TimescaleDB 2.19" in documented


def test_only_this_host_reaches_what_is_published() -> None:
    published = {name: each["ports"] for name, each in SERVICES.items() if "ports" in each}
    assert set(published) == {"api", "grafana"}
    assert all(port.startswith("127.0.0.1:") for ports in published.values() for port in ports)
    assert COMPOSE["networks"]["inside"]["internal"] is True


def test_processes_start_after_the_migration_and_run_with_no_rights() -> None:
    for name in OURS:
        service = SERVICES[name]
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        if name != "migrate":
            condition = service["depends_on"]["migrate"]["condition"]
            assert condition == "service_completed_successfully"
    for service in SERVICES.values():
        assert set(service.get("depends_on", ())) <= set(SERVICES)


def test_what_is_mounted_is_there() -> None:
    for service in SERVICES.values():
        for volume in service.get("volumes", ()):
            source = volume.partition(":")[0]
            assert source in COMPOSE["volumes"] or (ROOT / source).is_dir(), volume


def test_prometheus_scrapes_every_process() -> None:
    [job] = load("deploy/prometheus/prometheus.yml")["scrape_configs"]
    [found] = job["dns_sd_configs"]
    assert str(found["port"]) == SERVICES["engine"]["environment"]["FOLDEX_METRICS_PORT"]
    for name in OURS:
        networks = SERVICES[name]["networks"]
        aliases = networks["inside"]["aliases"] if isinstance(networks, dict) else []
        assert name == "migrate" or {name, *aliases} & set(found["names"]), name
        assert "inside" in networks


def test_the_image_is_pinned_hashed_and_not_root() -> None:
    images = re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)
    assert len(set(images)) == 1
    assert PINNED.fullmatch(images[0])
    assert "--require-hashes" in DOCKERFILE
    assert re.search(r"^USER 10001:10001$", DOCKERFILE, re.MULTILINE)
    assert 'ENTRYPOINT ["python", "-P", "-m", "api"]' in DOCKERFILE
    port = SERVICES["engine"]["environment"]["FOLDEX_METRICS_PORT"]
    assert f"FOLDEX_METRICS_PORT={port}" in DOCKERFILE


def test_the_image_has_every_package_and_the_builder_gets_nothing_else() -> None:
    copied = set(re.findall(r"^COPY (\w[\w.]*) ", DOCKERFILE, re.MULTILINE))
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert copied == (packages - {"tests", "benchmarks", "deploy"}) | {"requirements.lock"}
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert "*" in ignored
    assert {line[1:] for line in ignored if line.startswith("!")} == copied


def test_secrets_are_made_once_and_for_their_owner_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / ".env.example").write_bytes((ROOT / ".env.example").read_bytes())
    assert make_env.main(tmp_path) == 0
    target = tmp_path / ".env"
    assert stat.S_IMODE(os.stat(target).st_mode) == 0o600
    made = target.read_text(encoding="utf-8")
    secrets = dict(line.split("=", 1) for line in made.splitlines() if "=" in line)
    assert set(secrets) == set(EXAMPLE)
    assert len(set(secrets.values())) == len(secrets)
    assert decoded_master_key(secrets["FOLDEX_MASTER_KEY"])
    token = secrets["FOLDEX_ENGINE_TOKEN"]
    settings = Settings.model_validate({"engine_token": token})
    assert settings.engine_token.get_secret_value() == token
    assert make_env.main(tmp_path) == 0
    assert target.read_text(encoding="utf-8") == made
    assert not any(secret in capsys.readouterr().out for secret in secrets.values())
