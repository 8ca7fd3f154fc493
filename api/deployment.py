"""Where an exchange keeps its data: the one place that chooses, by the settings."""

from abc import ABC, abstractmethod

from api.keys import KeyStore
from api.settings import Settings
from eventstore.sqlite import open_sqlite
from eventstore.store import Log, Store
from projections.runner import Progress, ProjectionRunner, catch_up, rebuild
from projections.sqlite import SQLiteViews
from projections.views import Views


class Deployment(ABC):
    """The log, the views and the keys of one exchange."""

    @property
    @abstractmethod
    def place(self) -> str:
        """Where that is, for people; without secrets."""

    @property
    @abstractmethod
    def is_empty(self) -> bool:
        """Whether there is nothing yet, so that a new exchange may begin here."""

    @property
    @abstractmethod
    def options(self) -> list[str]:
        """What a command line needs to mean this place, with `environment`."""

    @property
    @abstractmethod
    def environment(self) -> dict[str, str]:
        """The variables a command needs to mean this place; they may hold secrets."""

    @abstractmethod
    def open_store(self, *, create: bool = False, for_writing: bool = False) -> Store:
        """Return the log and its snapshots. create: make what is missing, where that is allowed.

        Raises: NoStore, StoreLocked, StoreTooNew, StoreDamaged, StoreError.
        """

    @abstractmethod
    def open_keys(self) -> KeyStore:
        """Return the API keys. Raises: KeyStoreError: they cannot be used, and what to do."""

    @abstractmethod
    def open_views(self) -> Views:
        """Return the reader of the views."""

    @abstractmethod
    def runner(self, log: Log) -> ProjectionRunner:
        """Return what keeps the views exact."""

    @abstractmethod
    def rebuild(self, log: Log, progress: Progress) -> int:
        """Build all views anew, see `projections.runner.rebuild`."""

    @abstractmethod
    def catch_up(self, log: Log) -> int:
        """Bring the views to the end of the log, when nothing runs; return their position."""


class Embedded(Deployment):
    """SQLite files in a directory."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._directory = settings.data

    @property
    def place(self) -> str:
        """The directory."""
        return str(self._directory.absolute())

    @property
    def is_empty(self) -> bool:
        """Whether the directory is new or has nothing in it."""
        directory = self._directory
        return not directory.exists() or (directory.is_dir() and not any(directory.iterdir()))

    @property
    def options(self) -> list[str]:
        """The directory."""
        return ["--data", str(self._directory)]

    @property
    def environment(self) -> dict[str, str]:
        """Nothing."""
        return {}

    def open_store(self, *, create: bool = False, for_writing: bool = False) -> Store:
        """Return the store in the directory."""
        return open_sqlite(self._directory, create=create, for_writing=for_writing)

    def open_keys(self) -> KeyStore:
        """Return the keys in the directory; without a given master key, its file there."""
        return KeyStore(self._directory, self._settings.master_key.get_secret_value())

    def open_views(self) -> Views:
        """Return the reader of the files in the directory."""
        return Views(SQLiteViews(self._directory))

    def runner(self, log: Log) -> ProjectionRunner:
        """Return what keeps the files in the directory exact."""
        return ProjectionRunner(log, SQLiteViews(self._directory))

    def rebuild(self, log: Log, progress: Progress) -> int:
        """Build a new file beside the live one, and swap it in."""
        return rebuild(log, SQLiteViews(self._directory), progress)

    def catch_up(self, log: Log) -> int:
        """Fold what is new into the file."""
        return catch_up(log, SQLiteViews(self._directory))


def deployment_of(settings: Settings) -> Deployment:
    """Return where the settings say that the exchange's data is."""
    return Embedded(settings)
