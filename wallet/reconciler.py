"""Reconciles again and again; records what differs, and pauses the chain for it.

Deposits are not credited then and withdrawals not sent, but the chain is followed on. Who resumes
it accepts the differences that are recorded, and names them: only another one pauses it again.
"""

import logging
import time
from collections.abc import Callable
from threading import Event

from wallet.book import Book
from wallet.chain import Chain
from wallet.coins import Coins
from wallet.errors import NodeLagging, ReconciliationFailed, WalletError
from wallet.ports import ExchangeUnavailable, Keys
from wallet.reconcile import Difference, LedgerFacts, Report, reconcile
from wallet.records.chain_record import DIFFERENCES_MAX, mark_of
from wallet.store import RecordChanged

LOOKS = 4
LOOK_AGAIN_S = 0.7
RETRY_S_MAX = 60.0
CONFLICTS_MAX = 20

_log = logging.getLogger(__name__)


class Reconciler:
    """One chain's. For one thread, with a book of its own."""

    def __init__(
        self,
        *,
        chain: Chain,
        book: Book,
        coins: Coins,
        keys: Keys,
        ledger: Callable[[], LedgerFacts],
        every_s: float,
    ) -> None:
        """ledger: what the exchange says now; it raises ExchangeUnavailable."""
        self._chain = chain
        self._book = book
        self._coins = coins
        self._keys = keys
        self._ledger = ledger
        self._every_s = every_s

    def run(self, stop: Event) -> None:
        """Look and record, until told to stop. Raises: WalletError: that does not pass."""
        while not stop.is_set():
            wait_s = self._every_s
            try:
                self.record(self.look(stop.wait))
            except (WalletError, ExchangeUnavailable) as error:
                if isinstance(error, WalletError) and not error.retryable:
                    raise
                _log.warning("reconciliation waits: %s", error)
                wait_s = min(self._every_s, RETRY_S_MAX)
            stop.wait(wait_s)

    def look(self, wait: Callable[[float], object] = time.sleep) -> Report:
        """Compare books, chain and ledger, while all of them go on.

        They cannot be read at one moment, so what differs is looked at again: only what differs in
        each look, and by as much, counts.
        Raises: NodeLagging: the books are on another branch; NodeUnavailable, ExchangeUnavailable.
        """
        standing: set[tuple[str, str]] | None = None
        for attempt in range(1, LOOKS + 1):
            if attempt > 1:
                wait(LOOK_AGAIN_S)
            try:
                report = self._look_once()
            except NodeLagging:
                if attempt == LOOKS:
                    raise
                continue
            found = {each.identity for each in report.differences}
            standing = found if standing is None else standing & found
            if not standing:
                break
        report.differences = [e for e in report.differences if e.identity in (standing or ())]
        return report

    def record(self, report: Report) -> bool:
        """Record what differs, and pause the chain; return whether that is news.

        When nothing differs any more that is recorded, too; resuming is for people.
        """
        for _ in range(CONFLICTS_MAX):
            self._book.catch_up()
            try:
                return self._record(report)
            except RecordChanged:
                continue
        raise RecordChanged("the books are changing too fast; try again")

    def _look_once(self) -> Report:
        return reconcile(
            chain=self._chain,
            book=self._book,
            coins=self._coins,
            keys=self._keys,
            ledger=self._ledger(),
        )

    def _record(self, report: Report) -> bool:
        kept = report.differences[:DIFFERENCES_MAX]
        unlisted = len(report.differences) - len(kept)
        known = {Difference(*each).identity for each in self._book.chain_record.differences}
        found = {each.identity for each in report.differences}
        mark = mark_of(found) if found else ""
        if mark == self._book.chain_record.mark:
            return False
        record = self._book.copy(self._book.chain_record)
        if found:
            first = f"{len(report.differences)} differences, the first: {kept[0]}"
            texts = [each.texts for each in kept]
            record.fail_reconciliation(report.block, texts, unlisted=unlisted, mark=mark)
            if found - known:
                record.pause(f"{ReconciliationFailed.code}: {first}")
            _log.error("%s does not reconcile: %s", self._chain.id, first)
        else:
            record.pass_reconciliation(report.block)
        self._book.save(record)
        return True
