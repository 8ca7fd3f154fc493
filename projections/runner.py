"""Keeps the views exact: follows the log and folds what is new, several commits at a time."""

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from eventstore.commit import Head
from eventstore.store import Log
from projections.files import ViewFiles
from projections.view_set import VIEWS_VERSION, ViewsBroken, ViewSet

COMMITS_PER_BATCH: Final = 50
IDLE_S: Final = 0.25

Progress = Callable[[int, int], None]
"""Called with the position reached and the log's last position."""

_log = logging.getLogger(__name__)


class ProjectionRunner:
    """The one that writes the views of a data directory. `failed`: why it stopped, if it did."""

    def __init__(self, log: Log, directory: Path) -> None:
        self.failed: BaseException | None = None
        self._log = log
        self._files = ViewFiles(directory)
        self._views: ViewSet | None = None
        self._head: Head | None = None
        self._stopping = False
        self._moved = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="projections", daemon=True)

    @property
    def position(self) -> int:
        """The event position that the views have reached."""
        views = self._views
        return 0 if views is None else views.position

    def start(self) -> None:
        """Open the views, or build them if there are none or an older version's; then follow.

        Raises: ViewsBroken: the views are ahead of the log; StoreError.
        """
        self._open()
        self._thread.start()

    def stop(self) -> None:
        """Fold what the log has by now, and stop."""
        self._stopping = True
        if self._thread.ident is not None:
            self._thread.join()
        if self._views is not None:
            self._views.close()

    def run_once(self) -> int:
        """Fold the next few commits; return how many there were. Opens the views if need be."""
        views = self._open()
        commits = self._log.read(views.commit_number, COMMITS_PER_BATCH, previous=self._head)
        if commits:
            views.fold(commits)
            self._head = commits[-1].head
            with self._moved:
                self._moved.notify_all()
        return len(commits)

    def wait_for(self, position: int, timeout_s: float) -> bool:
        """Return whether the views reach a position in time."""
        with self._moved:
            return self._moved.wait_for(lambda: self.position >= position, timeout_s)

    def _run(self) -> None:
        try:
            while True:
                stopping = self._stopping
                if not self.run_once():
                    if stopping:
                        return
                    self._log.wait(self._open().commit_number, IDLE_S)
        except Exception as error:  # noqa: BLE001  whatever it is, going on could skip an event
            _log.exception("the projections stopped at position %d", self.position)
            self.failed = error

    def _open(self) -> ViewSet:
        """Return the current views; when another process swapped a new set in, that one."""
        path = self._files.current()
        if self._views is not None and self._views.path == path:
            return self._views
        if self._views is not None:
            self._views.close()
        views = None if path is None else ViewSet(path)
        if views is not None and views.version != VIEWS_VERSION:
            views.close()
            views = None
        if views is None:
            rebuild(self._log, self._files.folder.parent)
            return self._open()
        _require_within(self._log, views)
        self._views, self._head = views, None
        return views


def rebuild(log: Log, directory: Path, progress: Progress = lambda position, last: None) -> int:
    """Build all views from zero beside the live ones, then swap them in; return their position.

    The live views are served until the swap; a runner, also in another process, then goes on with
    the new ones. Raises: StoreError, ViewsBroken.
    """
    files = ViewFiles(directory)
    views = ViewSet.create(files.next())
    try:
        head: Head | None = None
        last = log.stored_head().position
        while commits := log.read(views.commit_number, COMMITS_PER_BATCH, previous=head):
            views.fold(commits)
            head = commits[-1].head
            last = max(last, views.position)
            progress(views.position, last)
        files.swap_in(views.path)
        position: int = views.position
        return position
    finally:
        views.close()


def catch_up(log: Log, directory: Path, progress: Progress = lambda position, last: None) -> int:
    """Bring the views to the end of the log, when nothing runs; return their position."""
    runner = ProjectionRunner(log, directory)
    started = time.monotonic()
    last = log.stored_head().position
    while runner.run_once():
        progress(runner.position, max(last, runner.position))
    runner.stop()
    _log.info("views at %d after %.1f s", runner.position, time.monotonic() - started)
    return runner.position


def _require_within(log: Log, views: ViewSet) -> None:
    if views.position > log.stored_head().position:
        position = views.position
        views.close()
        raise ViewsBroken(
            f"the views are at event {position}, beyond the end of the log: events were lost, or"
            " the views are another log's; verify the log, then rebuild the views"
        )
