"""What custody remembers of the signer's journal, in its own books.

Who puts both files of the journal back to an older copy makes the signer forget whom it has paid.
The signer cannot notice alone; but custody sends what it saw last with each question.
"""

from wallet.book import Book
from wallet.records.signer_journal import SignerJournal, signer_journal_id
from wallet.signer.memory import check_not_behind
from wallet.signer.messages import JournalMark
from wallet.store import RecordChanged

CONFLICTS_MAX = 20


class JournalMemory:
    """`wallet.signer.memory.Memory`, on the books. For the thread that has the book."""

    def __init__(self, book: Book, *, writes: bool) -> None:
        """writes: whether it is the process that runs custody; others only compare."""
        self._book = book
        self._writes = writes

    def known(self) -> JournalMark | None:
        """Return how far the journal was seen."""
        record = self._book.find(SignerJournal, signer_journal_id(self._book.chain))
        if record is None or not record.count:
            return None
        return JournalMark(record.count, bytes.fromhex(record.seal))

    def saw(self, mark: JournalMark) -> None:
        """Remember how far it is now. Raises: SignerRolledBack: another process saw another one.

        RecordChanged: another process saw it further on since this was asked: ask the same again,
        as the signer is then told of that; or the books are changing too fast.
        """
        if not self._writes:
            return
        asked_with = self.known()
        for _ in range(CONFLICTS_MAX):
            known = self.known()
            if known != asked_with and known is not None and known.count > mark.count:
                raise RecordChanged(f"the signer's journal was seen at {known.count} meanwhile")
            check_not_behind(mark, known)
            if known is not None and mark.count == known.count:
                return
            try:
                self._save(mark)
            except RecordChanged:
                self._book.catch_up()
            else:
                return
        raise RecordChanged("the books are changing too fast; try again")

    def accept(self, accepted_by: str, reason: str) -> None:
        """Forget what was seen: people looked, and the journal as it is now is the right one."""
        record = self._record()
        record.accept(accepted_by, reason)
        self._book.save(record)

    def _save(self, mark: JournalMark) -> None:
        record = self._record()
        record.reach(mark.count, mark.seal.hex())
        self._book.save(record)

    def _record(self) -> SignerJournal:
        known = self._book.find(SignerJournal, signer_journal_id(self._book.chain))
        return SignerJournal.open(self._book.chain) if known is None else self._book.copy(known)
