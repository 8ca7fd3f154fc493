"""Two at a time: a batch is written while the next one is folded."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from projections.view_set import Batch


class Pipeline:
    """Writes batches one after the other, in a thread of its own."""

    def __init__(self, write: Callable[[Batch], None]) -> None:
        self._write = write
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="views")
        self._under_way: Future[None] | None = None

    def put(self, batch: Batch) -> None:
        """Begin to write a batch when the one before is written. Raises: as `drain`."""
        self.drain()
        self._under_way = self._writer.submit(self._write, batch)

    def drain(self) -> None:
        """Wait until everything is written. Raises: what writing raised."""
        under_way, self._under_way = self._under_way, None
        if under_way is not None:
            under_way.result()

    def close(self) -> None:
        """Wait for the writer, whatever comes of it."""
        self._writer.shutdown(wait=True)
