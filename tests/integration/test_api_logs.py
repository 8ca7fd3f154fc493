"""Each request leaves one line, with its correlation id, and no secret of anybody."""

import json
import logging
from collections.abc import Iterator

import pytest

from api.logs import JsonLines
from tests.api_client import Client, Served, exchange_with_traders, limit_order, ok, problem_code


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with exchange_with_traders(tmp_path_factory.mktemp("exchange")) as running:
        yield running


@pytest.fixture
def alice(served: Served) -> Client:
    return served.trader("alice")


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.DEBUG)
    caplog.handler.setFormatter(JsonLines())
    return caplog


def access_lines(lines: pytest.LogCaptureFixture) -> list[dict[str, object]]:
    found = [json.loads(line) for line in lines.text.splitlines()]
    return [line for line in found if line["logger"] == "foldex.access"]


def test_a_request_leaves_its_method_route_status_duration_and_key(
    alice: Client, lines: pytest.LogCaptureFixture
) -> None:
    ok(alice.send("GET", "/v1/trades?limit=1", headers={"X-Request-ID": "mine-1"}))

    [line] = access_lines(lines)
    assert line.pop("ms", None) is not None
    assert line.pop("time", None)
    assert line == {
        "level": "info",
        "logger": "foldex.access",
        "message": "GET /v1/trades",
        "status": 200,
        "key": alice.key_id,
        "request": "mine-1",
    }


def test_a_refused_command_leaves_its_code(alice: Client, lines: pytest.LogCaptureFixture) -> None:
    response = alice.send("POST", "/v1/orders", limit_order(quantity="100000"))

    assert problem_code(response) == "insufficient_funds"
    [line] = access_lines(lines)
    assert (line["status"], line["code"]) == (response.status_code, "insufficient_funds")


def test_the_engine_says_what_became_of_each_command_under_the_same_id(
    alice: Client, lines: pytest.LogCaptureFixture
) -> None:
    orders = [limit_order(), limit_order(quantity="100000")]
    headers = {"X-Request-ID": "mine-3", "Idempotency-Key": "k-logs"}
    alice.send("POST", "/v1/orders/batch", {"orders": orders}, headers=headers)

    found = [json.loads(line) for line in lines.text.splitlines()]
    said = [line for line in found if line["logger"] == "foldex.engine"]
    assert [(line["message"], line["result"], line["request"]) for line in said] == [
        ("PlaceOrder", "accepted", "mine-3"),
        ("PlaceOrder", "insufficient_funds", "mine-3"),
    ]


def test_the_correlation_id_is_in_the_reply_and_the_problem(alice: Client) -> None:
    response = alice.send("GET", "/v1/orders/777", headers={"X-Request-ID": "mine-2"})

    assert response.headers["X-Request-ID"] == response.json()["correlation_id"] == "mine-2"


def test_an_unsafe_correlation_id_is_not_taken(alice: Client) -> None:
    first = alice.send("GET", "/v1/orders", headers={"X-Request-ID": "a b"})
    second = alice.send("GET", "/v1/orders")

    assert len(first.headers["X-Request-ID"]) == 16
    assert first.headers["X-Request-ID"] != second.headers["X-Request-ID"]


def test_health_checks_are_only_logged_when_debugging(
    served: Served, lines: pytest.LogCaptureFixture
) -> None:
    served.http.get("/health/live")

    assert [line["level"] for line in access_lines(lines)] == ["debug"]


def test_paths_that_do_not_exist_share_one_name(
    served: Served, lines: pytest.LogCaptureFixture
) -> None:
    served.http.get("/wp-admin")
    served.http.request("BREW", "/v1/time")

    assert [line["message"] for line in access_lines(lines)] == ["GET (none)", "(other) /v1/time"]


def test_no_request_leaves_a_secret(
    served: Served,
    alice: Client,
    lines: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    secret, signed = alice.secret, alice.signature("GET", "/v1/balances")
    signature = signed["X-Foldex-Signature"]
    served.http.get("/v1/balances", headers=signed)
    served.http.get("/v1/balances", headers={**signed, "X-Foldex-Key": secret})
    served.http.get("/v1/balances", headers={**signed, "X-Foldex-Timestamp": secret})
    served.http.get(f"/v1/balances?secret={secret}", headers={"X-Request-ID": secret})
    served.http.get(f"/v1/{secret}/{signature}")
    served.http.get(f"/v1/requests/{secret}", headers={"Idempotency-Key": secret})
    alice.send("POST", "/v1/orders", limit_order(side=secret, **{secret: secret}))
    alice.send("POST", "/v1/orders", f'{{"side": "{secret}'.encode())
    alice.send("POST", "/v1/orders", limit_order(client_order_id=secret))
    alice.send("DELETE", f"/v1/orders/{secret}")

    def broken(_: str) -> None:
        raise RuntimeError(secret)

    monkeypatch.setattr(served.foldex.views, "balances", broken, raising=True)
    failed = alice.send("GET", "/v1/balances")

    assert problem_code(failed) == "internal_error"
    assert len(access_lines(lines)) == 11
    for hidden in (secret, secret[5:], signature):
        assert hidden not in lines.text
    assert "Traceback" not in lines.text
