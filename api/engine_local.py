"""The way to an engine in this process: brings its threads' answers to the event loop."""

import asyncio
import logging
import threading
from collections import Counter, deque
from collections.abc import Callable, Sequence

from api.engine_port import Answer, Question, Result
from api.signatures import Signature, SignatureMemory
from commands.command import Command
from commands.engine import Engine
from domain.exchange import Exchange

_log = logging.getLogger("foldex.engine")


class LocalEngine:
    """An `EnginePort`, and the `EngineState` that questions are answered from.

    clock_ms: the exchange's time.
    """

    def __init__(self, engine: Engine, clock_ms: Callable[[], int]) -> None:
        self._engine = engine
        self._clock_ms = clock_ms
        self._signatures = SignatureMemory(clock_ms, lambda: engine.started_ms)
        self._completions = _Completions()
        self._in_flight: Counter[tuple[str, str]] = Counter()

    @property
    def ready(self) -> bool:
        """Whether commands are taken."""
        return self._engine.running and self._engine.failed is None

    @property
    def failed(self) -> BaseException | None:
        """Why the engine stopped by itself, if it did."""
        return self._engine.failed

    @property
    def position(self) -> int:
        """The engine's position."""
        return self._engine.exchange.position

    @property
    def queue_depth(self) -> int:
        """Commands that wait to be decided."""
        return self._engine.queue_depth

    @property
    def exchange(self) -> Exchange:
        """The engine's state. Only single dict lookups are safe from here."""
        return self._engine.exchange

    @property
    def now_ms(self) -> int:
        """The engine's time."""
        return self._clock_ms()

    def in_flight(self, scope: str, key: str) -> bool:
        """Return whether a command with this idempotency key waits for its outcome."""
        return (scope, key) in self._in_flight

    async def open(self) -> None:
        """Nothing to do: whoever made the engine starts it."""

    async def close(self) -> None:
        """Nothing to do: whoever made the engine stops it."""

    def submit(
        self, commands: Sequence[Command], *, key: str, signature: Signature
    ) -> asyncio.Future[Result]:
        """Queue commands, see `EnginePort.submit`.

        No other task runs between the look into the memory and the entry there.
        """
        self._signatures.require_new(signature)
        answered: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._engine.submit(commands, self._completions.callback(answered))
        self._signatures.remember(signature)
        if key:
            mine = (commands[0].scope, key)
            self._in_flight[mine] += 1
            answered.add_done_callback(lambda _: self._landed(mine))
        if _log.isEnabledFor(logging.DEBUG):
            # Called in the context of the request: the line has its correlation id.
            answered.add_done_callback(lambda done: _log_outcomes(commands, done))
        return answered

    async def ask(self, question: Question[Answer]) -> Answer:
        """Return the answer to a question."""
        return question.answer(self)

    def _landed(self, mine: tuple[str, str]) -> None:
        self._in_flight[mine] -= 1
        if not self._in_flight[mine]:
            del self._in_flight[mine]


def _log_outcomes(commands: Sequence[Command], answered: asyncio.Future[Result]) -> None:
    """Log what became of commands: kinds and codes, nothing of what a client chose."""
    if answered.cancelled():
        return
    result = answered.result()
    outcomes = result if isinstance(result, list) else [result] * len(commands)
    for command, outcome in zip(commands, outcomes, strict=True):
        fields = {"result": getattr(outcome, "code", "accepted")}
        _log.debug("%s", type(command).__name__, extra={"fields": fields})


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
