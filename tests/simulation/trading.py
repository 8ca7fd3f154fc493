"""Traders who go on whatever happens to a deployment, and what must be true afterwards."""

import threading
import time
from pathlib import Path
from random import Random
from typing import Any

import httpx

from audit.verify import verify
from domain.events import OrderPlaced
from eventstore.store import Store
from projections.compare import compare
from projections.postgres import PostgresViews
from projections.runner import catch_up
from projections.sqlite import SQLiteViews
from projections.views import Views
from tests.processes import SigningClient
from tests.simulation.production import Production

BATCH_ORDERS = 20
PAUSE_S = 0.02
"""Between two batches of a trader: what is recorded is looked at several times afterwards."""
MARKETS = ("BTC-USDT", "ETH-USDT", "SOL-USDT")
ACCOUNTS = ("alice", "bob", "carol")


class Trader(threading.Thread):
    """Sends batches until told to stop, each again and again until it is answered."""

    def __init__(self, client: SigningClient, url: str, name: str, random: Random) -> None:
        super().__init__(name=name)
        self.answers: dict[str, int] = {}
        self.sent_again = 0
        self.stopping = False
        self._client = client
        self._url = url
        self._random = random

    def run(self) -> None:
        """Send batches; the last one is answered before the thread ends."""
        number = 0
        while not self.stopping:
            number += 1
            orders = [self._order(f"{self.name}-{number}-{n}") for n in range(BATCH_ORDERS)]
            results = self._send(f"{self.name}-{number}", {"orders": orders})
            for order, result in zip(orders, results, strict=True):
                self.answers[str(order["client_order_id"])] = result["order"]["order_id"]
            time.sleep(PAUSE_S)

    def _order(self, name: str) -> dict[str, object]:
        return {
            "market": self._random.choice(MARKETS),
            "side": self._random.choice(("buy", "sell")),
            "price": f"{self._random.randint(95, 105) / 100:.2f}",
            "quantity": "0.001",
            "client_order_id": name,
            "self_trade_prevention": "none",
        }

    def _send(self, key: str, body: dict[str, Any]) -> list[dict[str, Any]]:
        while True:
            try:
                reply = self._client.send(self._url, "POST", "/v1/orders/batch", body, key=key)
            except httpx.TransportError:
                reply = None
            if reply is not None and reply.status_code < 300:
                results: list[dict[str, Any]] = reply.json()["results"]
                return results
            if reply is not None and reply.status_code < 500:
                # Signed just before another engine took over: it is refused, and signed anew.
                assert reply.json()["code"] == "timestamp_stale", reply.text
            self.sent_again += 1
            time.sleep(0.1)


def open_exchange(production: Production) -> list[SigningClient]:
    """Open markets and accounts over the API, and return a client for each account."""
    operator = production.client("--scope", "operate")
    bodies: list[tuple[str, dict[str, str]]] = [
        ("/v1/operator/assets", {"asset": asset}) for asset in ("BTC", "ETH", "SOL", "USDT")
    ]
    for market in MARKETS:
        base, _, quote = market.partition("-")
        listed = {"market": market, "base_asset": base, "quote_asset": quote, "tick_size": "0.01",
                  "lot_size": "0.001"}  # fmt: skip
        bodies.append(("/v1/operator/markets", listed))
    for account in ACCOUNTS:
        bodies.append(("/v1/operator/accounts", {"account": account}))
        for asset in ("BTC", "ETH", "SOL", "USDT"):
            funds = {"account": account, "asset": asset, "amount": "1000000",
                     "deposit_id": f"{account}:{asset}"}  # fmt: skip
            bodies.append(("/v1/operator/deposits", funds))
    for number, (path, body) in enumerate(bodies):
        operator.ask(production.url, "POST", path, body, key=f"opening-{number}")
    return [production.client("--account", each, "--scope", "trade") for each in ACCOUNTS]


def wait_for_views(production: Production, database_url: str, position: int) -> None:
    """Return once the views have everything up to a position."""
    views = Views(PostgresViews(database_url))
    try:
        production.wait_for(lambda: views.position() >= position)
    finally:
        views.close()


def check_log(store: Store, answers: dict[str, int]) -> None:
    """Check that each order is in the log once, as it was answered."""
    placed: dict[str, int] = {}
    for commit in store.log.read_all():
        for event in commit.events:
            if isinstance(event, OrderPlaced):
                assert event.client_order_id not in placed, "an order was placed twice"
                placed[event.client_order_id] = event.order_id
    assert answers
    assert placed == answers
    report = verify(store)
    assert report.ok, report.problems


def check_views(store: Store, database_url: str, directory: Path) -> None:
    """Check that the views are those of a rebuild from zero. directory: for that one."""
    catch_up(store.log, SQLiteViews(directory))
    kept, rebuilt = Views(PostgresViews(database_url)), Views(SQLiteViews(directory))
    try:
        assert compare(kept, rebuilt) == []
    finally:
        kept.close()
        rebuilt.close()
