"""A short day at the exchange in which every event occurs: how log_v1.hex and log_v2.hex were made.

Run as `python -m tests.golden.scenario FILE` it writes such a log. A committed file is never
written again: what it holds must replay for ever, whatever this scenario becomes.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

from commands.amend_order import AmendOrder
from commands.cancel_order import CancelOrder
from commands.command import Command
from commands.credit_deposit import CreditDeposit
from commands.list_asset import ListAsset
from commands.list_market import ListMarket
from commands.open_account import OpenAccount
from commands.place_order import PlaceOrder
from commands.registry import handle
from commands.request_withdrawal import RequestWithdrawal
from commands.set_market_status import SetMarketStatus
from commands.settle_withdrawal import (
    ApproveWithdrawal,
    CompleteWithdrawal,
    FailWithdrawal,
    RejectWithdrawal,
)
from domain.events import WriterStarted
from domain.exchange import Exchange
from eventstore.memory import open_memory
from eventstore.store import Store

T = 1_700_000_000_000
M = "BTC-USDT"


def commands() -> Iterator[Command]:
    """Yield the day's commands, in order."""
    yield ListAsset(time_ms=T, asset="BTC")
    yield ListAsset(time_ms=T, asset="USDT", decimals=6)
    yield ListMarket(
        time_ms=T,
        market=M,
        base_asset="BTC",
        quote_asset="USDT",
        tick_size="0.01",
        lot_size="0.0001",
        min_notional="1",
    )
    for account, asset, amount in (("alice", "USDT", 10**12), ("bob", "BTC", 10**10)):
        yield OpenAccount(time_ms=T, account=account)
        deposit_id = f"test:{account}:0"
        yield CreditDeposit(
            time_ms=T, account=account, asset=asset, amount=amount, deposit_id=deposit_id
        )
    yield from _orders()
    yield from _withdrawals()


def _orders() -> Iterator[Command]:
    t = T + 1_000
    sell = PlaceOrder(
        time_ms=t, account="bob", market=M, side="sell", quantity_lots=50, price_ticks=4_000_000
    )
    yield sell
    yield PlaceOrder(
        time_ms=t + 1,
        account="alice",
        market=M,
        side="buy",
        quantity_lots=30,
        price_ticks=4_000_100,
        client_order_id="first",
        scope="alice",
        idempotency_key="k1",
    )
    yield PlaceOrder(
        time_ms=t + 2,
        account="bob",
        market=M,
        side="buy",
        quantity_lots=5,
        price_ticks=4_000_000,
        self_trade_prevention="decrement",
    )
    yield AmendOrder(time_ms=t + 3, account="bob", order_id=1, price_ticks=4_010_000)
    yield SetMarketStatus(time_ms=t + 4, market=M, status="cancel_only", reason="drill")
    yield SetMarketStatus(time_ms=t + 5, market=M, status="halted", reason="drill")
    yield SetMarketStatus(time_ms=t + 6, market=M, status="open", reason="drill")
    yield CancelOrder(time_ms=t + 8, account="bob", order_id=1)


def _withdrawals() -> Iterator[Command]:
    t = T + 2_000
    for n in range(1, 4):
        yield RequestWithdrawal(
            time_ms=t,
            account="bob",
            asset="USDT",
            amount=1_000_000 * n,
            address="test-address",
            request_id=f"r{n}",
        )
    yield ApproveWithdrawal(time_ms=t + 1, withdrawal_id=1, approved_by="carol")
    yield CompleteWithdrawal(time_ms=t + 2, withdrawal_id=1, txid="0xcd")
    yield ApproveWithdrawal(time_ms=t + 3, withdrawal_id=2, approved_by="carol")
    yield FailWithdrawal(time_ms=t + 4, withdrawal_id=2, reason="the node refused it")
    yield RejectWithdrawal(time_ms=t + 5, withdrawal_id=3, rejected_by="carol", reason="drill")


def run(store: Store) -> Exchange:
    """Play the day into a store, one commit for each command; return the state at its end."""
    exchange = Exchange()
    started = WriterStarted(T, "golden")
    store.log.append([started], T)
    exchange.apply(started)
    for command in commands():
        events, _ = handle(exchange, command)
        if events:
            store.log.append(events, events[-1].time_ms)
            exchange.apply_all(events)
    return exchange


def main(file: Path) -> None:
    """Write the stored records of the day, one a line, in hex."""
    with open_memory() as store:
        run(store)
        rows = store.log.recorder.select_events(store.log.stream)
    file.write_text("".join(f"{row.state.hex()}\n" for row in rows))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
