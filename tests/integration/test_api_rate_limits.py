"""A key that sends more than it may is told so by 429, and nothing of it is recorded."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from prometheus_client import generate_latest

from api.rate_limits import RateLimits
from tests.api_client import Client, Served, created, exchange_with_traders, ok, problem_code

ORDER = {"market": "BTC-USDT", "side": "buy", "price": "100.00", "quantity": "1"}


@contextmanager
def limited(directory: Path, **limits: int) -> Iterator[Served]:
    """Run an exchange for whose limits no time passes."""
    with exchange_with_traders(directory) as served:
        settings = served.foldex.settings.model_copy(update=limits)
        served.foldex.rates = RateLimits(settings, clock_ns=lambda: 0)
        yield served


def test_orders_beyond_the_limit_are_refused_and_not_recorded(tmp_path: Path) -> None:
    with limited(tmp_path, orders_per_s=2) as served:
        alice, bob = served.trader("alice"), served.trader("bob")
        placed = created(alice.send("POST", "/v1/orders", ORDER))
        created(alice.send("POST", "/v1/orders", ORDER))
        before = served.position

        for method, target, body in (
            ("POST", "/v1/orders", ORDER),
            ("POST", "/v1/orders/batch", {"orders": [ORDER] * 2}),
            ("PATCH", f"/v1/orders/{placed['order_id']}", {"quantity": "0.5"}),
        ):
            refused = alice.send(method, target, body)
            assert (refused.status_code, problem_code(refused)) == (429, "rate_limited")
            assert refused.headers["Retry-After"] == "1"
            assert refused.json()["retryable"] is True
        assert served.position == before

        # Getting out is never limited with getting in, and another key has its own limit.
        ok(alice.send("DELETE", f"/v1/orders/{placed['order_id']}"))
        created(bob.send("POST", "/v1/orders", ORDER))
        metrics = generate_latest(served.foldex.monitor.metrics.registry).decode()
        assert 'foldex_http_problems_total{code="rate_limited"} 3.0' in metrics


def test_a_batch_counts_each_order(tmp_path: Path) -> None:
    with limited(tmp_path, orders_per_s=100) as served:
        alice = served.trader("alice")
        ok(alice.send("POST", "/v1/orders/batch", {"orders": [ORDER] * 400}))
        assert problem_code(alice.send("POST", "/v1/orders", ORDER)) == "rate_limited"


def test_requests_beyond_the_limit_are_refused_whatever_they_ask(tmp_path: Path) -> None:
    with limited(tmp_path, requests_per_s=20) as served:
        assert _asked(served.trader("alice"), 25) == [200] * 20 + [429] * 5
        assert _asked(served.trader("alice"), 5) == [200] * 5, "a limit is a key's own"
        assert served.http.get("/v1/markets").status_code == 200


def _asked(client: Client, times: int) -> list[int]:
    return [client.send("GET", "/v1/balances").status_code for _ in range(times)]
