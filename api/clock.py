"""The clock of an exchange, which everything is handed that has to know the time."""

import time


def system_clock_ms() -> int:
    """Return the time in ms since 1970 UTC: the only clock that business time comes from."""
    return time.time_ns() // 1_000_000
