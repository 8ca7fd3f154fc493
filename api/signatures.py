"""The memory of signed commands: none works twice, whichever process of ours it reaches.

It is kept where all commands become one sequence, beside the engine: two API processes could not
each know what the other has taken.
"""

from collections.abc import Callable
from typing import Final

import msgspec

from api.problems import SignatureReplayed, TimestampFuture, TimestampStale, TooManySignatures

WINDOW_MS_MAX: Final = 60_000
AHEAD_MS_MAX: Final = 1_000
"""How far ahead of ours a client's clock may be."""
SKEW_MS_MAX: Final = 5_000
"""How far apart the clocks of our own machines may be."""
REMEMBERED_MAX: Final = 2_000_000
"""Signatures of commands remembered at one time, over all keys."""

_KEPT_MS: Final = WINDOW_MS_MAX + SKEW_MS_MAX
_SPAN_MS: Final = 10_000


class Signature(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What tells a signed command from any other. digest: its HMAC; signed_ms: its timestamp."""

    digest: bytes
    signed_ms: int


class SignatureMemory:
    """Knows which commands were taken. For one thread.

    clock_ms: the engine's. A signature is forgotten only once it is too old to be taken again. What
    was signed before `started_ms` could be a replay of what an earlier engine took: it is stale.
    """

    def __init__(self, clock_ms: Callable[[], int], started_ms: Callable[[], int]) -> None:
        self._clock_ms = clock_ms
        self._started_ms = started_ms
        self._spans: dict[int, set[bytes]] = {}
        self._count = 0

    def require_new(self, signature: Signature) -> None:
        """Raises: TimestampStale, TimestampFuture, SignatureReplayed, TooManySignatures."""
        now_ms, signed_ms = self._clock_ms(), signature.signed_ms
        if signed_ms < self._started_ms():
            raise TimestampStale("Signed before the engine started: sign it again")
        if signed_ms < now_ms - _KEPT_MS:
            raise TimestampStale(f"The engine's time is {now_ms}")
        if signed_ms > now_ms + AHEAD_MS_MAX + SKEW_MS_MAX:
            raise TimestampFuture(f"The engine's time is {now_ms}")
        if signature.digest in self._spans.get(signed_ms // _SPAN_MS, ()):
            raise SignatureReplayed
        self._forget(now_ms)
        if self._count >= REMEMBERED_MAX:
            raise TooManySignatures

    def remember(self, signature: Signature) -> None:
        """Never take this command again."""
        self._spans.setdefault(signature.signed_ms // _SPAN_MS, set()).add(signature.digest)
        self._count += 1

    def _forget(self, now_ms: int) -> None:
        """Drop each span of time that is stale as a whole."""
        oldest = (now_ms - _KEPT_MS) // _SPAN_MS
        for span in [each for each in self._spans if each < oldest]:
            self._count -= len(self._spans.pop(span))
