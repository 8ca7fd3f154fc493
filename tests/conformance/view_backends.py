"""The databases that views must be the same in, and how to look behind each one's back."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import psycopg

from projections.database import ViewStore
from projections.postgres import PostgresViews, migrate
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


class PostgresBackend(ViewBackend):
    """Databases of a server; `plain`: without TimescaleDB."""

    def __init__(self, new_database: Callable[[], str], resources: ExitStack, plain: bool) -> None:
        self._new_database = new_database
        self._resources = resources
        self._plain = plain
        self._urls: dict[str, str] = {}

    def store(self, name: str) -> PostgresViews:
        """Return the store in a database."""
        store = PostgresViews(self.url(name))
        self._resources.callback(store.close)
        return store

    def sets(self, name: str) -> list[str]:
        """Return the schemas' names."""
        with psycopg.connect(self._urls[name]) as connection:
            rows = connection.execute(
                "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'views\\_%' ORDER BY nspname"
            )
            return [row[0] for row in rows]

    def lose_current(self, name: str) -> None:
        """Drop the schema."""
        current = self.store(name).current()
        with psycopg.connect(self._urls[name]) as connection:
            connection.execute(f"DROP SCHEMA {current} CASCADE".encode())

    def url(self, name: str) -> str:
        """Return the database's URL."""
        if name not in self._urls:
            self._urls[name] = self._prepared()
        return self._urls[name]

    def _prepared(self) -> str:
        url = self._new_database()
        migrate(url)
        if self._plain:
            with psycopg.connect(url) as connection:
                connection.execute("DROP EXTENSION timescaledb CASCADE")
        return url
