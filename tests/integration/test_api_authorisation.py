"""Who may do what: every route with every scope, taken from the application's own routes."""

import threading
import time
from collections.abc import Iterator

import pytest
from fastapi.routing import APIRoute

from api.app import api_routes
from api.keys import ACCOUNT_SCOPES, STAFF_SCOPES
from api.parameters import needs_of
from tests.api_client import (
    START_MS,
    Client,
    Served,
    created,
    exchange_with_traders,
    limit_order,
    ok,
    problem_code,
)
from tests.beside import beside

SCOPES = sorted(ACCOUNT_SCOPES | STAFF_SCOPES)
PUBLIC = frozenset(
    {
        "/v1/markets",
        "/v1/assets",
        "/v1/tickers",
        "/v1/markets/{symbol}",
        "/v1/markets/{symbol}/trades",
        "/v1/markets/{symbol}/candles",
        "/v1/markets/{symbol}/depth",
        "/v1/markets/{symbol}/ticker",
        "/v1/time",
        "/health/live",
        "/health/ready",
    }
)
REFUSED = frozenset({"signature_missing", "unknown_key", "bad_signature", "wrong_scope"})
ROUTES = [
    pytest.param(route, method, id=f"{method} {route.path}")
    for route in api_routes()
    for method in sorted(route.methods or ())
]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with exchange_with_traders(tmp_path_factory.mktemp("exchange")) as running:
        yield running


@pytest.fixture(scope="module")
def clients(served: Served) -> dict[str, Client]:
    return {
        scope: served.client("alice" if scope in ACCOUNT_SCOPES else "", scope) for scope in SCOPES
    }


def target_of(route: APIRoute) -> str:
    path = route.path.replace("{symbol}", "BTC-USDT").replace("{idempotency_key:path}", "k")
    return (
        path.replace("{order_id}", "1")
        .replace("{withdrawal_id}", "1")
        .replace("{client_order_id}", "x")
    )


@pytest.mark.parametrize(("route", "method"), ROUTES)
def test_only_market_data_is_public(served: Served, route: APIRoute, method: str) -> None:
    response = served.http.request(method, target_of(route))

    if route.path in PUBLIC:
        assert method == "GET"
        assert response.status_code == 200 or problem_code(response) not in REFUSED
    else:
        assert problem_code(response) == "signature_missing"


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize(("route", "method"), ROUTES)
def test_a_key_may_do_what_its_scope_says_and_no_more(
    clients: dict[str, Client], route: APIRoute, method: str, scope: str
) -> None:
    needs = needs_of(route)
    response = clients[scope].send(method, target_of(route))

    if needs is not None and scope not in needs.scopes:
        assert problem_code(response) == "wrong_scope"
        assert response.status_code == 403
    else:
        assert response.status_code == 200 or problem_code(response) not in REFUSED


QUESTIONS = {"/v1/operator/contracts/call"}
"""Asked by POST, because they have a body, and changing nothing."""


@pytest.mark.parametrize(("route", "method"), ROUTES)
def test_whatever_changes_something_is_signed_as_a_command(route: APIRoute, method: str) -> None:
    needs = needs_of(route)

    changes = method != "GET" and route.path not in QUESTIONS
    assert (needs is not None and needs.command) == changes
    if route.path.startswith("/v1/operator/"):
        assert needs is not None
        assert needs.scopes == {"operate"}


def test_a_signature_verifies_over_the_raw_bytes(served: Served) -> None:
    raw = b'{ "market":"BTC-USDT","side" :"buy",\n\t"price":"10\\u0030.00", "quantity":"0.100"}'
    alice = served.trader("alice")
    created(alice.send("POST", "/v1/orders", raw))

    signed = alice.signature("POST", "/v1/orders", raw)
    changed = raw.replace(b'"0.100"', b'"0.200"')
    response = alice.send("POST", "/v1/orders", changed, signed=signed)
    assert problem_code(response) == "bad_signature"


def test_numbers_are_refused_by_the_field_and_not_by_the_signature(served: Served) -> None:
    raw = b'{"market":"BTC-USDT","side":"buy","price":1005.0,"quantity":"0.100"}'
    response = served.trader("alice").send("POST", "/v1/orders", raw)

    assert problem_code(response) == "bad_decimal"


def test_the_query_string_is_signed_as_sent(served: Served) -> None:
    alice = served.trader("alice")
    target = "/v1/orders/open?market=BTC%2DUSDT&limit=5"
    ok(alice.send("GET", target))

    signed = alice.signature("GET", target)
    response = alice.send("GET", target.replace("%2D", "-"), signed=signed)
    assert problem_code(response) == "bad_signature"


@pytest.mark.parametrize(
    ("shift_ms", "code"),
    [(-6_000, "timestamp_stale"), (START_MS, "timestamp_future"), (-START_MS, "timestamp_stale")],
)
def test_a_timestamp_outside_the_window_is_refused(
    served: Served, shift_ms: int, code: str
) -> None:
    alice = served.trader("alice")
    signed = alice.signature("GET", "/v1/balances", timestamp_ms=served.clock() + shift_ms)
    response = alice.send("GET", "/v1/balances", signed=signed)

    assert problem_code(response) == code
    assert response.status_code == 401


def test_a_replayed_command_is_refused_and_changes_nothing(served: Served) -> None:
    alice = served.trader("alice")
    raw = b'{"market":"BTC-USDT","side":"buy","price":"100.00","quantity":"0.100"}'
    signed = alice.signature("POST", "/v1/orders", raw)
    created(alice.send("POST", "/v1/orders", raw, signed=signed))
    before = served.position
    response = alice.send("POST", "/v1/orders", raw, signed=signed)

    assert problem_code(response) == "signature_replayed"
    assert served.position == before


def test_a_key_made_while_serving_works_and_a_revoked_one_does_not(served: Served) -> None:
    alice = served.trader("alice")
    ok(alice.send("GET", "/v1/balances"))
    served.foldex.keys.revoke(alice.key_id)

    assert problem_code(alice.send("GET", "/v1/balances")) == "unknown_key"


def test_a_key_of_an_account_that_does_not_exist_can_do_nothing(served: Served) -> None:
    nobody = served.trader("nobody")

    assert problem_code(nobody.send("POST", "/v1/orders", limit_order())) == "unknown_account"


def test_a_database_of_keys_that_hangs_holds_nobody_else_up(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, keys = served.trader("alice"), served.foldex.keys
    ok(alice.send("GET", "/v1/balances"))
    recorder = keys._application.recorder
    newest, asked, answer = recorder.max_notification_id, threading.Event(), threading.Event()

    def hang() -> int | None:
        asked.set()
        assert answer.wait(5), "the event loop waits, too"
        return newest()

    def ask() -> None:
        ok(alice.send("GET", "/v1/balances"))

    monkeypatch.setattr(keys, "_checked_s", float("-inf"))
    with monkeypatch.context() as hanging:
        hanging.setattr(recorder, "max_notification_id", hang)
        with beside(ask):
            assert asked.wait(5)
            with beside(ask):
                time.sleep(0.1)  # That one waits by now; no harm is done when it comes later.
                ok(served.http.get("/v1/time"))
                answer.set()
