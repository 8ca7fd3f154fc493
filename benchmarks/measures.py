"""The measures: each takes a workload and returns what one run did, per second."""

import gc
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import msgspec

from benchmarks.ordering import batches, single_orders
from benchmarks.places import OpenStore, postgres_store, sqlite_store
from benchmarks.publishing import publisher
from benchmarks.viewing import views_postgres, views_postgres_apart, views_sqlite
from benchmarks.workloads import COMMIT_COMMANDS, Measured, Workload, fill
from commands.amend_order import AmendOrder
from commands.cancel_order import CancelOrder
from commands.command import Command
from commands.engine import Engine
from commands.errors import EngineError, Overloaded
from commands.handover import Done
from commands.place_order import PlaceOrder
from commands.registry import COMMANDS, Outcome, handle
from domain.events import Event, TradeExecuted
from domain.exchange import Exchange
from domain.market import Market
from domain.matching import Taker, crosses, match
from domain.order_book import Order
from domain.snapshot import dump, load
from eventstore.codec import CODEC
from eventstore.commit import GENESIS
from eventstore.recovery import recover
from eventstore.store import Store

SUBMISSION_COMMANDS = 100
IN_FLIGHT_SUBMISSIONS = 100
OFFERED_PER_S = 50_000
OFFERED_COMMANDS = 100


Measure = Callable[[Workload], Measured]


def matcher(workload: Workload) -> Measured:
    """Match orders and keep the book: no accounts, holds or fees are looked at."""
    exchange = _opened(workload)
    market = next(iter(exchange.markets.values()))
    template = _any_order(exchange, market)
    resting: dict[int, Order] = {}
    orders = 0
    started = time.perf_counter()
    for command in workload.commands:
        if isinstance(command, PlaceOrder):
            orders += 1
            _match_one(market, resting, template, command, orders)
        elif isinstance(command, CancelOrder):
            order = resting.pop(command.order_id, None)
            if order is not None:
                market.side(order.side).remove(order)
        elif isinstance(command, AmendOrder):
            _amend_one(market, resting, template, command)
    return Measured(len(workload.commands), time.perf_counter() - started)


def _match_one(
    market: Market, resting: dict[int, Order], template: Order, command: PlaceOrder, order_id: int
) -> None:
    left = command.quantity_lots
    side, price_ticks = command.side, command.price_ticks
    if crosses(market, side, price_ticks):
        taker = Taker(
            command.time_ms, order_id, command.account, side, price_ticks, left, 0,
            command.self_trade_prevention, command.time_in_force == "gtc",
        )  # fmt: skip
        result = match(market, taker)
        left = result.resting_lots
        book = market.asks if side == "buy" else market.bids
        for event in result.events:
            if type(event) is not TradeExecuted:
                continue
            maker = resting[event.maker_order_id]
            maker.quantity_lots = event.maker_remaining_lots
            if not maker.quantity_lots:
                book.remove(maker)
                del resting[maker.order_id]
    if left and command.time_in_force == "gtc":
        order = resting[order_id] = Order(
            order_id, command.account, side, price_ticks, left, template.placed, template.paying,
            template.receiving,
        )  # fmt: skip
        market.side(side).add(order)


def _amend_one(
    market: Market, resting: dict[int, Order], template: Order, command: AmendOrder
) -> None:
    order = resting[command.order_id]
    price_ticks = command.price_ticks or order.price_ticks
    lots = command.quantity_lots or order.quantity_lots
    if price_ticks == order.price_ticks and lots <= order.quantity_lots:
        order.quantity_lots = lots
        return
    market.side(order.side).remove(order)
    del resting[order.order_id]
    again = PlaceOrder(
        time_ms=command.time_ms, account=order.account, market=market.symbol, side=order.side,
        price_ticks=price_ticks, quantity_lots=lots, self_trade_prevention="none",
    )  # fmt: skip
    _match_one(market, resting, template, again, order.order_id)


def core(workload: Workload) -> Measured:
    """Decide, apply, and encode the events as msgpack, 1,000 commands at a time."""
    exchange = _opened(workload)
    commands = workload.commands
    started = time.perf_counter()
    for first in range(0, len(commands), COMMIT_COMMANDS):
        events: list[Event] = []
        for command in commands[first : first + COMMIT_COMMANDS]:
            caused = COMMANDS[type(command)](exchange, command)
            exchange.apply_all(caused)
            events += caused
        msgspec.msgpack.encode(events)
    return Measured(len(commands), time.perf_counter() - started)


def sealed(workload: Workload) -> Measured:
    """All the engine does but the disk: keys and receipts, too, and commits packed and sealed."""
    exchange = _opened(workload)
    head = GENESIS
    commands = workload.commands
    started = time.perf_counter()
    for first in range(0, len(commands), COMMIT_COMMANDS):
        events: list[Event] = []
        for command in commands[first : first + COMMIT_COMMANDS]:
            caused, _ = handle(exchange, command)
            exchange.apply_all(caused)
            events += caused
        commit, _ = CODEC.encode(head, events, exchange.time_ms)
        head = commit.head
    return Measured(len(commands), time.perf_counter() - started)


def durable(workload: Workload, open_store: OpenStore) -> Measured:
    """Through the engine to the disk, as fast as it takes submissions of 100 commands.

    From the first submission until the last is acknowledged, which is after it is on the disk.
    """
    with open_store() as store, _running(store, workload) as engine:
        started = time.perf_counter()
        _submit(engine, workload.commands)
        seconds = time.perf_counter() - started
    return Measured(len(workload.commands), seconds)


def offered(workload: Workload, open_store: OpenStore) -> Measured:
    """Through the engine to the disk, at OFFERED_PER_S however busy it is (an open loop).

    Each latency is of one submission: from the time it was due, so that a late start counts too,
    until its acknowledgement. The garbage collector runs, as it does in a live engine.
    """
    commands = workload.commands
    every_s = OFFERED_COMMANDS / OFFERED_PER_S
    answers: queue.SimpleQueue[tuple[float, EngineError | None]] = queue.SimpleQueue()

    def answered(due: float, answer: list[Outcome] | EngineError) -> None:
        # The outcomes are let go, as by a client that has read them.
        failure = answer if isinstance(answer, EngineError) else None
        answers.put((time.perf_counter() - due, failure))

    with open_store() as store, _running(store, workload) as engine, _collecting_garbage():
        started = time.perf_counter()
        firsts = range(0, len(commands), OFFERED_COMMANDS)
        for number, first in enumerate(firsts):
            due = started + number * every_s
            time.sleep(max(0.0, due - time.perf_counter()))
            _offer(engine, commands[first : first + OFFERED_COMMANDS], partial(answered, due))
        all_answers = [answers.get() for _ in firsts]
        seconds = time.perf_counter() - started
    failures = [failure for _, failure in all_answers if failure]
    if failures:
        raise RuntimeError(f"not acknowledged: {failures[0]}")
    return Measured(len(commands), seconds, [latency_s for latency_s, _ in all_answers])


def _offer(engine: Engine, commands: Sequence[Command], done: Done) -> None:
    """Submit, and again until it is taken: what a full queue refuses is late, not lost."""
    while True:
        try:
            engine.submit(commands, done)
        except Overloaded:
            time.sleep(0.001)
        else:
            return


def replay(workload: Workload, open_store: OpenStore) -> Measured:
    """Read a log, check its seals and rebuild the state; no snapshot. In events."""
    with open_store() as store:
        fill(store.log, workload)
        started = time.perf_counter()
        rebuilt = recover(store.log, None).exchange
        seconds = time.perf_counter() - started
        if rebuilt.position != store.log.head.position:
            raise RuntimeError("the replay ended early")
    return Measured(rebuilt.position, seconds)


MEASURES: dict[str, tuple[str, Measure]] = {
    "matcher": ("commands", matcher),
    "core": ("commands", core),
    "sealed": ("commands", sealed),
    "durable-sqlite": ("commands", partial(durable, open_store=sqlite_store)),
    "durable-postgres": ("commands", partial(durable, open_store=postgres_store)),
    "offered-sqlite": ("commands", partial(offered, open_store=sqlite_store)),
    "offered-postgres": ("commands", partial(offered, open_store=postgres_store)),
    "http-single": ("orders", single_orders),
    "http-batch-100": ("orders", partial(batches, orders_each=100)),
    "http-batch-1000": ("orders", partial(batches, orders_each=1_000)),
    "replay-sqlite": ("events", partial(replay, open_store=sqlite_store)),
    "replay-postgres": ("events", partial(replay, open_store=postgres_store)),
    "publisher": ("events", publisher),
    "views-sqlite": ("events", views_sqlite),
    "views-postgres-one": ("events", views_postgres),
    "views-postgres": ("events", views_postgres_apart),
}
"""By name: what is counted, and the function."""


def _submit(engine: Engine, commands: Sequence[Command]) -> None:
    """Submit all commands and wait for the last acknowledgement; a refused command is an error."""
    free = threading.Semaphore(IN_FLIGHT_SUBMISSIONS)
    failures: list[object] = []

    def done(answer: list[Outcome] | EngineError) -> None:
        if isinstance(answer, EngineError):
            failures.append(answer)
        free.release()

    for first in range(0, len(commands), SUBMISSION_COMMANDS):
        free.acquire()
        engine.submit(commands[first : first + SUBMISSION_COMMANDS], done)
    for _ in range(IN_FLIGHT_SUBMISSIONS):
        free.acquire()
    if failures:
        raise RuntimeError(f"not acknowledged: {failures[0]}")


def _opened(workload: Workload) -> Exchange:
    """Return the exchange as recovery would leave it, so that nothing of the opening is warm."""
    exchange = Exchange()
    for command in workload.opening:
        exchange.apply_all(handle(exchange, command)[0])
    return load(dump(exchange))


def _any_order(exchange: Exchange, market: Market) -> Order:
    """Return an order to copy the balances of: the matcher alone never looks at them."""
    account = next(name for name in exchange.accounts if name != "fees")
    order = PlaceOrder(
        time_ms=0, account=account, market=market.symbol, side="buy", price_ticks=1,
        quantity_lots=1,
    )  # fmt: skip
    copied = load(dump(exchange))
    copied.apply_all(handle(copied, order)[0])
    return next(copied.open_orders())


@contextmanager
def _running(store: Store, workload: Workload) -> Iterator[Engine]:
    """Give an engine that has taken the opening of a workload."""
    engine = Engine(store.log, store.snapshots, clock_ms=lambda: 0, writer="benchmark")
    engine.start()
    try:
        _submit(engine, workload.opening)
        yield engine
    finally:
        engine.stop(snapshot=False)


@contextmanager
def _collecting_garbage() -> Iterator[None]:
    gc.enable()
    try:
        yield
    finally:
        gc.disable()
