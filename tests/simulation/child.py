"""A process that runs an engine on a data directory, for a test to kill.

It reads submissions from standard input, one JSON line each: a list of [number, account, side,
price_ticks, lots]. Order n carries the idempotency key and client order id `kn`. For each
submission that is durable it writes a line: a list of [number, position, refusal code].
"""

import json
import sys
import time
from pathlib import Path

from commands.command import Command
from commands.engine import Engine
from commands.errors import EngineError
from commands.place_order import PlaceOrder
from commands.receipt import Receipt
from commands.registry import Outcome
from eventstore.sqlite import open_sqlite
from tests.given import MARKET, OPENING


def order(number: int, account: str, side: str, price_ticks: int, lots: int) -> PlaceOrder:
    """Return the order with this number; the same one whenever it is sent again."""
    return PlaceOrder(
        time_ms=_now_ms(), scope=account, idempotency_key=f"k{number}",
        client_order_id=f"k{number}", account=account, market=MARKET,
        side=side, price_ticks=price_ticks, quantity_lots=lots,  # type: ignore[arg-type]
        self_trade_prevention="none",
    )  # fmt: skip


def main(directory: Path) -> None:
    """Serve standard input until it ends; snapshots are left behind at clean ends only."""
    with (
        open_sqlite(directory, for_writing=True) as store,
        Engine(store.log, store.snapshots, clock_ms=_now_ms, writer="child") as engine,
    ):
        if "alice" not in engine.exchange.accounts:
            for command in OPENING:
                engine.execute(command)
        _write("ready")
        for line in sys.stdin:
            _submit(engine, json.loads(line))


def _submit(engine: Engine, orders: list[list[object]]) -> None:
    numbers = [order[0] for order in orders]
    commands: list[Command] = [order(*fields) for fields in orders]  # type: ignore[arg-type]

    def done(answer: list[Outcome] | EngineError) -> None:
        if isinstance(answer, EngineError):
            _write(answer.code)
            return
        outcomes = [
            (each.position, "") if isinstance(each, Receipt) else (0, each.code) for each in answer
        ]
        _write(json.dumps([[n, *each] for n, each in zip(numbers, outcomes, strict=True)]))

    engine.submit(commands, done)


def _write(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


if __name__ == "__main__":
    main(Path(sys.argv[1]))
