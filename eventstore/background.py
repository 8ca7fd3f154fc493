"""Threads that work beside a process's own business until they are told to stop."""

import threading
from collections.abc import Callable


class Background(threading.Thread):
    """A thread that runs a loop; the loop looks at `stopping`, and rests with `rest`.

    A process that ends without stopping it does not wait for it.
    """

    def __init__(self, name: str, run: Callable[[], None]) -> None:
        super().__init__(target=run, name=name, daemon=True)
        self._told = threading.Event()

    @property
    def stopping(self) -> bool:
        """Whether it was told to stop."""
        return self._told.is_set()

    def rest(self, seconds: float) -> bool:
        """Wait, no longer than until it is told to stop; return whether it is."""
        return self._told.wait(seconds)

    def stop(self, timeout_s: float | None = None) -> None:
        """Tell it to stop and wait until it has. One that never started is only told."""
        self._told.set()
        if self.ident is not None:
            self.join(timeout_s)
