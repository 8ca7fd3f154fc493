"""Given these commands, when this one comes, then exactly these events (or this refusal) follow.

Every `when` also checks that deciding changed nothing, that the state still holds together and that
it survives a snapshot.

The world: BTC-USDT with a tick of 0.01 and a lot of 0.001, so one lot is 100,000 units of BTC and
costs 1,000 units of USDT a tick; both fees are 0.1 %. alice, bob and carol each have 1,000 lots of
BTC and what 1,000 lots cost at 1,000 ticks.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

from commands.amend_order import AmendOrder
from commands.cancel_all_orders import CancelAllOrders
from commands.cancel_order import CancelOrder
from commands.command import Command
from commands.credit_deposit import CreditDeposit
from commands.list_asset import ListAsset
from commands.list_market import ListMarket
from commands.open_account import OpenAccount
from commands.place_order import PlaceOrder
from commands.receipt import Receipt
from commands.registry import Outcome, handle
from commands.set_market_status import SetMarketStatus
from domain.errors import Rejected
from domain.events import (
    Event,
    OrderAmended,
    OrderCancelled,
    OrderPlaced,
    RequestAnswered,
    SelfTradePrevented,
    TradeExecuted,
)
from domain.exchange import Exchange
from domain.invariants import check
from domain.snapshot import dump, load, state_hash
from domain.units import BUY, SELL

NOW_MS = 1_700_000_000_000
MARKET = "BTC-USDT"
LOT = 100_000
"""Units of BTC in one lot."""
TICK = 1_000
"""Units of USDT that a lot costs at one tick."""
BTC_EACH = 1_000 * LOT
USDT_EACH = 1_000 * 1_000 * TICK

__all__ = ["BUY", "SELL"]


def place(account: str, side: str, price_ticks: int, lots: int, **more: Any) -> PlaceOrder:
    """Return a limit order."""
    fields: dict[str, Any] = {"time_ms": NOW_MS, "market": MARKET, "side": side} | more
    return PlaceOrder(account=account, price_ticks=price_ticks, quantity_lots=lots, **fields)


def market_order(account: str, side: Any, **more: Any) -> PlaceOrder:
    """Return a market order: by quantity_lots or by quote_amount."""
    return PlaceOrder(
        time_ms=NOW_MS, account=account, market=MARKET, side=side, type="market", **more
    )


def amend(account: str, order_id: int, **more: Any) -> AmendOrder:
    """Return a change of price_ticks, quantity_lots or both."""
    return AmendOrder(time_ms=NOW_MS, account=account, order_id=order_id, **more)


def cancel(account: str, order_id: int = 0, **more: Any) -> CancelOrder:
    """Return a cancel."""
    return CancelOrder(time_ms=NOW_MS, account=account, order_id=order_id, **more)


def cancel_all(account: str, market: str = "") -> CancelAllOrders:
    """Return a cancel of everything an account has open."""
    return CancelAllOrders(time_ms=NOW_MS, account=account, market=market)


def set_status(status: Any, market: str = MARKET) -> SetMarketStatus:
    """Return a change of the market's status."""
    return SetMarketStatus(time_ms=NOW_MS, market=market, status=status, reason="a test")


def deposit(account: str, asset: str, amount: int, deposit_id: str) -> CreditDeposit:
    """Return a deposit of an amount in ledger units."""
    return CreditDeposit(
        time_ms=NOW_MS, account=account, asset=asset, amount=amount, deposit_id=deposit_id
    )


@dataclass(frozen=True)
class Expected:
    """An event of a kind, with these fields; what is not named may be anything."""

    kind: type[Event]
    fields: dict[str, Any]

    def check(self, event: Event) -> None:
        """Raises: AssertionError: it is another event, or a field differs."""
        assert type(event) is self.kind, f"{event}, not {self}"
        found = {name: getattr(event, name) for name in self.fields}
        assert found == self.fields, f"{event}, not {self}"


def event(kind: type[Event], **fields: Any) -> Expected:
    """Return what to expect."""
    return Expected(kind, fields)


placed = partial(event, OrderPlaced)
cancelled = partial(event, OrderCancelled)
amended = partial(event, OrderAmended)
prevented = partial(event, SelfTradePrevented)
answered = partial(event, RequestAnswered)


def trade(maker: int, taker: int, price_ticks: int, lots: int, **more: Any) -> Expected:
    """Return the trade of two orders, by their ids, to expect."""
    return event(
        TradeExecuted, maker_order_id=maker, taker_order_id=taker, price_ticks=price_ticks,
        quantity_lots=lots, **more,
    )  # fmt: skip


OPENING: tuple[Command, ...] = (
    ListAsset(time_ms=NOW_MS, asset="BTC"),
    ListAsset(time_ms=NOW_MS, asset="USDT"),
    ListMarket(
        time_ms=NOW_MS, market=MARKET, base_asset="BTC", quote_asset="USDT", tick_size="0.01",
        lot_size="0.001",
    ),
    *(OpenAccount(time_ms=NOW_MS, account=name) for name in ("alice", "bob", "carol")),
    *(deposit(name, "BTC", BTC_EACH, f"{name}-BTC") for name in ("alice", "bob", "carol")),
    *(deposit(name, "USDT", USDT_EACH, f"{name}-USDT") for name in ("alice", "bob", "carol")),
)  # fmt: skip


class Given:
    """An exchange with a past, and what the last `when` led to."""

    def __init__(self, commands: tuple[Command, ...]) -> None:
        self.exchange = Exchange()
        self.events: list[Event] = []
        self.outcome: Outcome | None = None
        for command in commands:
            self.when(command)
            assert not isinstance(self.outcome, Rejected), f"{command}: {self.outcome!r}"

    def when(self, command: Command) -> Given:
        """Decide and apply a command."""
        before = state_hash(self.exchange)
        self.events, self.outcome = handle(self.exchange, command)
        again, _ = handle(self.exchange, command)
        assert again == self.events, "the same question in the same state got another answer"
        assert state_hash(self.exchange) == before, "deciding changed the state"
        self.exchange.apply_all(self.events)
        check(self.exchange)
        assert state_hash(load(dump(self.exchange))) == state_hash(self.exchange)
        return self

    def then(self, *expected: Expected) -> Given:
        """Check the events: all of them, in order."""
        assert not isinstance(self.outcome, Rejected), f"refused: {self.outcome!r}"
        names = [type(event).__name__ for event in self.events]
        assert names == [each.kind.__name__ for each in expected]
        for each, found in zip(expected, self.events, strict=True):
            each.check(found)
        return self

    def refused(self, error: type[Rejected]) -> Given:
        """Check that the command was refused for exactly this reason, and left no trace."""
        assert type(self.outcome) is error, f"{self.outcome!r}, not {error.__name__}"
        assert self.events == []
        return self

    def nothing(self) -> Given:
        """Check that the command was a repeat: accepted, without any event."""
        assert isinstance(self.outcome, Receipt), f"refused: {self.outcome!r}"
        assert self.outcome.repeated
        assert self.events == []
        return self

    def receipt(self, **fields: Any) -> Given:
        """Check fields of what the sender gets back."""
        assert isinstance(self.outcome, Receipt), f"refused: {self.outcome!r}"
        assert {name: getattr(self.outcome, name) for name in fields} == fields
        return self

    def balance(self, account: str, asset: str, *, free: int, held: int = 0) -> Given:
        """Check a balance, in ledger units."""
        found = self.exchange.accounts[account].balances[asset]
        assert (found.free, found.held) == (free, held), f"{asset} of {account}: {found}"
        return self

    def book(self, side: str, *levels: tuple[int, list[int]]) -> Given:
        """Check one side of the book: (price_ticks, order ids in the order they trade)."""
        found = self.exchange.markets[MARKET].side(side)  # type: ignore[arg-type]
        ids = [(price, [each.order_id for each in orders])
               for price, orders in found.levels_best_first()]  # fmt: skip
        assert ids == list(levels)
        return self


def given(*commands: Command) -> Given:
    """Return the world above after these commands, each of which is accepted."""
    return Given((*OPENING, *commands))
