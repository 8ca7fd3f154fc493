"""How long something is behind, in time, when only positions are known."""

from collections import deque
from typing import Final

SAMPLES_MAX: Final = 4_096


class LagClock:
    """How long something is behind, from where both ends were at several times."""

    def __init__(self) -> None:
        self.reached = 0
        self.end = 0
        self._waiting: deque[tuple[int, float]] = deque()

    @property
    def events(self) -> int:
        """How many events it is behind."""
        return max(0, self.end - self.reached)

    def note(self, end: int, reached: int, now_s: float) -> None:
        """Note both positions. Times are a monotonic clock's."""
        if end > self.end and len(self._waiting) < SAMPLES_MAX:
            self._waiting.append((end, now_s))
        self.end, self.reached = end, reached
        while self._waiting and 0 < end < self._waiting[-1][0]:
            # What an engine had not recorded when it failed never comes.
            self._waiting.pop()
        while self._waiting and self._waiting[0][0] <= reached:
            self._waiting.popleft()

    def seconds(self, now_s: float) -> float:
        """Return how long ago the end was first seen beyond what is reached."""
        return now_s - self._waiting[0][1] if self._waiting else 0.0
