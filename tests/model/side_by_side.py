"""The real exchange and the naive one, doing the same; after each command they must agree."""

from collections.abc import Sequence

from commands.command import Command
from commands.list_asset import ListAsset
from commands.list_market import ListMarket
from commands.open_account import OpenAccount
from commands.receipt import Receipt
from commands.registry import Outcome, handle
from domain.errors import Rejected
from domain.events import Event, RequestAnswered, TradeExecuted
from domain.exchange import Exchange
from domain.invariants import check
from domain.snapshot import dump, load, state_hash
from tests.model.naive import FEES, NaiveExchange
from tests.model.naive_book import Fill, Market, Result, best_first

ASSETS = ("AAA", "BBB", "CCC")
ACCOUNTS = ("ann", "bob", "cid", "dan")

# Two markets that share BBB: quote of the one, base of the other. Odd fees, so that rounding shows.
_LISTED = (
    ListMarket(
        time_ms=1, market="AAA-BBB", base_asset="AAA", quote_asset="BBB", tick_size="0.1",
        lot_size="0.1", min_notional="0.10", maker_fee_ppm=1_237, taker_fee_ppm=170_003,
    ),
    ListMarket(
        time_ms=1, market="BBB-CCC", base_asset="BBB", quote_asset="CCC", tick_size="1",
        lot_size="0.07", min_notional="0", maker_fee_ppm=0, taker_fee_ppm=333_333,
    ),
)  # fmt: skip
MARKETS = tuple(listed.market for listed in _LISTED)


class SideBySide:
    """events: all that the real exchange recorded. commands: how many both were given."""

    def __init__(self) -> None:
        self.exchange = Exchange()
        self.events: list[Event] = []
        self.commands = 0
        self._snapshot = dump(self.exchange)
        for command in (
            *(ListAsset(time_ms=1, asset=asset, decimals=2) for asset in ASSETS),
            *_LISTED,
            *(OpenAccount(time_ms=1, account=account) for account in ACCOUNTS),
        ):
            self._record(handle(self.exchange, command)[0])
        self.naive = NaiveExchange(
            assets=list(ASSETS),
            accounts=[FEES, *ACCOUNTS],
            markets=[
                Market("AAA-BBB", "AAA", "BBB", 10, 1, 10, 1_237, 170_003),
                Market("BBB-CCC", "BBB", "CCC", 7, 7, 0, 0, 333_333),
            ],
            time_ms=1,
        )

    def do(self, command: Command, *, sample: bool = False) -> Result:
        """Give both a command and compare all there is to see.

        sample: also check that deciding changed nothing, which takes long.
        """
        before = state_hash(self.exchange) if sample else ""
        position = self.exchange.position
        events, outcome = handle(self.exchange, command)
        if sample:
            assert state_hash(self.exchange) == before, f"deciding {command} changed the state"
        self._record(events)
        expected = self.naive.handle(command)
        self.commands += 1
        _compare_outcome(command, outcome, events, expected, position)
        self._compare_accounts()
        self._compare_books()
        check(self.exchange)
        return expected

    def _record(self, events: Sequence[Event]) -> None:
        for event in events:
            assert event.time_ms >= self.exchange.time_ms
            self.exchange.apply(event)
        self.events += events

    def keep_snapshot(self) -> None:
        """Keep the state as bytes, for `check_replay` to begin at."""
        self._snapshot = dump(self.exchange)

    def check_replay(self) -> None:
        """The events, from zero or after the snapshot kept, give the state that is live."""
        live = state_hash(self.exchange)
        replayed = Exchange()
        replayed.apply_all(self.events)
        assert state_hash(replayed) == live, "replay differs from live"
        restored = load(self._snapshot)
        restored.apply_all(self.events[restored.position :])
        assert state_hash(restored) == live, "snapshot and tail differ from live"

    def go_on_from_snapshot(self) -> None:
        """Carry on with the state read back from a snapshot: nothing may have been lost."""
        self.exchange = load(dump(self.exchange))

    def _compare_accounts(self) -> None:
        assert set(self.exchange.accounts) == set(self.naive.accounts)
        for name, account in self.exchange.accounts.items():
            for asset in ASSETS:
                balance = account.balances.get(asset)
                real = (balance.free, balance.held) if balance else (0, 0)
                assert real == (self.naive.free(name, asset), self.naive.held(name, asset)), (
                    f"{asset} of {name}"
                )
            owed = {asset: self.naive.owed.get((name, asset), 0) for asset in ASSETS}
            assert account.debts == {asset: debt for asset, debt in owed.items() if debt}, name
        statuses = [each.status for each in self.exchange.withdrawals.values()]
        assert statuses == [each.status for each in self.naive.withdrawals]

    def _compare_books(self) -> None:
        for market in self.naive.markets:
            real = self.exchange.markets[market.symbol]
            assert real.status == market.status
            assert real.last_price_ticks == market.last_price
            assert real.next_trade_id == market.trades + 1
            for name, side in (("buy", real.bids), ("sell", real.asks)):
                book = [
                    (price, order.order_id, order.quantity_lots, order.account)
                    for price, orders in side.levels_best_first()
                    for order in orders
                ]
                assert book == [
                    (order.price, order.id, order.lots, order.account)
                    for order in best_first(self.naive.orders, market.symbol, name)
                ], f"{name} side of {market.symbol}"


def _compare_outcome(
    command: Command, outcome: Outcome, events: Sequence[Event], expected: Result, position: int
) -> None:
    if isinstance(outcome, Rejected):
        assert outcome.code == expected.code, f"{command}: {outcome!r}, not {expected}"
        assert all(isinstance(event, RequestAnswered) for event in events)
        return
    fills = tuple(_fill(event) for event in events if isinstance(event, TradeExecuted))
    assert fills == expected.fills, f"{command}: {fills}, not {expected}"
    assert _result(outcome, fills) == expected, f"{command}: {outcome}, not {expected}"
    if not outcome.repeated:
        unkeyed = sum(not isinstance(event, RequestAnswered) for event in events)
        assert outcome.position == position + unkeyed


def _result(receipt: Receipt, fills: tuple[Fill, ...]) -> Result:
    return Result(
        "", receipt.order_id, receipt.withdrawal_id, receipt.status, receipt.filled_lots,
        receipt.filled_quote, receipt.repeated, fills,
    )  # fmt: skip


def _fill(event: TradeExecuted) -> Fill:
    return Fill(
        event.maker_order_id, event.maker_account, event.price_ticks, event.quantity_lots,
        event.quote_amount,
    )  # fmt: skip
