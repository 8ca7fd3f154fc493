"""Custody as a part of a process that is watched, and what metrics want to know of it."""

from collections.abc import Iterator, Sequence

from api.metrics import Reading
from api.parts import Failing, Part, ended
from wallet.service import Custody


class CustodyPart(Part):
    """The process's custody of one chain. A paused one is ready: an operator wanted it so."""

    def __init__(self, custody: Custody, threads: Sequence[Failing]) -> None:
        super().__init__("custody")
        self._custody = custody
        self._threads = threads

    @property
    def failed(self) -> BaseException | None:
        """Why a thread of it ended by itself, if one did."""
        return next((each.failed for each in self._threads if each.failed), None)

    def dead(self) -> str:
        """Return why it ended."""
        return ended(self)

    def readings(self) -> Iterator[Reading]:
        """Return how far the chain is followed, whether it is paused, and what differs."""
        book = self._custody.book
        record, chain = book.chain_record, (book.chain,)
        yield Reading("foldex_custody_height", record.tip.height, chain)
        yield Reading("foldex_custody_paused", bool(record.paused), chain)
        yield Reading("foldex_custody_differences", len(record.differences), chain)
        yield Reading("foldex_custody_open_payments", len(book.open_payments), chain)
