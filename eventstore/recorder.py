"""What the log asks of a recorder beyond the `eventsourcing` library's own interface."""

from abc import ABC

from eventsourcing.persistence import ApplicationRecorder


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

    def close(self) -> None:
        """Give connections and files back. Nothing may be called after."""
