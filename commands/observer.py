"""Whoever wants to know what the engine does, once for each commit."""

from collections.abc import Sequence

from commands.command import Command
from commands.errors import EngineError
from commands.registry import Outcome


class EngineObserver:
    """Is told, on the engine's threads, what it does; has to be quick. This one ignores it all."""

    def recovering(self, position: int, last: int) -> None:
        """Take note of how far the recovery is, and how far it has to go."""

    def committed(
        self,
        decided: Sequence[tuple[Sequence[Command], Sequence[Outcome], object]],
        events: int,
        append_ns: int,
    ) -> None:
        """Take note of one durable commit, after its senders have their answers.

        decided: each submission's commands, outcomes and sender. append_ns: that the append took.
        """

    def unanswered(self, commands: Sequence[Command], error: EngineError) -> None:
        """Take note of a submission that got an error instead of outcomes."""
