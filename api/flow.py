"""Feed a recorded order flow through the engine into a fresh exchange, and check what it did."""

import hashlib
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Final
from zlib import crc32

import msgspec

from api.deployment import Deployment
from api.flow_check import Mismatch, check_candles, check_fills
from api.flow_format import FlowError, FlowLine, Progress, Steps, read_flow
from commands.amend_order import AmendOrder
from commands.cancel_order import CancelOrder
from commands.command import Command
from commands.credit_deposit import CreditDeposit
from commands.engine import Engine
from commands.errors import EngineError
from commands.list_asset import ListAsset
from commands.list_market import ListMarket
from commands.open_account import OpenAccount
from commands.place_order import PlaceOrder
from commands.registry import Outcome
from domain.errors import Rejected
from domain.exchange import Exchange
from domain.snapshot import state_hash
from domain.units import UNITS_MAX, decimals_of, format_steps
from eventstore.store import Store
from projections.runner import catch_up
from projections.views import Views

MARKET: Final = "FLOW-USD"
BASE: Final = "FLOW"
QUOTE: Final = "USD"
ACCOUNTS: Final = tuple(f"flow-{number:02}" for number in range(16))
SUBMISSION_COMMANDS: Final = 500
IN_FLIGHT_MAX: Final = 8
"""Submissions that wait for the engine: enough to keep it busy, far from its queue's limit."""
ANSWER_TIMEOUT_S_MAX: Final = 60.0


class FlowReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a run did. trades: fills. book_sha256: of the final book, see docs/flow-format.md.

    commands_per_second: from reading the first command to the last one's acknowledgement.
    """

    commands: int
    trades: int
    mismatches: int
    book_sha256: str
    candles_compared: int
    candle_mismatches: int
    position: int
    state_hash: str
    events: int
    commands_per_second: int
    seconds: float
    first_mismatches: list[Mismatch]

    @property
    def same(self) -> bool:
        """Return whether the exchange did all that the venue did, and nothing else."""
        return not self.mismatches and not self.candle_mismatches


@dataclass(slots=True)
class _Feeder:
    """Keeps the engine busy with a few submissions at a time, and collects what it refused."""

    engine: Engine
    refused: dict[int, Rejected] = field(default_factory=dict)
    error: EngineError | None = None
    _free: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(IN_FLIGHT_MAX))

    def feed(self, lines: Sequence[FlowLine]) -> None:
        """Raises: EngineError: that of an earlier submission, too."""
        self._wait_for_room()
        numbers = [line.number for line in lines]
        self.engine.submit(
            [command_of(line) for line in lines], lambda answer: self._done(numbers, answer)
        )

    def drain(self) -> None:
        """Wait until everything is durable. Raises: EngineError."""
        for _ in range(IN_FLIGHT_MAX):
            self._wait_for_room()

    def _wait_for_room(self) -> None:
        if not self._free.acquire(timeout=ANSWER_TIMEOUT_S_MAX):
            raise EngineError(f"the engine gave no answer in {ANSWER_TIMEOUT_S_MAX:.0f} s")
        if self.error is not None:
            raise self.error

    def _done(self, numbers: list[int], answer: list[Outcome] | EngineError) -> None:
        if isinstance(answer, EngineError):
            self.error = answer
        else:
            for number, outcome in zip(numbers, answer, strict=True):
                if isinstance(outcome, Rejected):
                    self.refused[number] = outcome
        self._free.release()


def run_flow(
    path: Path,
    deployment: Deployment,
    steps: Steps,
    *,
    candles: Path | None = None,
    progress: Progress = lambda done, total: None,
) -> FlowReport:
    """Feed a file into a new exchange where nothing is yet, then compare with the venue.

    Fills are compared as the log has them and candles as the views have them: what is durable.
    Raises: FlowError: the file or the place cannot be used; StoreError, EngineError.
    """
    not_empty = FlowError(f"{deployment.place} is not empty: a flow needs a new exchange")
    if not deployment.is_empty:
        raise not_empty
    steps.require_usable()
    total, first_ms = _survey(path, steps)
    with deployment.open_store(create=True, for_writing=True) as store:
        # Reading the file takes long enough for another process to come first.
        if store.log.stored_head().number:
            raise not_empty
        engine = Engine(store.log, store.snapshots, clock_ms=lambda: first_ms, writer="flow")
        with engine:
            _open_exchange(engine, steps, first_ms)
            started_s = time.perf_counter()
            refused = _feed_all(engine, read_flow(path, steps), total, progress)
            seconds = time.perf_counter() - started_s
        trades, mismatches = check_fills(store.log, read_flow(path, steps), steps, refused)
        compared, different = _compare_candles(store, deployment, candles, steps)
        return _report(
            engine.exchange,
            commands=total,
            seconds=seconds,
            trades=trades,
            mismatches=mismatches,
            compared=compared,
            different=different,
        )


def command_of(line: FlowLine) -> Command:
    """Return the exchange's command for a recorded one: the file's ids are client order ids.

    An order's account follows from its id, so that nothing need be remembered.
    """
    account = ACCOUNTS[crc32(line.order_id.encode()) % len(ACCOUNTS)]
    if line.command == "place":
        return PlaceOrder(
            time_ms=line.time_ms,
            account=account,
            market=MARKET,
            side=line.side,
            price_ticks=line.price_ticks,
            quantity_lots=line.quantity_lots,
            time_in_force=line.time_in_force,
            self_trade_prevention="none",
            client_order_id=line.order_id,
        )
    if line.command == "cancel":
        return CancelOrder(time_ms=line.time_ms, account=account, client_order_id=line.order_id)
    return AmendOrder(
        time_ms=line.time_ms,
        account=account,
        client_order_id=line.order_id,
        price_ticks=line.price_ticks,
        quantity_lots=line.quantity_lots,
        self_trade_prevention="none",
    )


def book_sha256(exchange: Exchange) -> str:
    """Return the SHA-256 of lines `side price quantity orders`, buys then sells, best first."""
    market = exchange.markets[MARKET]
    digest = hashlib.sha256()
    for side, book in (("buy", market.bids), ("sell", market.asks)):
        for price_ticks, orders in book.levels_best_first():
            price = format_steps(price_ticks, market.tick_size)
            quantity = format_steps(sum(each.quantity_lots for each in orders), market.lot_size)
            digest.update(f"{side} {price} {quantity} {len(orders)}\n".encode())
    return digest.hexdigest()


def _survey(path: Path, steps: Steps) -> tuple[int, int]:
    """Return how many commands there are and the first one's time, having checked every line.

    Before anything is written: a bad line must not leave half an exchange behind.
    """
    lines = read_flow(path, steps)
    first = next(lines, None)
    if first is None:
        raise FlowError(f"{path.name}: no commands")
    return 1 + sum(1 for _ in lines), first.time_ms


def _open_exchange(engine: Engine, steps: Steps, time_ms: int) -> None:
    """List the market, without fees, and give every account all the funds it could need."""
    base_decimals = decimals_of(steps.lot)
    opening: list[Command] = [
        ListAsset(time_ms=time_ms, asset=BASE, decimals=base_decimals),
        ListAsset(time_ms=time_ms, asset=QUOTE, decimals=base_decimals + decimals_of(steps.tick)),
        ListMarket(
            time_ms=time_ms,
            market=MARKET,
            base_asset=BASE,
            quote_asset=QUOTE,
            tick_size=steps.tick,
            lot_size=steps.lot,
            maker_fee_ppm=0,
            taker_fee_ppm=0,
        ),
    ]
    for account in ACCOUNTS:
        opening.append(OpenAccount(time_ms=time_ms, account=account))
        opening += [
            CreditDeposit(
                time_ms=time_ms,
                account=account,
                asset=asset,
                amount=UNITS_MAX,
                deposit_id=f"flow:{account}:{asset}",
            )
            for asset in (BASE, QUOTE)
        ]
    for command in opening:
        engine.execute(command)


def _feed_all(
    engine: Engine, lines: Iterable[FlowLine], total: int, progress: Progress
) -> dict[int, Rejected]:
    """Return what was refused, by line number. Raises: EngineError."""
    feeder = _Feeder(engine)
    fed = 0
    for chunk in _chunks(iter(lines)):
        feeder.feed(chunk)
        fed += len(chunk)
        progress(fed, total)
    feeder.drain()
    return feeder.refused


def _chunks(lines: Iterator[FlowLine]) -> Iterator[list[FlowLine]]:
    while chunk := list(islice(lines, SUBMISSION_COMMANDS)):
        yield chunk


def _compare_candles(
    store: Store, deployment: Deployment, oracle: Path | None, steps: Steps
) -> tuple[int, list[Mismatch]]:
    with closing(deployment.open_views()) as kept:
        catch_up(store.log, kept)
        if oracle is None:
            return 0, []
        with closing(Views(kept)) as views:
            return check_candles(views, MARKET, oracle, steps)


def _report(
    exchange: Exchange,
    *,
    commands: int,
    seconds: float,
    trades: int,
    mismatches: list[Mismatch],
    compared: int,
    different: list[Mismatch],
) -> FlowReport:
    return FlowReport(
        commands=commands,
        trades=trades,
        mismatches=len(mismatches),
        book_sha256=book_sha256(exchange),
        candles_compared=compared,
        candle_mismatches=len(different),
        position=exchange.position,
        state_hash=state_hash(exchange),
        events=exchange.position,
        commands_per_second=round(commands / seconds) if seconds else 0,
        seconds=round(seconds, 3),
        first_mismatches=[*mismatches, *different][:10],
    )
