"""A signing client over a real exchange in a temporary directory: nothing in it is faked."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from httpx import Response
from starlette.testclient import TestClient

from api.app import create_app
from api.bootstrap import Foldex, bootstrap
from api.security import sign_headers
from api.settings import Settings
from tests.waiting import VIEW_WAIT_S

START_MS = 1_700_000_000_000


@dataclass(slots=True)
class Clock:
    """Advances a millisecond each time it is read, so that no two signatures are the same."""

    now_ms: int = START_MS

    def __call__(self) -> int:
        self.now_ms += 1
        return self.now_ms


@dataclass(slots=True)
class Client:
    """Signs like a real client: over the bytes it sends."""

    http: TestClient
    clock: Clock
    key_id: str
    secret: str = field(repr=False)

    def send(
        self,
        method: str,
        target: str,
        body: Any = None,
        *,
        headers: dict[str, str] | None = None,
        signed: dict[str, str] | None = None,
    ) -> Response:
        """Send a request. body: bytes as they are, anything else as JSON. signed: its headers."""
        raw = (
            body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        )
        sent = self.signature(method, target, raw) if signed is None else signed
        if raw:
            sent = {"Content-Type": "application/json", **sent}
        response: Response = self.http.request(
            method, target, content=raw, headers={**sent, **(headers or {})}
        )
        return response

    def signature(
        self, method: str, target: str, raw: bytes = b"", *, timestamp_ms: int | None = None
    ) -> dict[str, str]:
        """Return the headers that sign a request."""
        path, _, query = target.partition("?")
        return sign_headers(
            self.key_id,
            self.secret.encode(),
            timestamp_ms=self.clock() if timestamp_ms is None else timestamp_ms,
            method=method,
            path=path.encode(),
            query=query.encode(),
            body=raw,
        )


@dataclass(slots=True)
class Served:
    """A running exchange with two funded traders, an operator and an auditor."""

    foldex: Foldex
    http: TestClient
    clock: Clock

    def client(self, account: str, *scopes: str) -> Client:
        """Return a client with a new key."""
        key_id, secret = self.foldex.keys.create(account, scopes)
        return Client(self.http, self.clock, key_id, secret)

    def trader(self, account: str) -> Client:
        """Return a client that may do all that an account may."""
        return self.client(account, "read", "trade", "withdraw")

    @property
    def position(self) -> int:
        """The engine's position: unchanged when nothing was recorded."""
        return self.foldex.engine.exchange.position


@contextmanager
def serving(directory: Path, **settings: Any) -> Iterator[Served]:
    """Run an exchange with nothing in it."""
    clock = Clock()
    foldex = bootstrap(
        Settings(data=directory, **{"view_wait_s": VIEW_WAIT_S, **settings}), clock_ms=clock
    )
    with foldex, TestClient(create_app(foldex), raise_server_exceptions=False) as http:
        yield Served(foldex, http, clock)


@contextmanager
def exchange_with_traders(directory: Path, **settings: Any) -> Iterator[Served]:
    """Run an exchange with BTC-USDT, alice and bob: 1,000 BTC and 1,000,000 USDT each."""
    with serving(directory, **settings) as served:
        operator = served.client("", "operate")
        for asset in ("BTC", "USDT"):
            created(operator.send("POST", "/v1/operator/assets", {"asset": asset}))
        created(operator.send("POST", "/v1/operator/markets", MARKET))
        for account in ("alice", "bob"):
            created(operator.send("POST", "/v1/operator/accounts", {"account": account}))
            for asset, amount in (("BTC", "1000"), ("USDT", "1000000")):
                fund(operator, account, asset, amount)
        yield served


MARKET = {
    "market": "BTC-USDT",
    "base_asset": "BTC",
    "quote_asset": "USDT",
    "tick_size": "0.01",
    "lot_size": "0.001",
    "min_notional": "5",
}


def fund(operator: Client, account: str, asset: str, amount: str) -> None:
    """Credit a deposit."""
    deposit_id = f"test:{account}:{asset}"
    body = {"account": account, "asset": asset, "amount": amount, "deposit_id": deposit_id}
    headers = {"Idempotency-Key": deposit_id}
    created(operator.send("POST", "/v1/operator/deposits", body, headers=headers))


def created(response: Response) -> dict[str, Any]:
    """Return the body of a 201."""
    assert response.status_code == 201, response.text
    body: dict[str, Any] = response.json()
    return body


def ok(response: Response) -> Any:
    """Return the body of a 200."""
    assert response.status_code == 200, response.text
    return response.json()


def problem_code(response: Response) -> str:
    """Return a problem's code, having checked that it is a whole RFC 9457 document."""
    assert response.headers["content-type"] == "application/problem+json", response.text
    body = response.json()
    assert body["status"] == response.status_code
    assert body["type"] == f"/docs/errors#{body['code']}"
    assert body["title"]
    assert body["detail"]
    assert body["instance"].startswith("/")
    assert isinstance(body["retryable"], bool)
    assert "Traceback" not in response.text
    code: str = body["code"]
    return code


def limit_order(**changes: Any) -> dict[str, Any]:
    """Return the body of a good order, with changes; None takes a field away."""
    order = {
        "market": "BTC-USDT",
        "side": "buy",
        "price": "100.00",
        "quantity": "0.100",
        **changes,
    }
    return {name: value for name, value in order.items() if value is not None}
