"""Where an exchange keeps its data: the one place that chooses, by the settings."""

import time
from abc import ABC, abstractmethod
from typing import Final

from api.key_stores import keys_in
from api.keys import KeyStore, KeyStoreError
from api.settings import Settings
from eventstore.errors import StoreLocked
from eventstore.published import PublishedPositions, SQLitePublished
from eventstore.sqlite import open_sqlite
from eventstore.store import Store
from projections.database import ViewStore
from projections.sqlite import SQLiteViews

LOCK_POLL_S: Final = 0.1
"""How often a standby looks whether the data directory is free."""


class Deployment(ABC):
    """The log, the views, the keys of one exchange, and how far it has been published."""

    @property
    @abstractmethod
    def place(self) -> str:
        """Where that is, for people; without secrets."""

    @property
    @abstractmethod
    def options(self) -> list[str]:
        """What a command line needs to mean this place, with `environment`."""

    @property
    @abstractmethod
    def environment(self) -> dict[str, str]:
        """The variables a command needs to mean this place; they may hold secrets."""

    @property
    @abstractmethod
    def is_empty(self) -> bool:
        """Whether nothing is there yet, so that a new exchange may begin. Raises: StoreError."""

    @abstractmethod
    def migrate(self) -> list[str]:
        """Make it ready for this version, and return what was done. Raises: StoreError."""

    @abstractmethod
    def open_store(
        self, *, create: bool = False, for_writing: bool = False, wait_s: float = 0.0
    ) -> Store:
        """Return the log and its snapshots. create: make what is missing, where that is allowed.

        wait_s: how long another process may take to stop writing.
        Raises: NoStore, StoreLocked, StoreTooNew, StoreDamaged, StoreError.
        """

    @abstractmethod
    def open_views(self) -> ViewStore:
        """Return where the views are kept."""

    @abstractmethod
    def open_keys(self, *, create: bool = False) -> KeyStore:
        """Return the API keys. create: make what is missing, where that is allowed.

        Raises: KeyStoreError: they cannot be used, and what to do.
        """

    @abstractmethod
    def open_positions(self) -> PublishedPositions:
        """Return how far the log has been published. Raises: StoreError."""


class Embedded(Deployment):
    """SQLite files in a directory."""

    def __init__(self, settings: Settings) -> None:
        self._directory = settings.data
        self._master_key = settings.master_key.get_secret_value()

    @property
    def place(self) -> str:
        """The directory."""
        return str(self._directory.absolute())

    @property
    def options(self) -> list[str]:
        """The directory."""
        return ["--data", str(self._directory)]

    @property
    def environment(self) -> dict[str, str]:
        """Nothing."""
        return {}

    @property
    def is_empty(self) -> bool:
        """Whether the directory is new or has nothing in it."""
        directory = self._directory
        return not directory.exists() or (directory.is_dir() and not any(directory.iterdir()))

    def migrate(self) -> list[str]:
        """Make a new directory a store."""
        new = self.is_empty
        self.open_store(create=True).close()
        return [f"made a new exchange in {self.place}"] if new else []

    def open_store(
        self, *, create: bool = False, for_writing: bool = False, wait_s: float = 0.0
    ) -> Store:
        """Return the store in the directory."""
        give_up_s = time.monotonic() + wait_s
        while True:
            try:
                return open_sqlite(self._directory, create=create, for_writing=for_writing)
            except StoreLocked:
                if time.monotonic() >= give_up_s:
                    raise
            time.sleep(LOCK_POLL_S)

    def open_views(self) -> ViewStore:
        """Return the files in the directory."""
        return SQLiteViews(self._directory)

    def open_keys(self, *, create: bool = False) -> KeyStore:
        """Return the keys in the directory; without a given master key, its file there."""
        if not create and not self._directory.is_dir():
            raise KeyStoreError(f"there is no data directory {self._directory}")
        return keys_in(self._directory, self._master_key)

    def open_positions(self) -> PublishedPositions:
        """Return the file in the directory."""
        return SQLitePublished(self._directory)


def deployment_of(settings: Settings) -> Deployment:
    """Return where the settings say that the exchange's data is."""
    return Embedded(settings)
