"""What every view is: tables it owns, a fold over events, and one write for a whole batch."""

import sqlite3
from collections.abc import Callable
from typing import Any, Protocol

from domain.events import Event

Handler = Callable[[int, Any], None]
"""Folds one event, given its position, into memory. It never touches the database's tables."""


class Projection(Protocol):
    """One view. Between two flushes it holds in memory what a batch changed, and nothing else."""

    schema: str
    """The SQL that creates its tables, once."""

    def handlers(self) -> dict[type[Event], Handler]:
        """Return what folds each kind of event that the view is made of."""
        ...

    def flush(self, db: sqlite3.Connection) -> None:
        """Write what the batch changed; the caller's transaction also moves the checkpoint."""
        ...
