"""How much of the log is folded at a time: what one transaction on the views writes."""

from typing import Final

from eventstore.commit import Commit, Head
from eventstore.store import Log

EVENTS_PER_BATCH: Final = 64_000
"""A batch ends with the commit that reaches it, or a few later. The more events there are in it,
the more of them change the same balance or order, and the more lines share a page.
"""
EVENTS_PER_BATCH_MIN: Final = 2_000
"""The first one is small and each is twice the one before, so that there is soon one to write."""
COMMITS_PER_READ: Final = 500
COMMITS_PER_READ_MIN: Final = 4


class Batches:
    """Reads a log in batches."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._events = EVENTS_PER_BATCH_MIN

    def after(self, head: Head) -> list[Commit]:
        """Return the commits after a head, enough for a transaction; none at the end of the log.

        Raises: as `Log.read`.
        """
        wanted = min(self._events, EVENTS_PER_BATCH)
        batch: list[Commit] = []
        events = 0
        page = COMMITS_PER_READ_MIN
        while events < wanted:
            page = min(page, COMMITS_PER_READ)
            commits = self._log.read(head.number, page, previous=head)
            if not commits:
                break
            batch += commits
            head = commits[-1].head
            events += sum(len(commit.events) for commit in commits)
            page = -((events - wanted) * len(batch) // events)  # As many as are missing.
        self._events = EVENTS_PER_BATCH_MIN if events < wanted else 2 * wanted
        return batch
