"""A bad request gets a clear problem with its own code, and changes nothing."""

import logging
from collections.abc import Iterator
from typing import Any

import pytest

from api.logs import TextLines
from tests.api_client import (
    Client,
    Served,
    exchange_with_traders,
    limit_order,
    problem_code,
)

MIB = 1024 * 1024


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with exchange_with_traders(tmp_path_factory.mktemp("exchange")) as running:
        yield running


@pytest.fixture(scope="module")
def alice(served: Served) -> Client:
    return served.trader("alice")


@pytest.fixture(autouse=True)
def nothing_changes(
    served: Served, alice: Client, caplog: pytest.LogCaptureFixture
) -> Iterator[None]:
    """Each test of this file leaves the exchange as it was, and logs no secret."""
    caplog.set_level(logging.DEBUG)
    before = served.position
    yield
    assert served.position == before
    assert alice.secret not in caplog.text


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"market": "NO-SUCH"}, "unknown_market"),
        ({"price": "1O0"}, "bad_decimal"),
        ({"price": "1e2"}, "bad_decimal"),
        ({"price": " 100"}, "bad_decimal"),
        ({"price": "+100"}, "bad_decimal"),
        ({"price": "١٠٠"}, "bad_decimal"),
        ({"price": ""}, "bad_decimal"),
        ({"price": "NaN"}, "bad_decimal"),
        ({"price": "Infinity"}, "bad_decimal"),
        ({"price": "-100"}, "bad_decimal"),
        ({"quantity": "-1"}, "bad_decimal"),
        ({"price": 100}, "bad_decimal"),
        ({"price": 100.5}, "bad_decimal"),
        ({"quantity": 1}, "bad_decimal"),
        ({"quantity": True}, "bad_decimal"),
        ({"price": "0"}, "not_positive"),
        ({"quantity": "0.000"}, "not_positive"),
        ({"price": "100.001"}, "off_step"),
        ({"quantity": "0.0005"}, "off_step"),
        ({"price": "1" + "0" * 60}, "bad_decimal"),
        ({"price": "1" + "0" * 27}, "amount_too_large"),
        ({"quantity": "9" * 18}, "amount_too_large"),
        ({"price": "90000000", "quantity": "90000000"}, "amount_too_large"),
        ({"price": "1" * 65}, "bad_field"),
        ({"price": "0.01"}, "below_minimum"),
        ({"price": "1000000", "quantity": "100"}, "insufficient_funds"),
        ({"side": "hold"}, "bad_field"),
        ({"type": "stop"}, "bad_field"),
        ({"time_in_force": "gtd"}, "bad_field"),
        ({"post_only": "yes"}, "bad_field"),
        ({"client_order_id": "no spaces"}, "bad_field"),
        ({"price": None}, "missing_field"),
        ({"quantity": None}, "missing_field"),
        ({"market": None}, "missing_field"),
        ({"quote_amount": "10"}, "bad_field"),
        ({"type": "market", "price": None, "quantity": None}, "missing_field"),
        (
            {"type": "market", "price": None, "quantity": None, "quote_amount": "1.123456789"},
            "too_many_decimals",
        ),
        ({"type": "market", "price": None}, "no_liquidity"),
        ({"leverage": "10"}, "unknown_parameter"),
    ],
)
def test_a_bad_order_is_refused(alice: Client, changes: dict[str, Any], code: str) -> None:
    response = alice.send("POST", "/v1/orders", limit_order(**changes))

    assert problem_code(response) == code


@pytest.mark.parametrize(
    "body", [b"{", b"", b"nonsense", b'{"price": }', b"\xff\xfe", b"[" * 90_000]
)
def test_malformed_json_is_refused(alice: Client, body: bytes) -> None:
    response = alice.send("POST", "/v1/orders", body, headers={"Content-Type": "application/json"})

    assert problem_code(response) in ("malformed_json", "missing_field")
    assert body == b"" or problem_code(response) == "malformed_json"


@pytest.mark.parametrize("body", [[], "text", 1, None])
def test_a_body_that_is_no_object_is_refused(alice: Client, body: Any) -> None:
    response = alice.send("POST", "/v1/orders", b"null" if body is None else body)

    assert problem_code(response) in ("bad_field", "missing_field")


def test_a_body_of_10_mb_is_refused(alice: Client) -> None:
    assert problem_code(alice.send("POST", "/v1/orders", b" " * 10 * MIB)) == "body_too_large"


def test_a_body_of_unknown_length_is_read_up_to_the_limit_only(alice: Client) -> None:
    sent = 0

    def parts() -> Iterator[bytes]:
        nonlocal sent
        for _ in range(64):
            sent += MIB // 4
            yield b" " * (MIB // 4)

    response = alice.http.request(
        "POST", "/v1/orders", content=parts(), headers={"Content-Type": "application/json"}
    )

    assert problem_code(response) == "body_too_large"


def test_another_media_type_is_refused(alice: Client) -> None:
    response = alice.send("POST", "/v1/orders", limit_order(), headers={"Content-Type": "text/xml"})

    assert problem_code(response) == "unsupported_media_type"


def test_a_query_with_a_body_is_refused(alice: Client) -> None:
    assert problem_code(alice.send("GET", "/v1/balances", {"a": 1})) == "unexpected_body"


@pytest.mark.parametrize(
    ("target", "code"),
    [
        ("/v1/orders/open?markt=BTC-USDT", "unknown_parameter"),
        ("/v1/orders/open?market=BTC-USDT&market=BTC-USDT", "unknown_parameter"),
        ("/v1/orders/open?limit=1000000000", "bad_limit"),
        ("/v1/orders/open?limit=0", "bad_limit"),
        ("/v1/orders/open?limit=-1", "bad_limit"),
        ("/v1/orders/open?limit=all", "bad_limit"),
        ("/v1/orders/open?limit=99999999999999999999999", "bad_limit"),
        ("/v1/orders/open?after=x", "bad_field"),
        ("/v1/orders/open?after=99999999999999999999999", "bad_field"),
        ("/v1/balances?min_position=-1", "bad_field"),
        ("/v1/markets/BTC-USDT/candles?interval=7m", "bad_field"),
        ("/v1/markets/BTC-USDT/candles", "missing_field"),
        ("/v1/markets/NO-SUCH/depth", "unknown_market"),
        ("/v1/orders/x", "bad_field"),
        ("/v1/orders/0", "bad_field"),
        ("/v1/orders/99999999999999999999999", "bad_field"),
        ("/v1/orders/424242", "unknown_order"),
        ("/v1/withdrawals/424242", "unknown_withdrawal"),
        ("/v1/withdrawals?status=lost", "bad_field"),
        ("/v1/nothing", "not_found"),
        ("/", "not_found"),
        ("/v1/orders/", "not_found"),
    ],
)
def test_a_bad_query_is_refused(alice: Client, target: str, code: str) -> None:
    assert problem_code(alice.send("GET", target)) == code


def test_a_method_that_a_resource_does_not_take_is_refused(alice: Client) -> None:
    response = alice.send("PUT", "/v1/orders", limit_order())

    assert problem_code(response) == "method_not_allowed"
    assert response.headers["allow"]


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
def test_an_unknown_order_cannot_be_changed(alice: Client, method: str) -> None:
    body = {"quantity": "0.01"} if method == "PATCH" else None

    assert problem_code(alice.send(method, "/v1/orders/424242", body)) == "unknown_order"
    assert problem_code(alice.send(method, "/v1/orders/by-client-id/x", body)) == "unknown_order"


@pytest.mark.parametrize("key", ["a" * 65, "with space", "a/0", "semi;colon", ""])
def test_a_bad_idempotency_key_is_refused(alice: Client, key: str) -> None:
    response = alice.send("POST", "/v1/orders", limit_order(), headers={"Idempotency-Key": key})

    assert problem_code(response) == "bad_idempotency_key"


def test_a_withdrawal_needs_an_idempotency_key(alice: Client) -> None:
    body = {"asset": "BTC", "amount": "1", "address": "x"}

    assert problem_code(alice.send("POST", "/v1/withdrawals", body)) == "idempotency_key_missing"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"asset": "DOGE"}, "unknown_asset"),
        ({"amount": "0"}, "not_positive"),
        ({"amount": "0.000000001"}, "too_many_decimals"),
        ({"amount": 1}, "bad_decimal"),
        ({"amount": "-1"}, "bad_decimal"),
        ({"amount": "99999999999"}, "amount_too_large"),
    ],
)
def test_a_bad_withdrawal_is_refused(alice: Client, changes: dict[str, Any], code: str) -> None:
    body = {"asset": "BTC", "amount": "1", "address": "bc1q", **changes}
    response = alice.send("POST", "/v1/withdrawals", body, headers={"Idempotency-Key": "w-1"})

    assert problem_code(response) == code


def test_a_batch_of_more_than_1000_orders_is_refused(alice: Client) -> None:
    body = {"orders": [limit_order()] * 1001}

    assert problem_code(alice.send("POST", "/v1/orders/batch", body)) == "bad_field"
    assert problem_code(alice.send("POST", "/v1/orders/batch", {"orders": []})) == "bad_field"


def test_what_was_sent_is_not_repeated_in_the_problem(alice: Client) -> None:
    response = alice.send("POST", "/v1/orders", limit_order(side=alice.secret))

    assert problem_code(response) == "bad_field"
    assert alice.secret not in response.text
    assert response.json()["errors"][0]["pointer"] == "/side"


def test_an_unexpected_error_is_a_problem_with_a_correlation_id(
    served: Served,
    alice: Client,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(_: str) -> None:
        raise RuntimeError(alice.secret)

    monkeypatch.setattr(served.foldex.views, "balances", broken, raising=True)
    caplog.handler.setFormatter(TextLines())
    response = alice.send("GET", "/v1/balances")

    assert problem_code(response) == "internal_error"
    assert response.json()["correlation_id"] in caplog.text
    assert alice.secret not in response.text
