"""What one commit holds, and the place where the decider leaves it for the committer."""

import threading
from collections.abc import Callable, Sequence

from commands.command import Command
from commands.errors import EngineError
from commands.registry import Outcome
from domain.events import Event

Done = Callable[[list[Outcome] | EngineError], None]
"""Called on the committer's thread once a submission is durable, with an outcome for each of its
commands in order; or with the error that kept all of them from being answered."""


class Batch:
    """The events of a commit, and whom to answer after it. commands: how many were decided."""

    __slots__ = ("answers", "commands", "events")

    def __init__(self) -> None:
        self.commands = 0
        self.events: list[Event] = []
        self.answers: list[tuple[Sequence[Command], list[Outcome], Done]] = []


class Handover:
    """Holds one decided batch; while it is open, the decider may take it back and add to it.

    So while a commit takes long, all that comes meanwhile is decided and shares the next one.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._batch: Batch | None = None
        self._open = False
        self._ended = False

    def put(self, batch: Batch, *, still_open: bool) -> None:
        """Leave a batch, waiting until the one before was taken."""
        with self._changed:
            self._changed.wait_for(lambda: self._batch is None)
            self._batch, self._open = batch, still_open
            self._changed.notify_all()

    def take_back(self) -> Batch | None:
        """Return the batch that was left, if it is open and still there."""
        with self._changed:
            if not self._open:
                return None
            batch, self._batch = self._batch, None
            return batch

    def end(self) -> None:
        """Say that no more will come."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def take(self) -> Batch | None:
        """Wait for a batch; None when no more will come."""
        with self._changed:
            self._changed.wait_for(lambda: self._batch is not None or self._ended)
            batch, self._batch = self._batch, None
            self._changed.notify_all()
            return batch
