"""The databases that views must be the same in, and how to look behind each one's back."""

from abc import ABC, abstractmethod
from contextlib import ExitStack
from pathlib import Path

from projections.database import ViewStore
from projections.sqlite import SQLiteViews


class ViewBackend(ABC):
    """A kind of view store, in a place of its own for one test."""

    @abstractmethod
    def store(self, name: str) -> ViewStore:
        """Return the store of that name: the same one every time, as another process sees it."""

    @abstractmethod
    def sets(self, name: str) -> list[str]:
        """Return the names of the sets of views in a store."""

    @abstractmethod
    def lose_current(self, name: str) -> None:
        """Delete the current set of views, as an accident would."""


class SQLiteBackend(ViewBackend):
    """Files in a directory."""

    def __init__(self, directory: Path, resources: ExitStack) -> None:
        self._directory = directory
        self._resources = resources

    def store(self, name: str) -> SQLiteViews:
        """Return the store in a directory."""
        store = SQLiteViews(self._directory / name)
        self._resources.callback(store.close)
        return store

    def sets(self, name: str) -> list[str]:
        """Return the files' names."""
        files = (self._directory / name / "views").glob("*.db")
        return sorted(path.name for path in files)

    def lose_current(self, name: str) -> None:
        """Delete the file."""
        current = self.store(name).current()
        assert current is not None
        (self._directory / name / "views" / current).unlink()
