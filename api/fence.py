"""Notices that another process has become the writer, when nothing is being appended."""

import logging
from typing import Final

from eventstore.background import Background
from eventstore.errors import Fenced, StoreError
from eventstore.store import Log

CHECK_EVERY_S: Final = 2.0
APPEND_S_MAX: Final = 5.0
"""What is in the log for so long without our having appended it was appended by another."""

_log = logging.getLogger(__name__)


class FenceWatch:
    """Looks at the end of a log that this process writes. `failed`: who else wrote, if anybody did.

    An append would be refused in any case; but an engine that nobody sends a command would go on
    answering from a state that is no longer the exchange's.
    """

    def __init__(self, log: Log) -> None:
        self.failed: Fenced | None = None
        self._log = log
        self._thread = Background("fence", self._run)

    def start(self) -> None:
        """Look from now on. The engine must have started."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._thread.stop()

    def _run(self) -> None:
        while self.failed is None and not self._thread.rest(CHECK_EVERY_S):
            try:
                stored = self._log.stored_head().number
            except StoreError as error:
                # Nothing can be appended now either; it may come back before anything is to be.
                _log.warning("the log cannot be read: %s", error)
                continue
            if self._is_ahead(stored):
                # An append of our own returns meanwhile.
                stopped = self._thread.rest(APPEND_S_MAX)
                if not stopped and self._is_ahead(stored):
                    self.failed = Fenced(f"another writer has stored commit {stored}")

    def _is_ahead(self, stored: int) -> bool:
        return stored > self._log.head.number
