"""What every view is: tables it owns, a fold over events, and what a whole batch changed."""

from collections.abc import Callable
from typing import Any, ClassVar, Protocol

from domain.events import Event
from projections.database import Write
from projections.table import Table

Handler = Callable[[int, Any], None]
"""Folds one event, given its position, into memory."""


class Projection(Protocol):
    """One view. It holds in memory what folding needs, and what was changed since `writes`."""

    TABLES: ClassVar[list[Table]]
    """The tables that it alone writes."""

    def handlers(self) -> dict[type[Event], Handler]:
        """Return what folds each kind of event that the view is made of."""
        ...

    def writes(self) -> list[Write]:
        """Hand over the net changes since the last call.

        The rows are the caller's from then on: he may write them while more is folded.
        """
        ...
