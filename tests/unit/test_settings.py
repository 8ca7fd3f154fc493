"""Settings come from the environment and its files, or are refused by name; no secret shows."""

import os
import re
from pathlib import Path

import pytest
from pydantic import SecretStr

from api.settings import Settings, is_secret, variable
from api.settings_sources import NOT_SETTINGS, BadSetting, given, read_settings

ROOT = Path(__file__).parents[2]
SECRET = "a-secret-of-a-good-length"


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("FOLDEX_"):
            monkeypatch.delenv(name)


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOLDEX_PORT", "9000")
    monkeypatch.setenv("FOLDEX_DATA", "/x")
    monkeypatch.setenv("FOLDEX_VIEW_WAIT_S", "0.5")
    monkeypatch.setenv("FOLDEX_LOG_LEVEL", "")
    settings = read_settings()

    assert (settings.port, settings.data, settings.view_wait_s) == (9000, Path("/x"), 0.5)
    assert (settings.host, settings.log_level) == ("127.0.0.1", "info")


def test_settings_that_code_makes_take_nothing_from_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FOLDEX_PORT", "9000")

    assert Settings().port == 8000


def test_a_database_may_have_several_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    url = "postgresql://foldex:x@one:5432,two:5433/foldex?target_session_attrs=read-write"
    monkeypatch.setenv("FOLDEX_DATABASE_URL", url)

    assert read_settings().database_url.get_secret_value() == url


def test_the_command_line_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOLDEX_PORT", "9000")

    assert read_settings(port=9001).port == 9001


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FOLDEX_PORT", "http"),
        ("FOLDEX_PORT", "70000"),
        ("FOLDEX_QUERY_THREADS", "0"),
        ("FOLDEX_COMMAND_TIMEOUT_S", "nan"),
        ("FOLDEX_LOG_LEVEL", "loud"),
        ("FOLDEX_LOG_FORMAT", "xml"),
        ("FOLDEX_ENGINE", "engine"),
        ("FOLDEX_ENGINE", "engine:70000"),
        ("FOLDEX_KAFKA", "one:9092,two"),
        ("FOLDEX_HOST", "127.0.0.1\n"),
    ],
)
def test_a_bad_setting_is_refused_by_name_and_value(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(BadSetting, match=f"{name} is {re.escape(repr(value))}: "):
        read_settings()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FOLDEX_DATABASE_URL", f"mysql://foldex:{SECRET}@db/foldex"),
        ("FOLDEX_DATABASE_URL", f"postgresql://foldex:{SECRET}@db:port/foldex"),
        ("FOLDEX_DATABASE_URL", f"postgresql://foldex:{SECRET}@one:5432,two:port/foldex"),
        ("FOLDEX_DATABASE_URL", f"postgresql://foldex:{SECRET}@[db/foldex"),
        ("FOLDEX_ENGINE_TOKEN", SECRET[:15]),
    ],
)
def test_a_bad_secret_is_refused_without_showing_it(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(BadSetting, match=f"{name}: ") as refused:
        read_settings()
    assert SECRET[:15] not in str(refused.value)


def test_all_that_is_wrong_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOLDEX_PORT", "x")
    monkeypatch.setenv("FOLDEX_LOG_LEVEL", "x")

    with pytest.raises(BadSetting, match=r"FOLDEX_PORT.*; FOLDEX_LOG_LEVEL"):
        read_settings()


def test_an_engine_elsewhere_needs_the_token_that_it_asks_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FOLDEX_ENGINE", "engine:7420")
    with pytest.raises(BadSetting, match="FOLDEX_ENGINE needs FOLDEX_ENGINE_TOKEN"):
        read_settings()

    monkeypatch.setenv("FOLDEX_ENGINE_TOKEN", SECRET)
    assert read_settings().engine == "engine:7420"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"PROTOCOL": "SASL_SSL", "USER": "exchange"},
            "FOLDEX_KAFKA_PROTOCOL SASL_SSL needs FOLDEX_KAFKA_USER and FOLDEX_KAFKA_PASSWORD",
        ),
        (
            {"USER": "exchange", "PASSWORD": SECRET},
            "FOLDEX_KAFKA_USER needs FOLDEX_KAFKA_PROTOCOL SASL_SSL",
        ),
        (
            {"PROTOCOL": "SASL_PLAINTEXT", "USER": "u", "PASSWORD": SECRET, "MECHANISM": "PLAIN"},
            "FOLDEX_KAFKA_MECHANISM PLAIN needs FOLDEX_KAFKA_PROTOCOL SASL_SSL",
        ),
        ({"CA": "ca.pem"}, "FOLDEX_KAFKA_CA needs FOLDEX_KAFKA_PROTOCOL SSL or SASL_SSL"),
        ({"PROTOCOL": "TLS"}, "FOLDEX_KAFKA_PROTOCOL is 'TLS': "),
    ],
)
def test_how_to_reach_kafka_has_to_fit_together(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, str], message: str
) -> None:
    for name, value in changes.items():
        monkeypatch.setenv(f"FOLDEX_KAFKA_{name}", value)
    with pytest.raises(BadSetting, match=message) as refused:
        read_settings()
    assert SECRET not in str(refused.value)


def test_the_files_of_the_link_s_tls_come_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOLDEX_ENGINE_CERTIFICATE", "engine.pem")
    with pytest.raises(BadSetting, match=r"needs FOLDEX_ENGINE_CA and FOLDEX_ENGINE_KEY as well"):
        read_settings()

    monkeypatch.setenv("FOLDEX_ENGINE_CA", "ca.pem")
    with pytest.raises(BadSetting, match=r"needs FOLDEX_ENGINE_KEY as well"):
        read_settings()

    monkeypatch.setenv("FOLDEX_ENGINE_KEY", "engine.key")
    assert read_settings().engine_key == Path("engine.key")


def test_a_variable_that_is_no_setting_is_refused_with_the_nearest_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FOLDEX_DATABASE_ULR", SECRET)

    with pytest.raises(BadSetting, match="did you mean FOLDEX_DATABASE_URL") as refused:
        read_settings()
    assert SECRET not in str(refused.value)


def test_a_secret_can_be_in_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "token"
    file.write_text(f"{SECRET}\n", encoding="utf-8")
    monkeypatch.setenv("FOLDEX_ENGINE_TOKEN_FILE", str(file))

    assert read_settings().engine_token == SecretStr(SECRET)
    assert given()["engine_token"].origin == f"FOLDEX_ENGINE_TOKEN_FILE ({file})"

    monkeypatch.setenv("FOLDEX_ENGINE_TOKEN", SECRET)
    with pytest.raises(BadSetting, match="both given"):
        read_settings()


def test_a_file_that_cannot_be_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("FOLDEX_MASTER_KEY_FILE", "FOLDEX_ENV_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
        with pytest.raises(BadSetting, match=f"{name} names .*none: No such file"):
            read_settings()
        (tmp_path / "binary").write_bytes(b"\xff")
        monkeypatch.setenv(name, str(tmp_path / "binary"))
        with pytest.raises(BadSetting, match=f"{name} names .*which is not text"):
            read_settings()
        monkeypatch.delenv(name)


def test_only_secrets_are_taken_from_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOLDEX_PORT_FILE", "/x")

    with pytest.raises(BadSetting, match="FOLDEX_PORT_FILE"):
        read_settings()


def test_a_file_of_settings_says_what_the_environment_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "foldex.env"
    file.write_text(f"# ours\nFOLDEX_PORT=9000\nFOLDEX_ENGINE_TOKEN='{SECRET}'\nFOLDEX_HOST=::1\n")
    monkeypatch.setenv("FOLDEX_ENV_FILE", str(file))
    monkeypatch.setenv("FOLDEX_HOST", "::")
    settings = read_settings()

    assert (settings.port, settings.host) == (9000, "::")
    assert settings.engine_token.get_secret_value() == SECRET
    assert given()["port"].origin == f"FOLDEX_ENV_FILE ({file})"

    file.write_text("FOLDEX_PROT=9000\n")
    with pytest.raises(BadSetting, match=r"FOLDEX_PROT in .* did you mean FOLDEX_PORT"):
        read_settings()


def test_no_secret_shows() -> None:
    shown = Settings.model_validate(
        dict.fromkeys(("master_key", "engine_token", "kafka_password"), SECRET)
        | {"kafka_protocol": "SASL_SSL", "kafka_user": "exchange"}
        | {"database_url": f"postgresql://u:{SECRET}@db/x"}
    )

    assert [name for name in Settings.model_fields if is_secret(name)] == [
        "database_url",
        "master_key",
        "kafka_password",
        "engine_token",
    ]
    for text in (repr(shown), str(shown), shown.model_dump_json()):
        assert SECRET not in text


def test_every_variable_that_the_repository_speaks_of_is_known() -> None:
    known = {variable(name) for name in Settings.model_fields} | NOT_SETTINGS | {"FOLDEX_ENV_FILE"}
    spoken: set[str] = set()
    for folder in ("benchmarks", "docs", "tests/simulation", "tests/properties"):
        for path in sorted((ROOT / folder).rglob("*.*")):
            if path.suffix in (".py", ".md"):
                spoken |= set(re.findall(r"FOLDEX_[A-Z_]*[A-Z]", path.read_text(encoding="utf-8")))
    assert {name.removesuffix("_FILE") for name in spoken} <= {
        name.removesuffix("_FILE") for name in known
    }
