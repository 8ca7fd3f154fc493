"""How far the log has been published: kept by the publisher, beside the log, for each topic."""

import sqlite3
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Final

import msgspec

from eventstore.commit import GENESIS, Head
from eventstore.errors import StoreError, StoreLocked
from eventstore.kafka_errors import PublisherOvertaken
from eventstore.lock import WriterLock
from eventstore.sqlite_schema import BUSY_TIMEOUT_S, use_wal

FILE_NAME: Final = "published.db"
LOCK_NAME: Final = "publisher.lock"


class Published(msgspec.Struct, frozen=True):
    """Everything up to `head` has been acknowledged by the brokers.

    last: of each partition, the position of the last event that went there (0: none).
    """

    head: Head
    last: tuple[int, ...]

    @classmethod
    def nothing(cls, partitions: int) -> "Published":
        """Return the beginning of an empty topic."""
        return cls(GENESIS, (0,) * partitions)


class PublishedPositions(ABC):
    """Where publishers note how far they are, and which of them may publish now.

    The lock only lets a second publisher wait politely. Safety does not rest on it: what two
    publish at once is written twice, never out of order (see docs/kafka.md).
    """

    @abstractmethod
    def try_lock(self) -> bool:
        """Return whether this publisher is the one; it stays so until `unlock` or its death.

        Raises: StoreError.
        """

    @abstractmethod
    def unlock(self) -> None:
        """Let another publisher go on. Repeating it does nothing."""

    @abstractmethod
    def load(self, topic_id: str) -> Published | None:
        """Return how far a topic is, None if nothing was published to it. Raises: StoreError."""

    @abstractmethod
    def move(self, topic_id: str, topic: str, published: Published) -> None:
        """Note that a topic is further now.

        Raises: PublisherOvertaken: it is there already, by another publisher; StoreError.
        """

    @abstractmethod
    def close(self) -> None:
        """Unlock, and give files and connections back."""


SCHEMA: Final = """
    CREATE TABLE IF NOT EXISTS published (
        topic_id TEXT PRIMARY KEY, topic TEXT NOT NULL, commit_number INTEGER NOT NULL,
        position INTEGER NOT NULL, seal BLOB NOT NULL, last TEXT NOT NULL);
"""


class SQLitePublished(PublishedPositions):
    """In a file of a data directory, beside the log."""

    def __init__(self, directory: Path) -> None:
        """Open or make the file. Raises: StoreError."""
        self._directory = directory
        self._lock: WriterLock | None = None
        try:
            self._db = sqlite3.connect(
                directory / FILE_NAME,
                isolation_level=None,
                check_same_thread=False,
                timeout=BUSY_TIMEOUT_S,
            )
            use_wal(self._db)
            self._db.execute(SCHEMA)
        except sqlite3.Error as error:
            raise StoreError(f"cannot use {directory / FILE_NAME}: {error}") from error

    def try_lock(self) -> bool:
        if self._lock is None:
            try:
                self._lock = WriterLock(self._directory, name=LOCK_NAME)
            except StoreLocked:
                return False
        return True

    def unlock(self) -> None:
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def load(self, topic_id: str) -> Published | None:
        row = self._execute(
            "SELECT commit_number, position, seal, last FROM published WHERE topic_id = ?",
            (topic_id,),
        ).fetchone()
        return None if row is None else published_of(row)

    def move(self, topic_id: str, topic: str, published: Published) -> None:
        moved = self._execute(
            "INSERT INTO published VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (topic_id) DO UPDATE SET"
            " commit_number = excluded.commit_number, position = excluded.position,"
            " seal = excluded.seal, last = excluded.last"
            " WHERE published.position < excluded.position",
            (topic_id, topic, *published.head, encode_last(published)),
        ).rowcount
        if moved != 1:
            raise overtaken(published)

    def close(self) -> None:
        self.unlock()
        self._db.close()

    def _execute(self, statement: str, values: tuple[object, ...]) -> sqlite3.Cursor:
        try:
            return self._db.execute(statement, values)
        except sqlite3.Error as error:
            raise StoreError(f"{self._directory / FILE_NAME}: {error}") from error


def published_of(row: tuple[int, int, bytes, str]) -> Published:
    """Return what a row says: commit number, position, seal, last positions as JSON."""
    number, position, seal, last = row
    return Published(Head(number, position, bytes(seal)), tuple(msgspec.json.decode(last)))


def encode_last(published: Published) -> str:
    """Return the last positions as JSON."""
    return msgspec.json.encode(published.last).decode()


def overtaken(published: Published) -> PublisherOvertaken:
    """Return the error of a publisher that was going to move to a position too late."""
    return PublisherOvertaken(f"another publisher has already reached {published.head.position}")
