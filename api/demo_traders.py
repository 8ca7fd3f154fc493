"""Simulated traders: a market maker's ladder and takers, so that the demo's markets are alive."""

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Final

from commands.cancel_order import CancelOrder
from commands.command import Command
from commands.engine import Engine
from commands.errors import EngineError, EngineStopped
from commands.place_order import PlaceOrder
from domain.errors import Rejected
from domain.units import Side
from eventstore.background import Background

MAKER: Final = "maker"
TAKERS: Final = ("taker-1", "taker-2", "taker-3")

STEP_S: Final = 0.2
LADDER_ORDERS: Final = 60
OPENING_STEPS: Final = 40
"""Steps done at once at the start, so that there is a book before the first visitor."""

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class DemoMarket:
    """How a market is simulated: prices in ticks, quantities in lots."""

    symbol: str
    start_ticks: int
    step_ticks: int
    lots_max: int
    mid_ticks: int = 0
    ladder: deque[str] = field(default_factory=deque)


class Traders:
    """One thread that trades like many people would, until the exchange stops."""

    def __init__(
        self, engine: Engine, markets: list[DemoMarket], seed: int, clock_ms: Callable[[], int]
    ) -> None:
        self._engine = engine
        self._markets = markets
        self._random = Random(seed)
        self._clock_ms = clock_ms
        self._run_id = str(clock_ms())
        self._orders = 0
        self._thread = Background("traders", self._run)

    def start(self) -> None:
        """Make the book, and go on in a thread."""
        for market in self._markets:
            market.mid_ticks = self._last_price(market)
        for _ in range(OPENING_STEPS):
            self._step(taking=False)
        self._step(taking=True)
        self._thread.start()

    def stop(self) -> None:
        """Trade no more."""
        self._thread.stop()

    def _run(self) -> None:
        while not self._thread.rest(STEP_S):
            try:
                self._step(taking=True)
            except EngineStopped:
                _log.info("the simulated traders stop with the exchange")
                return
            except EngineError as error:
                _log.warning("a simulated trader got no answer: %s", error)

    def _step(self, *, taking: bool) -> None:
        for market in self._markets:
            self._move(market)
            self._make(market)
            if taking:
                self._take(market)

    def _last_price(self, market: DemoMarket) -> int:
        return self._engine.exchange.markets[market.symbol].last_price_ticks or market.start_ticks

    def _move(self, market: DemoMarket) -> None:
        """Let the mid price walk at random, a little more often towards where it started."""
        draw = self._random.randrange
        pull = 1 if market.mid_ticks < market.start_ticks else -1
        direction = pull if draw(20) == 0 else draw(3) - 1
        market.mid_ticks += direction * market.step_ticks

    def _make(self, market: DemoMarket) -> None:
        draw = self._random.randrange
        for side in ("buy", "sell"):
            away = (1 + draw(30)) * market.step_ticks
            self._orders += 1
            client_order_id = f"{self._run_id}-{self._orders}"
            market.ladder.append(client_order_id)
            self._try(
                PlaceOrder(
                    time_ms=self._clock_ms(),
                    account=MAKER,
                    market=market.symbol,
                    side="buy" if side == "buy" else "sell",
                    price_ticks=market.mid_ticks + (-away if side == "buy" else away),
                    quantity_lots=1 + draw(market.lots_max),
                    post_only=True,
                    client_order_id=client_order_id,
                )
            )
        while len(market.ladder) > LADDER_ORDERS:
            oldest = market.ladder.popleft()
            self._try(CancelOrder(time_ms=self._clock_ms(), account=MAKER, client_order_id=oldest))

    def _take(self, market: DemoMarket) -> None:
        draw = self._random.randrange
        side: Side = ("buy", "sell")[draw(2)]
        self._try(
            PlaceOrder(
                time_ms=self._clock_ms(),
                account=TAKERS[draw(len(TAKERS))],
                market=market.symbol,
                side=side,
                type="market",
                quantity_lots=1 + draw(market.lots_max),
                time_in_force="ioc",
            )
        )

    def _try(self, command: Command) -> None:
        """Send a command. A refusal is a trader's daily bread: the order to cancel was filled."""
        try:
            self._engine.execute(command)
        except Rejected as refusal:
            _log.debug("%s refused: %s", type(command).__name__, refusal.code)
