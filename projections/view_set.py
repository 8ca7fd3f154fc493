"""All views together: one fold over commits, one transaction for a batch and its checkpoint."""

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from domain.events import EVENTS, Event
from eventstore.commit import Commit
from projections.balances import Balances
from projections.candles import Candles
from projections.catalogue import Catalogue
from projections.depth import Depth
from projections.events import Events
from projections.orders import Orders
from projections.projection import Handler, Projection
from projections.trades import Trades
from projections.transfers import Transfers

VIEWS_VERSION: Final = 1
"""Raised whenever a view's tables or meaning change: older files are then built anew."""

_CHECKPOINT: Final = """
    CREATE TABLE checkpoint (
        only_row INTEGER PRIMARY KEY CHECK (only_row = 1), views_version INTEGER NOT NULL,
        commit_number INTEGER NOT NULL, position INTEGER NOT NULL, time_ms INTEGER NOT NULL);
"""
_SCHEMAS: Final = [
    kind.schema for kind in (Catalogue, Balances, Orders, Trades, Candles, Depth, Transfers, Events)
]


class ViewsBroken(Exception):
    """The views do not fit the log, or each other: rebuild them (`./foldex rebuild`)."""


class ViewSet:
    """The one writer of a view file. commit_number, position: what the file has folded."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        row = self._db.execute(
            "SELECT views_version, commit_number, position, time_ms FROM checkpoint"
        ).fetchone()
        self.version, self.commit_number, self.position, self.time_ms = row
        if self.version != VIEWS_VERSION:
            return
        catalogue = Catalogue.load(self._db)
        self._projections: list[Projection] = [
            catalogue,
            Balances(self._db, catalogue),
            Orders(self._db),
            Trades(),
            Candles(self._db),
            Depth(self._db),
            Transfers(),
            Events(list(EVENTS)),
        ]
        self._handlers: dict[type[Event], list[Handler]] = {kind: [] for kind in EVENTS}
        for projection in self._projections:
            for kind, handler in projection.handlers().items():
                self._handlers[kind].append(handler)

    @classmethod
    def create(cls, path: Path) -> "ViewSet":
        """Make an empty view file and open it."""
        db = sqlite3.connect(path, isolation_level=None)
        db.execute("PRAGMA journal_mode = WAL")
        db.executescript("BEGIN;" + _CHECKPOINT + "".join(_SCHEMAS) + "COMMIT;")
        db.execute("INSERT INTO checkpoint VALUES (1, ?, 0, 0, 0)", (VIEWS_VERSION,))
        db.close()
        return cls(path)

    def fold(self, commits: Sequence[Commit]) -> None:
        """Fold commits that follow the checkpoint: all of them and the new checkpoint, or nothing.

        After an error this object is of no use: what it had in memory is ahead of the file.
        Raises: ViewsBroken: the commits do not follow, or an event contradicts the views;
        sqlite3.Error.
        """
        first = commits[0]
        if first.number != self.commit_number + 1 or first.first_position != self.position + 1:
            raise ViewsBroken(
                f"the views are at event {self.position}, the log goes on at {first.first_position}"
            )
        position = self.position
        handlers = self._handlers
        try:
            for commit in commits:
                for event in commit.events:
                    position += 1
                    for handler in handlers[type(event)]:
                        handler(position, event)
        except (LookupError, ValueError, TypeError) as error:
            raise ViewsBroken(f"event {position} contradicts the views: {error!r}") from error
        self._write(commits[-1], position)

    def close(self) -> None:
        self._db.close()

    def _write(self, last: Commit, position: int) -> None:
        db = self._db
        db.execute("BEGIN IMMEDIATE")
        try:
            for projection in self._projections:
                projection.flush(db)
            # "<": of two that fold the same commit, by whatever mistake, only one gets through.
            moved = db.execute(
                "UPDATE checkpoint SET commit_number = ?, position = ?, time_ms = ?"
                " WHERE commit_number < ? AND position = ?",
                (last.number, position, last.time_ms, last.number, self.position),
            ).rowcount
            if moved != 1:
                raise ViewsBroken("another process has moved these views on")
            db.execute("COMMIT")
        except BaseException:
            db.execute("ROLLBACK")
            raise
        self.commit_number, self.position, self.time_ms = last.number, position, last.time_ms
