"""A process that follows the log until it is told to stop: projections, publisher."""

import logging
import signal
import threading
from contextlib import ExitStack
from types import FrameType
from typing import Final, Protocol

WATCH_EVERY_S: Final = 0.1

_log = logging.getLogger(__name__)


class Part(Protocol):
    """Something that works in a thread of its own. `failed`: why it stopped by itself."""

    failed: BaseException | None

    def start(self) -> None:
        """Begin."""

    def stop(self) -> None:
        """Finish what is under way, and end."""


def follow(name: str, part: Part, opened: ExitStack) -> int:
    """Run a part until SIGTERM or SIGINT, then close what was opened for it.

    Returns: the process's exit code: 0 after a graceful end, 1 when the part failed.
    Raises: what starting it raises.
    """
    stop = threading.Event()

    def told(number: int, frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, told)
    with opened:
        part.start()
        while part.failed is None and not stop.wait(WATCH_EVERY_S):
            pass
        part.stop()
    if part.failed is not None:
        _log.error("%s failed (%s: %s)", name, type(part.failed).__name__, part.failed)
        return 1
    return 0
