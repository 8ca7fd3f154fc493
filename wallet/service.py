"""One chain's custody: follow, settle, pay, sweep, look again, in this order, again and again."""

import logging
from collections.abc import Callable
from threading import Event
from typing import Any

from eventsourcing.domain import Aggregate

from wallet.addresses import Addresses
from wallet.book import Book
from wallet.chain import Chain
from wallet.coins import Coins
from wallet.deposits import Deposits
from wallet.errors import KeyUsedElsewhere, SignerRolledBack, WalletError
from wallet.payments import Payments
from wallet.policy import Policy
from wallet.ports import Exchange, ExchangeUnavailable, Keys, Signer
from wallet.records.token_list import TokenList
from wallet.refills import Refills
from wallet.rescans import Rescans
from wallet.reviews import Reviews
from wallet.scanner import Progress, Scanner
from wallet.store import Books, RecordChanged
from wallet.sweeper import Sweeper
from wallet.tokens import Tokens
from wallet.types import WatchSet
from wallet.withdrawals import Withdrawals

RETRY_S = 1.0
"""How long to wait after a failure that may pass."""
POLL_S = 0.2
"""How often the exchange's log is looked at when the chain is quiet."""
BEHIND_BLOCKS = 1_000
"""When catching up, how it goes is logged after as many."""

_log = logging.getLogger(__name__)


class Custody:
    """The parts of one chain, wired; `step` for tests and the loop alike."""

    def __init__(
        self,
        *,
        chain: Chain,
        books: Books,
        coins: Coins,
        policy: Policy,
        keys: Keys,
        signer: Signer,
        exchange: Exchange,
        clock_ms: Callable[[], int],
    ) -> None:
        """clock_ms: since 1970."""
        self.chain = chain
        self.books = books
        self._logged_height = 0
        self.coins = coins
        self.policy = policy
        self.keys = keys
        self.signer = signer
        self.book = book = Book(
            chain.id, books, keep_blocks=policy.reorg_max, observe=self._observe
        )
        self.watch = WatchSet([keys.hot, keys.gas, keys.cold])
        self.addresses = Addresses(chain=chain.id, book=book, keys=keys)
        self.scanner = Scanner(chain=chain, book=book, coins=coins, policy=policy, watch=self.watch)
        self.deposits = Deposits(book=book, coins=coins, policy=policy, exchange=exchange)
        self.withdrawals = Withdrawals(
            chain=chain, book=book, coins=coins, keys=keys, exchange=exchange
        )
        self.reviews = Reviews(book=book, signer=signer, policy=policy, clock_ms=clock_ms)
        self.payments = Payments(
            chain=chain, book=book, policy=policy, signer=signer, reviews=self.reviews
        )
        self.sweeper = Sweeper(
            chain=chain, book=book, coins=coins, policy=policy, keys=keys, signer=signer
        )
        self.tokens = Tokens(chain=chain, book=book, coins=coins, exchange=exchange)
        self.rescans = Rescans(chain=chain, book=book, coins=coins, policy=policy, watch=self.watch)
        self.refills = Refills(chain=chain, book=book, coins=coins, policy=policy, keys=keys)

    def open(self, start_height: int | None = None) -> None:
        """Read the books and check that they fit the chain and the keys.

        start_height: of the last block that is not looked at when the books are new; None: the tip.
        Raises: WrongChain, NodeUnavailable.
        """
        self._begin(self.addresses.open)
        self._begin(lambda: self.scanner.open(start_height))

    def _begin(self, part: Callable[[], None]) -> None:
        """Begin a part of the books, or check it when another process begins it at this moment."""
        self.book.catch_up()
        try:
            part()
        except RecordChanged:
            self.book.catch_up()
            part()

    def step(self, progress: Progress | None = None, *, look: bool = True) -> bool:
        """Do everything that can be done now; return whether anything was.

        look: whether to ask the node, too; without, it is asked only when there is something new
        in the books or to be paid.
        Raises: WalletError, ExchangeUnavailable: what was done so far is kept. SignerRolledBack,
        KeyUsedElsewhere: and the chain is paused.
        """
        try:
            return self._step(progress, look=look)
        except SignerRolledBack as error:
            self.pause(error.reason)
            raise

    def _step(self, progress: Progress | None, *, look: bool) -> bool:
        look = self.book.catch_up() or look
        acted = look and self.scanner.follow(progress)
        acted = self.deposits.settle() or acted
        acted = self.withdrawals.take_over() or acted
        if look or acted:
            acted = self.payments.advance() or acted
            acted = self.withdrawals.tell() or acted
            acted = self.sweeper.plan() or acted
            acted = self.refills.advance() or acted
        return self.rescans.step() or acted

    def run(self, stop: Event) -> None:
        """Step until told to stop. What may pass is tried again; what may not, ends it.

        Raises: WalletError: that is not retryable, but for a pause, which an operator ends.
        """
        with self.chain.heads() as heads:
            look = True
            while not stop.is_set():
                try:
                    look = self.step(self._log_progress, look=look) or heads.wait(POLL_S)
                except (WalletError, ExchangeUnavailable) as error:
                    self._survive(error)
                    stop.wait(RETRY_S)
                    look = True

    def _observe(self, position: int, event: Any, record: Aggregate) -> None:
        """Take each token as the books say, whichever process registered or changed it."""
        if isinstance(record, TokenList):
            for token in record.tokens.values():
                self.coins.add(token.coin)

    def _log_progress(self, height: int, tip: int) -> None:
        """Say how far catching up has come, now and then while there is much to do."""
        if tip - height >= BEHIND_BLOCKS and height - self._logged_height >= BEHIND_BLOCKS:
            self._logged_height = height
            _log.info("%s is followed to block %d of %d", self.chain.id, height, tip)

    def _survive(self, error: WalletError | ExchangeUnavailable) -> None:
        if isinstance(error, KeyUsedElsewhere | SignerRolledBack):
            _log.error("%s: %s", error.code, error)
        elif isinstance(error, WalletError) and not error.retryable:
            raise error
        else:
            _log.warning("trying again: %s", error)

    def pause(self, reason: str, paused_by: str = "") -> None:
        """Stop crediting and paying; following and reversing go on."""
        record = self.book.copy(self.book.chain_record)
        record.pause(reason, paused_by)
        self.book.save(record)

    def resume(self, resumed_by: str, reason: str = "", accepted: str = "") -> None:
        """Go on. Raises: DifferencesNotAccepted: there are others than were accepted."""
        record = self.book.copy(self.book.chain_record)
        record.resume(resumed_by, reason, accepted)
        self.book.save(record)
