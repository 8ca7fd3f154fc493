"""Keeps the views exact: follows the log and folds what is new, several commits at a time."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from eventstore.background import Background
from eventstore.commit import GENESIS, Commit, Head
from eventstore.store import Log
from projections.batches import EVENTS_PER_BATCH, Batches
from projections.database import (
    Overtaken,
    RebuildRunning,
    ViewsBroken,
    ViewStore,
    ViewsUnavailable,
)
from projections.pipeline import Pipeline
from projections.view_set import GROUPS, Batch, ViewSet, is_of_this_version

IDLE_S: Final = 0.25
RETRY_S_MIN, RETRY_S_MAX = 0.1, 5.0
"""How long to wait for a database that does not answer: longer each time."""
REBUILD_POLL_S: Final = 1.0
"""How often to look whether another process has built the views."""

Progress = Callable[[int, int], None]
"""Called with the position reached and the log's last position."""

_log = logging.getLogger(__name__)


class ProjectionRunner:
    """The one that moves the views in a store on. `failed`: why it stopped, if it did.

    groups: those it folds, while other processes may fold the others.
    """

    def __init__(self, log: Log, store: ViewStore, *, groups: Sequence[str] = GROUPS) -> None:
        self.failed: BaseException | None = None
        self._log = log
        self._batches = Batches(log)
        self._store = store
        self._groups = groups
        self._views: ViewSet | None = None
        self._pipeline = Pipeline(self._write, beside=store.writes_elsewhere)
        self._head = GENESIS
        self._moved = threading.Condition()
        self._thread = Background("projections", self._run)

    @property
    def position(self) -> int:
        """The event position that the views have reached."""
        return self._head.position

    def start(self) -> None:
        """Open the views, or build them if there are none or an older version's; then follow.

        Where another process builds them it waits for that, and once started it waits for a
        database that does not answer. Raises: ViewsBroken: the views are not of this log;
        StoreError; ViewsUnavailable.
        """
        with suppress(RebuildRunning):
            self._open()
        self._thread.start()

    def stop(self) -> None:
        """Fold what the log has by now, and stop."""
        self._thread.stop()
        self._close()
        self._pipeline.close()

    def run_once(self) -> int:
        """Fold the next few commits; return how many there were. Opens the views if need be.

        Raises: ViewsBroken; RebuildRunning and other StoreErrors; the database's errors: nothing of
        them is in the views.
        """
        while True:
            folded = self._fold_next()
            if self._drained():
                return folded

    def wait_for(self, position: int, timeout_s: float) -> bool:
        """Return whether the views reach a position in time; not once the runner has failed."""
        with self._moved:
            self._moved.wait_for(
                lambda: self.position >= position or self.failed is not None, timeout_s
            )
            return self.position >= position

    def catch_up(self, progress: Progress) -> None:
        """Fold what the log has by now, however fast it grows; a batch while another is written."""
        last = self._log.stored_head().position
        while (self._fold_next() and not self._has_folded(last)) or not self._drained():
            progress(self.position, max(last, self.position))

    def _run(self) -> None:
        retry_s = RETRY_S_MIN
        try:
            while True:
                stopping = self._thread.stopping
                try:
                    self.catch_up(lambda position, last: None)
                    if stopping:
                        return
                    self._log.wait(self._open().head.number, IDLE_S)
                    retry_s = RETRY_S_MIN
                except RebuildRunning as error:
                    if stopping:
                        return
                    _log.info("the views are not there yet: %s", error)
                    self._thread.rest(REBUILD_POLL_S)
                except ViewsUnavailable as error:
                    if stopping:
                        raise
                    _log.warning("the views wait for their database: %s", error)
                    self._thread.rest(retry_s)
                    retry_s = min(2 * retry_s, RETRY_S_MAX)
        except Exception as error:  # noqa: BLE001  whatever it is, going on could skip an event
            _log.exception("the projections stopped at position %d", self.position)
            with self._moved:
                self.failed = error
                self._moved.notify_all()

    def _fold_next(self) -> int:
        """Fold a batch, and have it written when the one before is; return its commits."""
        try:
            views = self._open()
            commits = self._batches.after(views.head)
            if commits:
                self._pipeline.put(self._fold(views, commits))
            return len(commits)
        except Overtaken:
            self._close()
            return 0
        except BaseException:
            # What the views hold in memory is ahead: the next try begins from the database.
            self._close()
            raise

    def _has_folded(self, position: int) -> bool:
        return self._views is not None and self._views.head.position >= position

    def _fold(self, views: ViewSet, commits: list[Commit]) -> Batch:
        try:
            return views.fold(commits)
        except ViewsBroken as error:
            # What folding reads may be of a later position, when another process writes, too.
            self._pipeline.drain()
            if views.is_overtaken(self._head):
                raise Overtaken from error
            raise

    def _drained(self) -> bool:
        """Return whether what was folded is in the current views, once it is written."""
        try:
            self._pipeline.drain()
        except Overtaken:
            self._close()
            return False
        except BaseException:
            self._close()
            raise
        return self._views is not None

    def _write(self, batch: Batch) -> None:
        views = self._views
        assert views is not None
        # Nobody swaps the views meanwhile; they may have been since they were opened.
        with self._store.writing(views.db) as current:
            if not current:
                raise Overtaken("another set of views is current")
            views.write(batch)
        self._reach(min(move.last.head for move in batch.moves))

    def _open(self) -> ViewSet:
        """Return the current views; when another process swapped a new set in, that one."""
        name = self._store.current()
        if self._views is not None and self._views.db.name == name:
            return self._views
        self._close()
        views = None if name is None else self._open_set(name)
        if views is None:
            self._build_instead_of(name)
            return self._open()
        try:
            for head in views.heads:
                _require_of_log(self._log, head)
        except BaseException:
            views.close()
            raise
        self._views = views
        self._reach(views.head)
        return views

    def _build_instead_of(self, name: str | None) -> None:
        """Build the views, unless another process just did. Raises: RebuildRunning."""
        with self._store.building():
            if self._store.current() == name:
                _log.info("building the views of %s from the first event", self._store.place)
                _build(self._log, self._store)

    def _open_set(self, name: str) -> ViewSet | None:
        """Return a set of views; None when it is of an older version. Raises: StoreTooNew."""
        db = self._store.open(name)
        try:
            if is_of_this_version(db):
                return ViewSet(db, self._groups)
        except BaseException:
            db.close()
            raise
        db.close()
        return None

    def _close(self) -> None:
        """Forget the views; what is being written of them ends first, and may fail."""
        try:
            self._pipeline.drain()
        except Exception as error:  # noqa: BLE001  the database says what became of it
            _log.info("a batch was not written: %r", error)
        if self._views is not None:
            self._views.close()
            self._views = None

    def _reach(self, head: Head) -> None:
        with self._moved:
            self._head = head
            self._moved.notify_all()


def rebuild(log: Log, store: ViewStore, progress: Progress = lambda position, last: None) -> int:
    """Build all views from zero beside the live ones, then swap them in; return their position.

    The live views are served until the swap; a runner, also in another process, then goes on with
    the new ones. Raises: RebuildRunning: another process does it already; StoreError, ViewsBroken.
    """
    with store.building():
        return _build(log, store, progress)


def catch_up(log: Log, store: ViewStore, progress: Progress = lambda position, last: None) -> int:
    """Bring the views to the end of the log, when nothing runs; return their position.

    Raises: as `ProjectionRunner.start` and `run_once`.
    """
    runner = ProjectionRunner(log, store)
    started = time.monotonic()
    try:
        runner.catch_up(progress)
    finally:
        runner.stop()
    _log.info("views at %d after %.1f s", runner.position, time.monotonic() - started)
    return runner.position


def _build(log: Log, store: ViewStore, progress: Progress = lambda position, last: None) -> int:
    """Do what `rebuild` does, while `building`."""
    views = ViewSet.create(store)
    pipeline = Pipeline(views.write, beside=store.writes_elsewhere)
    batches = Batches(log)

    def fold_what_is_there() -> int:
        """A log that is written all the time has no end to wait for; return how many events."""
        first, last = views.head.position, log.stored_head().position
        while views.head.position < last and (commits := batches.after(views.head)):
            pipeline.put(views.fold(commits))
            progress(views.head.position, max(last, views.head.position))
        pipeline.drain()
        return views.head.position - first

    try:
        # What came meanwhile is less each time, until it is folded in a second or so.
        while fold_what_is_there() > EVENTS_PER_BATCH:
            pass
        with store.swapping():
            # The live views stand still now: readers must not go back in time by the swap.
            fold_what_is_there()
            store.swap_in(views.db)
        return views.head.position
    finally:
        pipeline.close()
        views.close()


def _require_of_log(log: Log, head: Head) -> None:
    """Raises: ViewsBroken: the log has no such commit, or another one in its place."""
    if head.number and log.head_at(head.number) != head:
        raise ViewsBroken(
            f"the views are at event {head.position}, which is beyond the end of the log or not the"
            " same there: events were lost, or the views are another log's; verify the log, then"
            " rebuild the views"
        )
