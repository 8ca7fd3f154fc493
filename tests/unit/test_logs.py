"""One event on each line, in UTC, under its correlation id; secrets are taken out."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import SecretStr

from api.logs import JsonLines, TextLines, configure_logging, correlated, correlation_id, note
from api.settings import Settings

SIGNATURE = "ab" * 32
API_SECRET = "fdxs_in-a-line"
SECRETS = {
    "database_url": "postgresql://foldex:p%40ssword-of-ours@db/foldex",
    "engine_token": 'a-"token"-of-ours',
    "master_key": "bWFzdGVyLWtleS1vZi1vdXJzLW9mLTMyLWJ5dGVzISE=",
}


@pytest.fixture
def restored_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def record(message: str, *args: Any, **more: Any) -> logging.LogRecord:
    made = logging.LogRecord("foldex.x", logging.WARNING, "", 0, message, args, None)
    made.created = 1_700_000_000.0625
    for name, value in more.items():
        setattr(made, name, value)
    return made


def raised(text: str) -> Any:
    try:
        raise ValueError(text)
    except ValueError as error:
        return (ValueError, error, error.__traceback__)


def test_a_line_of_text_has_time_level_logger_message_and_fields() -> None:
    line = TextLines().format(record("%d done", 3, fields={"ms": 1.5}))

    assert line == "2023-11-14T22:13:20.062Z WARNING foldex.x: 3 done  ms=1.5"


def test_a_line_of_json_is_one_object() -> None:
    line = JsonLines().format(record("%d done", 3, fields={"ms": 1.5, "error": ValueError("x")}))

    assert json.loads(line) == {
        "time": "2023-11-14T22:13:20.062Z",
        "level": "warning",
        "logger": "foldex.x",
        "message": "3 done",
        "ms": 1.5,
        "error": "x",
    }


@pytest.mark.parametrize("form", [TextLines, JsonLines])
def test_an_event_is_one_line_whatever_is_in_it(form: type[TextLines]) -> None:
    event = record("%s", "a\nb\r\x1b[2Jc\u2028", fields={"d": "e\nf"}, exc_info=raised("g\nh"))
    line = form().format(event)

    assert len(line.splitlines()) == 1
    assert "\x1b" not in line
    assert "ValueError: g" in line


@pytest.mark.parametrize("form", [TextLines, JsonLines])
def test_secrets_are_taken_out_of_every_line(form: type[TextLines]) -> None:
    event = record(
        "%s %s postgresql://u:short@db/x",
        API_SECRET,
        SIGNATURE,
        fields={"told": SECRETS["engine_token"]},
        exc_info=raised("fdxs_in-a-trace"),
    )
    line = form([SECRETS["engine_token"]]).format(event)

    for secret in ("fdxs_", SIGNATURE, "short", "of-ours"):
        assert secret not in line
    assert line.count("[redacted]") >= 5
    assert "@db/x" not in line or "[redacted]db/x" in line


@pytest.mark.usefixtures("restored_logging")
@pytest.mark.parametrize("log_format", ["text", "json"])
def test_the_secrets_that_are_set_are_never_logged(
    log_format: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = io.StringIO()
    monkeypatch.setattr("sys.stderr", written)
    settings = Settings.model_validate({**SECRETS, "log_format": log_format})
    configure_logging(settings)
    for value in (*SECRETS.values(), "p%40ssword-of-ours", "p@ssword-of-ours"):
        logging.getLogger("foldex").warning("given %s", value, extra={"fields": {"is": value}})
    logging.getLogger("foldex").warning("%r", settings)
    logging.getLogger("foldex").info("%s", SecretStr("x"))

    assert len(written.getvalue().splitlines()) == 7
    assert "of-ours" not in written.getvalue()
    assert SECRETS["master_key"] not in written.getvalue()


def test_the_level_that_is_set_is_the_least_that_is_logged(
    restored_logging: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = io.StringIO()
    monkeypatch.setattr("sys.stderr", written)
    configure_logging(Settings(log_level="error"))
    logging.getLogger("foldex").warning("quiet")
    logging.getLogger("foldex").error("loud")

    assert "quiet" not in written.getvalue()
    assert "loud" in written.getvalue()


def test_lines_of_a_request_have_its_correlation_id() -> None:
    with correlated("order-2041:a.b_c") as notes:
        assert correlation_id() == "order-2041:a.b_c"
        assert "request=order-2041:a.b_c" in TextLines().format(record("x"))
        note("code", "market_closed")
        assert notes == {"code": "market_closed"}

    assert correlation_id() == ""
    assert "request" not in TextLines().format(record("x"))
    note("code", "nobody asks")


@pytest.mark.parametrize("given", [None, "", "a b", "a\nb", "x" * 65, "ü", 'a"'])
def test_an_unsafe_correlation_id_is_replaced(given: str | None) -> None:
    with correlated(given):
        first = correlation_id()
    with correlated(given):
        second = correlation_id()

    assert len(first) == len(second) == 16
    assert given != first != second
