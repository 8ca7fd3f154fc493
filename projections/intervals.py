"""K-line intervals: where a bucket begins and ends, in UTC, in whole milliseconds."""

from datetime import UTC, datetime
from typing import Final

_SECOND = 1_000
_MINUTE = 60 * _SECOND
_HOUR = 60 * _MINUTE
_DAY = 24 * _HOUR
_WEEK = 7 * _DAY
_FIRST_MONDAY_MS = 4 * _DAY
"""1970-01-05, as 1970 began on a Thursday."""

FIXED_MS: Final[dict[str, int]] = {
    "1s": _SECOND,
    "1m": _MINUTE,
    "3m": 3 * _MINUTE,
    "5m": 5 * _MINUTE,
    "15m": 15 * _MINUTE,
    "30m": 30 * _MINUTE,
    "1h": _HOUR,
    "2h": 2 * _HOUR,
    "4h": 4 * _HOUR,
    "6h": 6 * _HOUR,
    "8h": 8 * _HOUR,
    "12h": 12 * _HOUR,
    "1d": _DAY,
    "3d": 3 * _DAY,
}
INTERVALS: Final = (*FIXED_MS, "1w", "1M")
"""Every interval, shortest first. 3d counts from 1970-01-01, weeks begin on Monday, months on the
first: as Binance's do."""


def open_time_ms(interval: str, time_ms: int) -> int:
    """Return when the bucket that holds a time begins, ms UTC. Raises: KeyError: no interval."""
    if interval == "1M":
        at = datetime.fromtimestamp(time_ms // 1000, UTC)
        return _month_ms(at.year, at.month)
    if interval == "1w":
        return time_ms - (time_ms - _FIRST_MONDAY_MS) % _WEEK
    return time_ms - time_ms % FIXED_MS[interval]


def next_open_ms(interval: str, open_ms: int) -> int:
    """Return when the bucket after the one that begins at `open_ms` begins."""
    if interval == "1M":
        at = datetime.fromtimestamp(open_ms // 1000, UTC)
        return _month_ms(at.year + at.month // 12, at.month % 12 + 1)
    return open_ms + (_WEEK if interval == "1w" else FIXED_MS[interval])


def _month_ms(year: int, month: int) -> int:
    days = (datetime(year, month, 1, tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)).days
    return days * _DAY
