"""What the log asks of a recorder beyond the `eventsourcing` library's own interface."""

from abc import ABC
from collections.abc import Callable
from typing import Final

from eventsourcing.persistence import ApplicationRecorder

POLL_S: Final = 0.05
"""How often a waiting reader looks for commits of another process, unless it is told of them."""


class CommitRecorder(ApplicationRecorder, ABC):
    """An application recorder that also watches over its storage. Mix in after the library's."""

    def witness(self, stream: str) -> int | None:
        """Return the number of the last commit as the database itself noted it; None: unknown.

        It is kept apart from the commits, so that the loss of the last one is noticed.
        """
        return None

    def check_storage(self) -> list[str]:
        """Return what is wrong with the storage below the records; empty when nothing is."""
        return []

    def is_corruption(self, error: Exception) -> bool:
        """Return whether an error of this recorder means that its storage is damaged."""
        return False

    @property
    def poll_s(self) -> float:
        """How often to look for commits of another process."""
        return POLL_S

    def watch(self, stream: str, noticed: Callable[[], None]) -> None:
        """From now on call `noticed`, on any thread, when another process may have appended.

        Only a hint: a call may be missing, or be for nothing. By default there are none.
        """

    def settle(self) -> None:
        """Make sure that an insert that raised is over: its rows are stored or never will be.

        Raises: PersistenceError: that cannot be made sure.
        """

    def close(self) -> None:
        """Give connections and files back. Nothing may be called after."""
