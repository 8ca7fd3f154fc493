"""Keeps a recent snapshot while the exchange runs, without stopping it.

Writing down a large state takes seconds, so another process does it: it follows the log as any
reader does and saves what it gets (`./foldex snapshot`).
"""

import logging
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Final

from api.deployment import Deployment
from eventstore.background import Background

CHECK_EVERY_S: Final = 5.0
SNAPSHOT_TIMEOUT_S_MAX: Final = 600.0

_log = logging.getLogger(__name__)


class Snapshotter:
    """Starts a snapshot each time the log has grown by `every_events` since the last one.

    position: returns the log's last event position.
    """

    def __init__(
        self, deployment: Deployment, position: Callable[[], int], *, every_events: int
    ) -> None:
        self._deployment = deployment
        self._position = position
        self._every_events = every_events
        self._thread = Background("snapshotter", self._run)

    def start(self) -> None:
        """Follow the log from here on."""
        self._thread.start()

    def stop(self) -> None:
        """Start no more snapshots; one that is being written is finished first."""
        self._thread.stop()

    def _run(self) -> None:
        last = self._position()
        while not self._thread.rest(CHECK_EVERY_S):
            position = self._position()
            if position - last >= self._every_events:
                last = position
                self._snapshot()

    def _snapshot(self) -> None:
        there = self._deployment
        try:
            subprocess.run(
                [sys.executable, "-m", "api", "snapshot", *there.options],
                env={**os.environ, **there.environment},
                check=True,
                capture_output=True,
                timeout=SNAPSHOT_TIMEOUT_S_MAX,
            )
        except (OSError, subprocess.SubprocessError) as error:
            # Only the next start gets slower: the log has everything.
            _log.warning("no snapshot was written: %s", error)
