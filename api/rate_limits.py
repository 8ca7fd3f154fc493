"""How much one API key may send: so many requests and orders a second, in each API process."""

import time
from collections.abc import Callable
from typing import Final

from api.problems import RateLimited
from api.settings import Settings

SECOND_NS: Final = 1_000_000_000
BURST_NS: Final = SECOND_NS
"""Who has sent nothing for a while may send so much time's worth at once."""
KEYS_KEPT: Final = 10_000
"""More are kept only while they are in use."""


class RateLimit:
    """A token bucket for each key. per_s: 0 is no limit. clock_ns: never goes back.

    Kept of a key is only when its bucket will be full again.
    """

    def __init__(self, per_s: int, what: str, clock_ns: Callable[[], int]) -> None:
        self._per_s = per_s
        self._what = what
        self._clock_ns = clock_ns
        self._full_at_ns: dict[str, int] = {}

    def charge(self, key_id: str, number: int = 1) -> None:
        """Take tokens. More than a bucket holds are taken from a full one, which is then in debt.

        Raises: RateLimited: there are too few; nothing was taken.
        """
        if not self._per_s:
            return
        now_ns = self._clock_ns()
        taken_ns = max(0, self._full_at_ns.get(key_id, 0) - now_ns)
        cost_ns = number * SECOND_NS // self._per_s
        late_ns = taken_ns + min(cost_ns, BURST_NS) - BURST_NS
        if taken_ns and late_ns > 0:
            wait_s = -(-late_ns // SECOND_NS)
            detail = f"{self._per_s:,} {self._what} a second; try again in {wait_s} s"
            raise RateLimited(detail, retry_after_s=wait_s)
        if len(self._full_at_ns) >= KEYS_KEPT:
            self._forget_full(now_ns)
        self._full_at_ns[key_id] = now_ns + taken_ns + cost_ns

    def _forget_full(self, now_ns: int) -> None:
        self._full_at_ns = {key: at for key, at in self._full_at_ns.items() if at > now_ns}


class RateLimits:
    """The limits of an API process, by the settings."""

    def __init__(self, settings: Settings, clock_ns: Callable[[], int] = time.monotonic_ns) -> None:
        self.requests = RateLimit(settings.requests_per_s, "requests", clock_ns)
        self.orders = RateLimit(settings.orders_per_s, "orders", clock_ns)
