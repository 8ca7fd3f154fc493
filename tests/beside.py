"""Something that a test runs beside itself, without holding up the end of a run that fails."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

ENDS_S_MAX = 30


@contextmanager
def beside(*targets: Callable[[], object]) -> Iterator[None]:
    """Run each in a thread; they end soon after the block does.

    The interpreter waits for threads at its end, but not for daemons: what still waits for a test
    that has failed must not keep the whole run from ending.
    """
    threads = [threading.Thread(target=target, daemon=True) for target in targets]
    for thread in threads:
        thread.start()
    yield
    for thread in threads:
        thread.join(ENDS_S_MAX)
        assert not thread.is_alive(), f"{thread} does not end"
