"""All views together: one fold over commits, one transaction for a batch and its checkpoint."""

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from domain.events import EVENTS, Event
from eventstore.commit import GENESIS, Commit, Head
from projections.balances import Balances
from projections.candles import Candles
from projections.catalogue import Catalogue
from projections.depth import Depth
from projections.events import Events
from projections.orders import Orders
from projections.projection import Handler, Projection
from projections.trades import Trades
from projections.transfers import Transfers

VIEWS_VERSION: Final = 2
"""Raised whenever a view's tables or meaning change: older files are then built anew."""

_CHECKPOINT: Final = """
    CREATE TABLE checkpoint (
        only_row INTEGER PRIMARY KEY CHECK (only_row = 1), views_version INTEGER NOT NULL,
        commit_number INTEGER NOT NULL, position INTEGER NOT NULL, seal BLOB NOT NULL,
        time_ms INTEGER NOT NULL);
"""
_SCHEMAS: Final = [
    kind.schema for kind in (Catalogue, Balances, Orders, Trades, Candles, Depth, Transfers, Events)
]


class ViewsBroken(Exception):
    """The views do not fit the log, or each other: rebuild them (`./foldex rebuild`)."""


class ViewSet:
    """The one writer of a view file. head: of the log, as far as the file has folded it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.head = GENESIS
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        try:
            self.version = stored_version(self._db)
            if self.version == VIEWS_VERSION:
                self._load()
        except BaseException:
            self._db.close()
            raise

    @classmethod
    def create(cls, path: Path) -> "ViewSet":
        """Make an empty view file and open it."""
        db = sqlite3.connect(path, isolation_level=None)
        try:
            db.execute("PRAGMA journal_mode = WAL")
            db.executescript("BEGIN;" + _CHECKPOINT + "".join(_SCHEMAS) + "COMMIT;")
            db.execute(
                "INSERT INTO checkpoint VALUES (1, ?, ?, ?, ?, 0)", (VIEWS_VERSION, *GENESIS)
            )
        finally:
            db.close()
        return cls(path)

    @property
    def position(self) -> int:
        """The position of the last event in the views."""
        return self.head.position

    def fold(self, commits: Sequence[Commit]) -> None:
        """Fold commits that follow the checkpoint: all of them and the new checkpoint, or nothing.

        After an error this object is of no use: what it had in memory is ahead of the file.
        Raises: ViewsBroken: the commits do not follow, or an event contradicts the views;
        sqlite3.Error.
        """
        position = self.position
        first = commits[0]
        if (first.number, first.first_position, first.previous_seal) != (
            self.head.number + 1,
            position + 1,
            self.head.seal,
        ):
            raise ViewsBroken(
                f"the views are at event {position}, the log goes on at {first.first_position}"
            )
        handlers = self._handlers
        try:
            for commit in commits:
                for event in commit.events:
                    position += 1
                    for handler in handlers[type(event)]:
                        handler(position, event)
        except (LookupError, ValueError, TypeError) as error:
            raise ViewsBroken(f"event {position} contradicts the views: {error!r}") from error
        self._write(commits[-1])

    def settle(self) -> None:
        """Bring the whole file to the disk, out of the write-ahead log."""
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def close(self) -> None:
        """Give the file back."""
        self._db.close()

    def _load(self) -> None:
        db = self._db
        db.execute("PRAGMA synchronous = NORMAL")
        # Fewer, larger checkpoints and indexes that stay in memory: a fifth more events a second.
        db.execute("PRAGMA wal_autocheckpoint = 8000")
        db.execute("PRAGMA cache_size = -65536")
        self.head = Head(
            *db.execute("SELECT commit_number, position, seal FROM checkpoint").fetchone()
        )
        catalogue = Catalogue.load(db)
        self._projections: list[Projection] = [
            catalogue,
            Balances(db, catalogue),
            Orders(db),
            Trades(),
            Candles(db, list(catalogue.markets)),
            Depth(db),
            Transfers(),
            Events(list(EVENTS)),
        ]
        self._handlers: dict[type[Event], list[Handler]] = {kind: [] for kind in EVENTS}
        for projection in self._projections:
            for kind, handler in projection.handlers().items():
                self._handlers[kind].append(handler)

    def _write(self, last: Commit) -> None:
        db = self._db
        db.execute("BEGIN IMMEDIATE")
        try:
            for projection in self._projections:
                projection.flush(db)
            self._move_checkpoint(last)
            db.execute("COMMIT")
        except BaseException:
            # A failed COMMIT may have ended the transaction already.
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise
        self.head = last.head

    def _move_checkpoint(self, last: Commit) -> None:
        """Raises: ViewsBroken: of two that fold the same commit, only one gets through."""
        moved = self._db.execute(
            "UPDATE checkpoint SET commit_number = ?, position = ?, seal = ?, time_ms = ?"
            " WHERE position < ? AND position = ?",
            (*last.head, last.time_ms, last.last_position, self.position),
        ).rowcount
        if moved != 1:
            raise ViewsBroken("another process has moved these views on")


def stored_version(db: sqlite3.Connection) -> int:
    """Return which version of the views a file holds. It is read alone: other columns may differ.

    Raises: sqlite3.Error: it is not a file of views.
    """
    version: int = db.execute("SELECT views_version FROM checkpoint").fetchone()[0]
    return version
