"""What a route needs of the exchange: commands to the engine, queries to the views, no blocking."""

import asyncio
import logging
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Final, TypedDict, TypeVar

from api.engine_port import EnginePort, Result
from api.engine_questions import (
    AssetFacts,
    FindAnswers,
    FindAsset,
    FindMarkets,
    FindOpenOrder,
    KeyAnswers,
    MarketFacts,
)
from api.problems import ApiProblem, NotReady, ViewBehind
from api.signatures import Signature
from commands.command import Command
from commands.errors import EngineError, OutcomeUnknown
from commands.receipt import Receipt
from commands.registry import Outcome
from domain.errors import Rejected, UnknownAsset, UnknownMarket
from projections.database import ViewsMissing, ViewsUnavailable
from projections.views import Views

Answer = TypeVar("Answer")

POLL_S_MIN: Final = 0.001
POLL_S_MAX: Final = 0.05

_log = logging.getLogger(__name__)


class Stamp(TypedDict):
    """What every command says beside what is asked: when, in whose name, under which key."""

    time_ms: int
    scope: str
    idempotency_key: str


class Gateway:
    """Sends commands to the engine and queries to the views.

    command_timeout_s: how long a caller waits before the outcome is unknown; view_wait_s: how long
    a query waits for the position it asks for.
    """

    def __init__(
        self,
        engine: EnginePort,
        views: Views,
        *,
        clock_ms: Callable[[], int],
        command_timeout_s: float,
        view_wait_s: float,
        query_threads: int,
    ) -> None:
        self.clock_ms = clock_ms
        self._engine = engine
        self._views = views
        self._command_timeout_s = command_timeout_s
        self._view_wait_s = view_wait_s
        self._threads = ThreadPoolExecutor(query_threads, thread_name_prefix="query")
        self._closed = False
        self._markets: dict[str, MarketFacts] = {}
        self._assets: dict[str, AssetFacts] = {}
        self._seen_position = 0
        self._looking: asyncio.Task[int] | None = None

    @property
    def position(self) -> int:
        """The newest event position that the engine is known to have reached."""
        return self._engine.position

    @property
    def queue_depth(self) -> int:
        """Commands that wait to be decided."""
        return self._engine.queue_depth

    @property
    def failed(self) -> BaseException | None:
        """Why commands will never be taken again, if so."""
        return self._engine.failed

    @property
    def ready(self) -> bool:
        """Whether commands are taken."""
        return not self._closed and self._engine.ready

    async def open(self) -> None:
        """Begin, on the event loop that everything here is called from."""
        await self._engine.open()

    def stamp(self, scope: str, key: str) -> Stamp:
        """Return the fields of a command that is asked now. key: the caller's idempotency key."""
        return Stamp(time_ms=self.clock_ms(), scope=scope, idempotency_key=key)

    async def execute(self, command: Command, signature: Signature) -> Receipt:
        """Return the receipt of a command that is durable.

        Raises: Rejected: it was refused and changed nothing; what `submit` raises.
        """
        key = command.idempotency_key
        [outcome] = await self.submit([command], key=key, signature=signature)
        if isinstance(outcome, Rejected):
            raise outcome
        return outcome

    async def submit(
        self, commands: Sequence[Command], *, key: str, signature: Signature
    ) -> list[Outcome]:
        """Return one outcome for each command, in order. key: the caller's idempotency key.

        Raises: NotReady: no engine, or shutting down; SignatureReplayed; Overloaded: nothing was
        recorded; OutcomeUnknown: no answer in time; EngineError: the engine stopped or failed.
        """
        if self._closed:
            raise NotReady
        answered = self._engine.submit(commands, key=key, signature=signature)
        try:
            # Shielded: giving up waiting must not forget that the command is under way.
            result: Result = await asyncio.wait_for(
                asyncio.shield(answered), self._command_timeout_s
            )
        except TimeoutError as error:
            raise OutcomeUnknown from error
        if isinstance(result, EngineError | ApiProblem):
            raise result
        return result

    async def market(self, symbol: str) -> MarketFacts:
        """Return what never changes about a listed market. Raises: UnknownMarket, NotReady."""
        found = await self.markets([symbol])
        if symbol not in found:
            raise UnknownMarket(f"There is no market {symbol!r}")
        return found[symbol]

    async def markets(self, symbols: Collection[str]) -> dict[str, MarketFacts]:
        """Return those of the markets that are listed, by symbol. Raises: NotReady."""
        new = {symbol for symbol in symbols if symbol not in self._markets}
        if new:
            listed = await self._engine.ask(FindMarkets(sorted(new)))
            self._markets.update((market.symbol, market) for market in listed)
        known = self._markets
        return {symbol: known[symbol] for symbol in symbols if symbol in known}

    async def asset(self, code: str) -> AssetFacts:
        """Return what never changes about a listed asset. Raises: UnknownAsset, NotReady."""
        known = self._assets.get(code)
        if known is None:
            known = await self._engine.ask(FindAsset(code))
            if known is None:
                raise UnknownAsset(f"There is no asset {code!r}")
            self._assets[code] = known
        return known

    async def market_of_open_order(
        self, account: str, *, order_id: int = 0, client_order_id: str = ""
    ) -> str:
        """Return the symbol of an open order's market, "" for no such order. Raises: NotReady."""
        return await self._engine.ask(FindOpenOrder(account, order_id, client_order_id))

    async def answers(self, scope: str, key: str) -> KeyAnswers:
        """Return what became of the commands with an idempotency key. Raises: NotReady."""
        return await self._engine.ask(FindAnswers(scope, key))

    async def query(
        self, ask: Callable[[Views], Answer], *, min_position: int = 0
    ) -> tuple[Answer, int]:
        """Return a view's answer, and a position that it includes.

        Raises: ViewBehind: min_position was not reached in time; NotReady: they cannot be read.
        """
        await self._reach(min_position)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._ask, ask)

    async def view_position(self) -> int:
        """Return the event position that the views have reached. Raises: NotReady."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._position)

    async def close(self) -> None:
        """End what `open` began."""
        await self._engine.close()

    def stop(self) -> None:
        """Take no more commands and let running queries end."""
        self._closed = True
        self._threads.shutdown(wait=True)

    def _ask(self, ask: Callable[[Views], Answer]) -> tuple[Answer, int]:
        with _readable():
            # The position first: what is read after it can only be newer.
            position = self._views.position()
            return ask(self._views), position

    def _position(self) -> int:
        with _readable():
            return self._views.position()

    async def _reach(self, position: int) -> None:
        loop = asyncio.get_running_loop()
        give_up_s = loop.time() + self._view_wait_s
        pause_s = POLL_S_MIN
        while self._seen_position < position and await self._look() < position:
            if loop.time() >= give_up_s:
                raise ViewBehind(f"The view is at {self._seen_position}, not yet at {position}")
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, POLL_S_MAX)

    async def _look(self) -> int:
        """Return where the views are. However many wait for them, only one look is under way."""
        if self._looking is None or self._looking.done():
            self._looking = asyncio.get_running_loop().create_task(self.view_position())
        self._seen_position = max(self._seen_position, await asyncio.shield(self._looking))
        return self._seen_position


@contextmanager
def _readable() -> Iterator[None]:
    """Raises: NotReady: instead of what says that the views' database cannot be read."""
    try:
        yield
    except (ViewsMissing, ViewsUnavailable) as error:
        _log.warning("the views cannot be read: %s", error)
        raise NotReady("The views cannot be read now") from error
