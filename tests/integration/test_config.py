"""`config` says what is set and tries what it points to; every check can fail; no secret shows."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from api.config_check import Finding, check
from api.deployment import deployment_of
from api.migration import migrate
from api.settings import Settings
from deploy.services.process import accepts_connections
from eventstore.kafka_brokers import Brokers
from eventstore.kafka_topics import TOPICS, TopicPlan, administrator, ensure_topics
from tests.certificates import Authority
from tests.processes import free_port

ROOT = Path(__file__).parents[2]
SECRET = "a-secret-of-a-good-length"
KEY = "ab" * 32


def config(*arguments: str, **variables: str) -> tuple[int, str]:
    """Run `config` with nothing set but these variables; return its exit code and all it wrote."""
    clean = {name: text for name, text in os.environ.items() if not name.startswith("FOLDEX_")}
    ran = subprocess.run(
        [sys.executable, "-m", "api", "config", *arguments],
        cwd=ROOT,
        env={**clean, **{f"FOLDEX_{name}": text for name, text in variables.items()}},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return ran.returncode, ran.stdout + ran.stderr


def found(**settings: Any) -> dict[str, Finding]:
    """Return what the check finds, by what was tried."""
    return {finding.what: finding for finding in check(Settings.model_validate(settings))}


def test_show_says_where_values_come_from_and_no_secret(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(SECRET, encoding="utf-8")
    given = {
        "PORT": "9000",
        "ENGINE_TOKEN_FILE": str(file),
        "DATABASE_URL": f"postgresql://foldex:{SECRET}@db/foldex",
    }
    code, text = config("show", **given)
    assert code == 0
    assert SECRET not in text
    assert "* FOLDEX_PORT                  9000" in text
    assert f"* FOLDEX_ENGINE_TOKEN          [secret]  FOLDEX_ENGINE_TOKEN_FILE ({file})" in text

    code, text = config("show", "--json", **given)
    rows = {row["variable"]: row for row in json.loads(text)["settings"]}
    assert SECRET not in text
    assert rows["FOLDEX_PORT"] == {
        "variable": "FOLDEX_PORT", "value": "9000", "origin": "FOLDEX_PORT",
    }  # fmt: skip
    assert (rows["FOLDEX_HOST"]["origin"], rows["FOLDEX_MASTER_KEY"]["value"]) == ("default", "")


def test_check_ends_with_1_when_a_setting_is_bad() -> None:
    code, text = config("check", "--json", DATABASE_URL=f"mysql://foldex:{SECRET}@db")

    assert code == 1
    assert SECRET not in text
    assert json.loads(text)["ok"] is False
    assert json.loads(text)["checks"][0]["what"] == "settings"


def test_check_ends_with_0_where_an_exchange_can_begin(tmp_path: Path) -> None:
    code, text = config("check", DATA=str(tmp_path / "new"))

    assert code == 0
    assert "has no exchange yet" in text
    assert not (tmp_path / "new").exists()


def test_an_exchange_is_opened(tmp_path: Path) -> None:
    deployment_of(Settings(data=tmp_path)).open_store(create=True).close()
    assert found(data=tmp_path)["data"].level == "ok"

    (tmp_path / "log.db").write_bytes(b"not a database, but long enough to look like one" * 100)
    assert found(data=tmp_path)["data"].level == "error"


def test_a_data_directory_that_cannot_be_is_found(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    assert found(data=tmp_path / "file" / "data")["data"].level == "error"


def test_an_api_for_everybody_needs_a_proxy(tmp_path: Path) -> None:
    assert found(data=tmp_path, host="0.0.0.0")["host"].level == "warning"


def test_a_plain_link_that_others_reach_is_warned_of(tmp_path: Path) -> None:
    assert "link" not in found(data=tmp_path)
    assert found(data=tmp_path, engine_host="10.0.0.5")["link"].level == "warning"


def test_a_certificate_that_expires_soon_is_warned_of(tmp_path: Path) -> None:
    authority = Authority.make(tmp_path)
    key, certificate = authority.issue(tmp_path, days_valid=13)
    tls = {"engine_ca": authority.certificate, "engine_certificate": certificate}
    checked = found(data=tmp_path / "data", engine_host="10.0.0.5", engine_key=key, **tls)
    assert checked["certificate"].level == "warning"
    assert "renew it" in checked["certificate"].advice
    assert "link" not in checked


def test_a_database_that_does_not_answer_is_found() -> None:
    url = f"postgresql://foldex:{SECRET}@127.0.0.1:{free_port()}/foldex"
    finding = found(database_url=url)["database"]

    assert finding.level == "error"
    assert "FOLDEX_DATABASE_URL" in finding.advice
    assert SECRET not in str(finding)


def test_a_database_is_checked_before_and_after_it_was_migrated(postgres_database: str) -> None:
    before = found(database_url=postgres_database)
    assert before["database"].level in ("ok", "warning")
    assert before["timescaledb"].level in ("ok", "warning")
    assert (before["log"].level, before["log"].advice) == ("error", "run `./foldex migrate`")
    assert before["keys"].level == "error"

    migrate(Settings.model_validate({"database_url": postgres_database}))
    after = found(database_url=postgres_database, master_key=KEY, metrics_port=9464)
    assert {finding.level for finding in after.values()} <= {"ok", "warning"}
    assert (after["log"].level, after["views"].level, after["keys"].level) == ("ok", "ok", "ok")
    assert "metrics" not in after


def test_a_safeguard_that_was_removed_is_found(postgres_database: str) -> None:
    migrate(Settings.model_validate({"database_url": postgres_database}))
    with psycopg.connect(postgres_database, autocommit=True) as connection:
        connection.execute("DROP TRIGGER events_are_never_changed ON foldex.stored_events")

    assert "events_are_never_changed" in found(database_url=postgres_database)["log"].detail


def test_views_of_another_version_are_found(postgres_database: str) -> None:
    migrate(Settings.model_validate({"database_url": postgres_database}))
    with psycopg.connect(postgres_database, autocommit=True) as connection:
        connection.execute("INSERT INTO foldex_views.migrations VALUES (1000)")

    finding = found(database_url=postgres_database)["views"]
    assert (finding.level, finding.advice) == ("error", "upgrade Foldex")


def test_brokers_that_do_not_answer_are_found(tmp_path: Path) -> None:
    code, text = config("check", "--json", DATA=str(tmp_path), KAFKA=f"127.0.0.1:{free_port()}")
    [finding] = [each for each in json.loads(text)["checks"] if each["what"] == "kafka"]

    assert code == 1
    assert finding["level"] == "error"


@pytest.fixture
def prefix(kafka_bootstrap: str) -> Iterator[str]:
    name = f"check-{uuid4().hex[:12]}."
    yield name
    with administrator(Brokers(kafka_bootstrap)) as admin:
        ours = [topic for topic in admin.list_topics() if topic.startswith(name)]
        if ours:
            admin.delete_topics(ours)


def test_topics_are_checked(tmp_path: Path, kafka_bootstrap: str, prefix: str) -> None:
    settings = {"data": tmp_path, "kafka": kafka_bootstrap, "kafka_prefix": prefix}
    missing = found(**settings)
    assert {missing[f"topic {prefix}{name}"].level for name in TOPICS} == {"error"}

    wrong = {"errors": TopicPlan(about="With another number of partitions.", partitions=1)}
    ensure_topics(Brokers(kafka_bootstrap), plans=wrong, prefix=prefix)
    right = {name: plan for name, plan in TOPICS.items() if name != "errors"}
    ensure_topics(Brokers(kafka_bootstrap), plans=right, prefix=prefix)
    there = found(**settings)
    assert there[f"topic {prefix}events"].level == "ok"
    assert there[f"topic {prefix}errors"].level == "error"
    assert "1 partitions, not 3" in there[f"topic {prefix}errors"].detail


def test_an_engine_is_found_with_its_token_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    clean = {name: text for name, text in os.environ.items() if not name.startswith("FOLDEX_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "api", "engine", "--data", str(tmp_path), "--port", str(port)],
        cwd=ROOT,
        env={**clean, "FOLDEX_ENGINE_TOKEN": SECRET},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    with process:
        assert process.stdout is not None
        process.stdout.readline()
        assert accepts_connections("127.0.0.1", port)
        address = {"data": tmp_path, "engine": f"127.0.0.1:{port}"}
        right = found(**address, engine_token=SECRET)["engine"]
        monkeypatch.setattr("api.config_check.ENGINE_S", 0.5)
        wrong = found(**address, engine_token=SECRET + "x")["engine"]
        process.terminate()

    assert right.level == "ok"
    assert (wrong.level, "FOLDEX_ENGINE_TOKEN" in wrong.advice) == ("error", True)


def test_an_engine_that_is_not_there_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.config_check.ENGINE_S", 0.5)
    settings = {"data": tmp_path, "engine": f"127.0.0.1:{free_port()}", "engine_token": SECRET}

    assert found(**settings)["engine"].level == "error"


def test_a_clock_that_is_not_set_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.config_check.time.time", lambda: 3600.0)

    assert found(data=tmp_path)["clock"].level == "error"
