"""Two at a time: a batch is written while the next one is folded, where that gains anything."""

import sys
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

from projections.view_set import Batch

SWITCH_S: Final = 0.001
"""How long a thread may keep the interpreter while another waits for it. Python's own 5 ms would
leave the database idle that long after each of its answers, as the next batch is being folded.
"""


class Pipeline:
    """Writes batches one after the other; beside: in a thread of its own."""

    def __init__(self, write: Callable[[Batch], None], *, beside: bool) -> None:
        self._write = write
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="views") if beside else None
        self._under_way: Future[None] | None = None
        if beside:
            sys.setswitchinterval(SWITCH_S)

    def put(self, batch: Batch) -> None:
        """Begin to write a batch when the one before is written. Raises: as `drain`."""
        self.drain()
        if self._writer is None:
            self._write(batch)
        else:
            self._under_way = self._writer.submit(self._write, batch)

    def drain(self) -> None:
        """Wait until everything is written. Raises: what writing raised."""
        under_way, self._under_way = self._under_way, None
        if under_way is not None:
            under_way.result()

    def close(self) -> None:
        """Wait for the writer, whatever comes of it."""
        if self._writer is not None:
            self._writer.shutdown(wait=True)
