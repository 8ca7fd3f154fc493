"""Waiting in tests for what another thread or process brings about."""

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

PATIENCE_S = 60.0
VIEW_WAIT_S = 3.0
"""How long a query waits for views to follow: the machine may be busy with other tests. Clients
that nobody told otherwise wait 5 s for an answer.
"""
POLL_S = 0.02
POLL_ASYNC_S = 0.005

T = TypeVar("T")


def until(condition: Callable[[], T], what: str = "what is waited for") -> T:
    """Return what a condition says once that is true. what: for the failure, if it never is."""
    deadline = time.monotonic() + PATIENCE_S
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not in {PATIENCE_S} s: {what}"
        time.sleep(POLL_S)
    return found


async def until_async(condition: Callable[[], object]) -> None:
    """Return once a condition is true that something else on this event loop brings about."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110  what is waited for is set by other code than a test's
            await asyncio.sleep(POLL_ASYNC_S)
