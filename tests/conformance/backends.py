"""The stores that must all pass this suite, and how to do damage behind each one's back."""

import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from eventstore.memory import MemoryRecorder, open_memory
from eventstore.sqlite import open_sqlite
from eventstore.sqlite_schema import TRIGGERS
from eventstore.store import Store


class Backend(ABC):
    """A kind of store, in a place of its own for one test."""

    @abstractmethod
    def open(self) -> Store:
        """Open the store: the same facts every time, as another process would see them."""

    @abstractmethod
    def set_state(self, number: int, state: bytes) -> None:
        """Overwrite a commit's stored bytes."""

    @abstractmethod
    def renumber(self, number: int, new_number: int) -> None:
        """Overwrite a commit's number column."""

    @abstractmethod
    def remove(self, number: int) -> None:
        """Remove a commit."""

    @abstractmethod
    def close(self) -> None:
        """Give back what the backend itself holds."""

    def state(self, number: int) -> bytes:
        """Return a commit's stored bytes."""
        with self.open() as store:
            rows = store.log.recorder.select_events(store.log.stream, gt=number - 1, lte=number)
        return rows[0].state

    def swap(self, number: int, other: int) -> None:
        """Let two commits change places."""
        unused = 1_000_000
        self.renumber(number, unused)
        self.renumber(other, number)
        self.renumber(unused, other)


class MemoryBackend(Backend):
    """Plain objects: every "process" shares one recorder."""

    def __init__(self) -> None:
        self._store = open_memory()
        recorder = self._store.log.recorder
        assert isinstance(recorder, MemoryRecorder)
        self._recorder = recorder

    def open(self) -> Store:
        """Open a new log on the same recorder."""
        log = type(self._store.log)(self._recorder)
        return type(self._store)(log, self._store.snapshots, resources=ExitStack())

    def set_state(self, number: int, state: bytes) -> None:
        """Overwrite a commit's stored bytes."""
        place = self._index[number]
        rows = self._recorder._stored_events
        rows[place] = replace(rows[place], state=state)

    def renumber(self, number: int, new_number: int) -> None:
        """Overwrite a commit's number."""
        place = self._index.pop(number)
        rows = self._recorder._stored_events
        rows[place] = replace(rows[place], originator_version=new_number)
        self._index[new_number] = place
        self._sort()

    def remove(self, number: int) -> None:
        """Remove a commit."""
        place = self._index.pop(number)
        del self._recorder._stored_events[place]
        for other, at in self._index.items():
            self._index[other] = at - (at > place)
        self._sort()

    def close(self) -> None:
        """Close the store."""
        self._store.close()

    @property
    def _index(self) -> dict[int, int]:
        return self._recorder._stored_events_index[self._store.log.stream]

    def _sort(self) -> None:
        self._recorder._versions[self._store.log.stream] = sorted(self._index)


class SQLiteBackend(Backend):
    """Files in a directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def open(self) -> Store:
        """Open the files."""
        return open_sqlite(self.directory / "data")

    def set_state(self, number: int, state: bytes) -> None:
        """Overwrite a commit's stored bytes."""
        with self._unguarded() as connection:
            sql = "UPDATE stored_events SET state = ? WHERE originator_version = ?"
            connection.execute(sql, (state, number))

    def renumber(self, number: int, new_number: int) -> None:
        """Overwrite a commit's number column."""
        with self._unguarded() as connection:
            sql = "UPDATE stored_events SET originator_version = ? WHERE originator_version = ?"
            connection.execute(sql, (new_number, number))

    def remove(self, number: int) -> None:
        """Remove a commit."""
        with self._unguarded() as connection:
            connection.execute("DELETE FROM stored_events WHERE originator_version = ?", (number,))

    def close(self) -> None:
        """Do nothing: the files go with the test's directory."""

    @contextmanager
    def _unguarded(self) -> Iterator[sqlite3.Connection]:
        """Yield a connection on which the triggers are gone, and put them back after."""
        connection = sqlite3.connect(self.directory / "data" / "log.db", isolation_level=None)
        try:
            for name in TRIGGERS:
                connection.execute(f"DROP TRIGGER {name}")
            yield connection
            for name, definition in TRIGGERS.items():
                connection.execute(f"CREATE TRIGGER {name} {definition}")
        finally:
            connection.close()
