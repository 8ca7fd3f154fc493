"""The `eventsourcing` library's own test cases, on the recorders beneath our stores."""

import sys
import uuid
import warnings
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING
from unittest.mock import patch

import pytest

from eventstore.memory import MemoryRecorder, MemorySnapshotRecorder
from eventstore.postgres import PostgresRecorder
from eventstore.postgres_connection import Server
from eventstore.postgres_snapshots import PostgresSnapshotRecorder
from eventstore.recorder import CommitRecorder
from eventstore.snapshots import SnapshotRecorder
from eventstore.sqlite import SQLiteRecorder, SQLiteSnapshotRecorder
from tests.conformance.postgres_backend import PostgresBackend

if TYPE_CHECKING:
    from eventsourcing.tests import persistence as library
else:
    # The module imports a cipher, for test cases that are not run here, from a package that
    # Foldex does not need; and its package drops every filter of warnings, ours too.
    cipher = ModuleType("eventsourcing.cipher")
    cipher.AESCipher = None
    with warnings.catch_warnings(), patch.dict(sys.modules, {"eventsourcing.cipher": cipher}):
        from eventsourcing.tests import persistence as library


class _Case:
    """Text ids, as ours are, and a place for files."""

    directory: Path
    made: list[CommitRecorder | SnapshotRecorder]

    @pytest.fixture(autouse=True)
    def _place(self, tmp_path: Path) -> Iterator[None]:
        self.directory = tmp_path
        self.made = []
        yield
        for recorder in self.made:
            recorder.close()

    def new_originator_id(self) -> str:
        return str(uuid.uuid4())

    def file(self) -> Path:
        return self.directory / f"{len(self.made)}.db"


class _Memory(_Case):
    def create_recorder(self) -> MemoryRecorder:
        self.made.append(recorder := MemoryRecorder())
        return recorder


class _SQLite(_Case):
    def create_recorder(self) -> SQLiteRecorder:
        self.made.append(recorder := SQLiteRecorder(self.file()))
        return recorder


class _Postgres(_Case):
    @pytest.fixture(autouse=True)
    def _database(self, log_database: str) -> Iterator[None]:
        with closing(PostgresBackend(log_database)) as backend:
            self.url = backend.url
            yield

    def create_recorder(self) -> PostgresRecorder:
        self.made.append(recorder := PostgresRecorder(Server(self.url)))
        return recorder


class TestMemoryRecorder(_Memory, library.ApplicationRecorderTestCase[MemoryRecorder]):
    """Insert, select, notifications, many threads."""

    def test_insert_subscribe(self) -> None:
        self.optional_test_insert_subscribe()


class TestMemoryOrder(_Memory, library.NonInterleavingNotificationIDsBaseCase):
    """Notifications of one insert follow one another."""


class TestSQLiteRecorder(_SQLite, library.ApplicationRecorderTestCase[SQLiteRecorder]):
    """Insert, select, notifications, many threads."""


class TestSQLiteOrder(_SQLite, library.NonInterleavingNotificationIDsBaseCase):
    """Notifications of one insert follow one another."""


class TestPostgresRecorder(_Postgres, library.ApplicationRecorderTestCase[PostgresRecorder]):
    """Insert, select, notifications, many threads."""


class TestPostgresOrder(_Postgres, library.NonInterleavingNotificationIDsBaseCase):
    """Notifications of one insert follow one another."""


class TestMemorySnapshots(_Case, library.AggregateRecorderTestCase):
    """Insert and select."""

    def create_recorder(self) -> MemorySnapshotRecorder:
        self.made.append(recorder := MemorySnapshotRecorder())
        return recorder


class TestSQLiteSnapshots(_Case, library.AggregateRecorderTestCase):
    """Insert and select."""

    def create_recorder(self) -> SQLiteSnapshotRecorder:
        self.made.append(recorder := SQLiteSnapshotRecorder(self.file()))
        return recorder


class TestPostgresSnapshots(_Postgres, library.AggregateRecorderTestCase):
    """Insert and select."""

    def create_recorder(self) -> PostgresSnapshotRecorder:  # type: ignore[override]
        self.made.append(recorder := PostgresSnapshotRecorder(Server(self.url)))
        return recorder
