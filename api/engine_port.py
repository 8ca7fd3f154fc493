"""What the API needs of an engine, wherever it runs: in this process or in another."""

import asyncio
from collections.abc import Sequence
from typing import Protocol, TypeVar

from api.problems import ApiProblem
from api.signatures import Signature
from commands.command import Command
from commands.errors import EngineError
from commands.registry import Outcome
from domain.exchange import Exchange

Answer_co = TypeVar("Answer_co", covariant=True)
Answer = TypeVar("Answer")

Result = list[Outcome] | EngineError | ApiProblem
"""What became of a submission: an outcome for each command in order, or why there are none."""


class EngineState(Protocol):
    """What questions are answered from, on the thread of the event loop."""

    @property
    def exchange(self) -> Exchange:
        """The state. Only single dict lookups are safe: another thread changes it."""

    @property
    def now_ms(self) -> int:
        """The engine's time."""

    def in_flight(self, scope: str, key: str) -> bool:
        """Return whether a command with this idempotency key waits for its outcome."""


class Question(Protocol[Answer_co]):
    """Something to ask the engine: a struct that knows how it is answered."""

    def answer(self, state: EngineState) -> Answer_co:
        """Return the answer."""


class EnginePort(Protocol):
    """The way to the engine. For the thread of one event loop."""

    @property
    def ready(self) -> bool:
        """Whether commands are taken."""

    @property
    def failed(self) -> BaseException | None:
        """Why commands will never be taken again this way: then the process has to end."""

    @property
    def position(self) -> int:
        """The newest event position that the engine is known to have reached."""

    @property
    def queue_depth(self) -> int:
        """Commands that wait to be decided, when the engine last said so."""

    async def open(self) -> None:
        """Begin; returns without waiting for the engine."""

    async def close(self) -> None:
        """End; what was submitted may still be decided."""

    def submit(
        self, commands: Sequence[Command], *, key: str, signature: Signature
    ) -> asyncio.Future[Result]:
        """Queue commands as one submission; the future gets their outcomes once they are durable.

        key: the caller's idempotency key, which `ask` knows as in flight meanwhile. signature: what
        let the commands in; it does so once.
        Raises: NotReady, EngineStopped, Overloaded, and what `SignatureMemory` raises: nothing was
        queued; the future may get each of these as well.
        """

    async def ask(self, question: Question[Answer]) -> Answer:
        """Return the answer to a question. Raises: NotReady: the engine cannot be asked."""
