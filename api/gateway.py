"""The bridge between the event loop and the engine's threads: a request never blocks the loop."""

import asyncio
import threading
from collections import Counter, deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from api.problems import NotReady, ViewBehind
from commands.command import Command
from commands.engine import Engine
from commands.errors import EngineError, OutcomeUnknown
from commands.receipt import Receipt
from commands.registry import Outcome
from domain.errors import Rejected
from domain.exchange import Exchange
from projections.runner import ProjectionRunner
from projections.views import Views

Answer = TypeVar("Answer")
Result = list[Outcome] | EngineError

POLL_S_MIN: Final = 0.001
POLL_S_MAX: Final = 0.05


class Gateway:
    """Sends commands to the engine and queries to the views.

    command_timeout_s: how long a caller waits before the outcome is unknown; view_wait_s: how long
    a query waits for the position it asks for.
    """

    def __init__(
        self,
        engine: Engine,
        views: Views,
        runner: ProjectionRunner,
        *,
        clock_ms: Callable[[], int],
        command_timeout_s: float,
        view_wait_s: float,
        query_threads: int,
    ) -> None:
        self.clock_ms = clock_ms
        self._engine = engine
        self._views = views
        self._runner = runner
        self._command_timeout_s = command_timeout_s
        self._view_wait_s = view_wait_s
        self._threads = ThreadPoolExecutor(query_threads, thread_name_prefix="query")
        self._closed = False
        self._completions = _Completions()
        self._in_flight: Counter[tuple[str, str]] = Counter()

    @property
    def exchange(self) -> Exchange:
        """The engine's state. Only single dict lookups are safe from here."""
        return self._engine.exchange

    def in_flight(self, scope: str, key: str) -> bool:
        """Return whether a command with this idempotency key waits for its outcome."""
        return (scope, key) in self._in_flight

    async def execute(self, command: Command) -> Receipt:
        """Return the receipt of a command that is durable.

        Raises: Rejected: it was refused and changed nothing; EngineError: as in `submit`.
        """
        outcome = (await self.submit([command], key=command.idempotency_key))[0]
        if isinstance(outcome, Rejected):
            raise outcome
        return outcome

    async def submit(self, commands: Sequence[Command], *, key: str) -> list[Outcome]:
        """Return one outcome for each command, in order. key: the caller's idempotency key.

        Raises: NotReady: shutting down; Overloaded: nothing was recorded; OutcomeUnknown: no
        answer in time; EngineError: the engine stopped or failed.
        """
        if self._closed:
            raise NotReady
        mine = (commands[0].scope, key)
        answered: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._in_flight[mine] += 1
        answered.add_done_callback(lambda _: self._landed(mine))
        try:
            self._engine.submit(commands, self._completions.callback(answered))
        except EngineError:
            answered.cancel()
            raise
        try:
            # Shielded: giving up waiting must not forget that the command is under way.
            result = await asyncio.wait_for(asyncio.shield(answered), self._command_timeout_s)
        except TimeoutError as error:
            raise OutcomeUnknown from error
        if isinstance(result, EngineError):
            raise result
        return result

    async def query(
        self, ask: Callable[[Views], Answer], *, min_position: int = 0
    ) -> tuple[Answer, int]:
        """Return a view's answer, and a position that it includes.

        Raises: ViewBehind: min_position was not reached in time.
        """
        await self._reach(min_position)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._ask, ask)

    def close(self) -> None:
        """Take no more commands and let running queries end."""
        self._closed = True
        self._threads.shutdown(wait=True)

    def _ask(self, ask: Callable[[Views], Answer]) -> tuple[Answer, int]:
        # The position first: what is read after it can only be newer.
        position = self._views.position()
        return ask(self._views), position

    async def _reach(self, position: int) -> None:
        loop = asyncio.get_running_loop()
        give_up_s = loop.time() + self._view_wait_s
        pause_s = POLL_S_MIN
        while self._runner.position < position:
            if loop.time() >= give_up_s:
                raise ViewBehind(f"The view is at {self._runner.position}, not yet at {position}")
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, POLL_S_MAX)

    def _landed(self, mine: tuple[str, str]) -> None:
        self._in_flight[mine] -= 1
        if not self._in_flight[mine]:
            del self._in_flight[mine]


class _Completions:
    """Brings what the engine's thread answers to the loop, waking it once for many answers."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: deque[tuple[asyncio.Future[Result], Result]] = deque()

    def callback(self, answered: asyncio.Future[Result]) -> Callable[[Result], None]:
        """Return what the engine calls, on any thread, with the outcome."""
        loop = answered.get_loop()

        def done(result: Result) -> None:
            with self._lock:
                first = not self._waiting
                self._waiting.append((answered, result))
            if first and not loop.is_closed():
                loop.call_soon_threadsafe(self._deliver)

        return done

    def _deliver(self) -> None:
        with self._lock:
            delivered = list(self._waiting)
            self._waiting.clear()
        for answered, result in delivered:
            if not answered.done():
                answered.set_result(result)
