"""Settings come from the environment or are refused by name; logs hold no secret."""

import logging
from pathlib import Path

import pytest

from api.logs import Redacted
from api.problems import REGISTRY
from api.settings import BadSetting, Settings


def test_settings_come_from_the_environment() -> None:
    settings = Settings.from_environment(
        {"FOLDEX_PORT": "9000", "FOLDEX_DATA": "/x", "FOLDEX_VIEW_WAIT_S": "0.5", "OTHER": "1"}
    )

    assert (settings.port, settings.data, settings.view_wait_s) == (9000, Path("/x"), 0.5)
    assert settings.host == "127.0.0.1"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FOLDEX_PORT", "http"),
        ("FOLDEX_PORT", "70000"),
        ("FOLDEX_QUERY_THREADS", "0"),
        ("FOLDEX_COMMAND_TIMEOUT_S", "nan"),
        ("FOLDEX_LOG_LEVEL", "loud"),
    ],
)
def test_a_bad_setting_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(BadSetting, match=name):
        Settings.from_environment({name: value})


def test_settings_do_not_show_the_master_key() -> None:
    assert "abc" not in repr(Settings(master_key="abc"))


def test_secrets_are_taken_out_of_every_line() -> None:
    try:
        raise ValueError("fdxs_in-a-trace")
    except ValueError as error:
        trace = (type(error), error, error.__traceback__)
    signature = "ab" * 32
    record = logging.LogRecord(
        "x", logging.ERROR, "", 0, "%s %s", ("fdxs_in-a-line", signature), trace
    )
    line = Redacted("%(message)s").format(record)

    assert "fdxs_in" not in line
    assert signature not in line
    assert "ValueError" in line


def test_every_code_is_registered_once_with_a_status_and_a_title() -> None:
    for code, info in REGISTRY.items():
        assert code == info.code
        assert 400 <= info.status < 600
        assert info.title
    assert {"bad_decimal", "outcome_unknown", "bad_signature", "overloaded"} <= REGISTRY.keys()
