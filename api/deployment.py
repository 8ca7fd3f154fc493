"""Where an exchange keeps its data: the one place that chooses, by the settings."""

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from typing import Final

import wallet.store
from api.key_postgres import keys_on, migrate_keys
from api.key_stores import keys_in
from api.keys import KeyStore, KeyStoreError
from api.settings import Settings
from eventstore.errors import StoreLocked
from eventstore.lock import WriterLock
from eventstore.postgres import open_postgres
from eventstore.postgres_connection import Server, store_errors
from eventstore.postgres_schema import migrate as migrate_log
from eventstore.published import PublishedPositions, SQLitePublished
from eventstore.published_postgres import PostgresPublished
from eventstore.published_postgres import migrate as migrate_positions
from eventstore.sqlite import open_sqlite
from eventstore.store import Store
from projections.database import ViewStore
from projections.postgres import PostgresViews
from projections.postgres import migrate as migrate_views
from projections.sqlite import SQLiteViews
from wallet.store import Books

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
    def lock(self, name: str) -> AbstractContextManager[None]:
        """Be the only process that does something, while inside; the lock dies with the process.

        It only lets a second one wait politely. Raises: StoreLocked: another does it; StoreError.
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

    @abstractmethod
    def open_books(self) -> Books:
        """Return custody's books. Raises: StoreError."""


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

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Hold a lock on a file in the directory."""
        held = WriterLock(self._directory, name=f"{name}.lock")
        try:
            yield
        finally:
            held.release()

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

    def open_books(self) -> Books:
        """Return the file in the directory; it is made when there is none."""
        return wallet.store.open_sqlite(self._directory)


class Production(Deployment):
    """A PostgreSQL database."""

    def __init__(self, settings: Settings) -> None:
        """Connect nothing yet. Raises: StoreError: the URL is not understood."""
        self._url = settings.database_url.get_secret_value()
        self._master_key = settings.master_key.get_secret_value()
        self._server = Server(self._url)

    @property
    def place(self) -> str:
        """The database, without the password."""
        return self._server.name

    @property
    def options(self) -> list[str]:
        """Nothing: the URL may hold a password, and command lines can be seen."""
        return []

    @property
    def environment(self) -> dict[str, str]:
        """The URL."""
        return {"FOLDEX_DATABASE_URL": self._url}

    @property
    def is_empty(self) -> bool:
        """Whether the log has no commit."""
        with self.open_store() as store:
            return store.log.stored_head().number == 0

    def migrate(self) -> list[str]:
        """Make or change schemas, tables and roles."""
        versions = migrate_log(self._url)
        done = [f"made version {version} of the log" for version in versions]
        if migrate_keys(self._url):
            done.append("made the tables of the API keys")
        migrate_positions(self._url)
        migrate_views(self._url)
        wallet.store.migrate(self._url)
        return done

    def open_store(
        self, *, create: bool = False, for_writing: bool = False, wait_s: float = 0.0
    ) -> Store:
        """Return the store in the database; nothing but `migrate` ever creates it."""
        return open_postgres(self._url, for_writing=for_writing, wait_s=wait_s)

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Hold an advisory lock, on a connection of its own."""
        what = f"foldex {name}"
        with store_errors(self._server):
            connection = self._server.connect(what)
        with closing(connection):
            with store_errors(self._server):
                got = connection.execute(
                    "SELECT pg_try_advisory_lock(hashtextextended(%s, 0)) AS got", [what]
                ).fetchone()
            if got is None or not got["got"]:
                raise StoreLocked(f"another process holds the lock of the {name} in {self.place}")
            yield

    def open_views(self) -> ViewStore:
        """Return the sets of views in the database."""
        return PostgresViews(self._url)

    def open_keys(self, *, create: bool = False) -> KeyStore:
        """Return the keys in the database; the master key is only ever in the settings."""
        return keys_on(self._url, self._master_key)

    def open_positions(self) -> PublishedPositions:
        """Return the table in the database."""
        return PostgresPublished(self._url)

    def open_books(self) -> Books:
        """Return the tables in the database; nothing but `migrate` ever creates them."""
        with store_errors(self._server):
            return wallet.store.open_postgres(self._url)


def deployment_of(settings: Settings) -> Deployment:
    """Return where the settings say that the exchange's data is.

    Raises: StoreError: the database's URL is not understood.
    """
    return Production(settings) if settings.database_url else Embedded(settings)
