"""Looks at blocks again: for tokens that were registered later, and for whatever was missed.

Nothing is counted twice. A deposit has its key, which no block changes; what else moved counts only
in blocks that were not scanned for its token before. So a range may be asked for again and again.
"""

import logging
from dataclasses import dataclass, field
from typing import Any, Final

from wallet.block_scan import BlockScan, TransferSeen
from wallet.book import Book
from wallet.chain import Chain
from wallet.coins import Coins
from wallet.effects import Effect, effect_of_transfer, effects_of_leaving
from wallet.errors import (
    BadRequest,
    DuplicateMismatch,
    NodeLagging,
    NodeUnavailable,
    WalletError,
)
from wallet.policy import Policy
from wallet.records.deposit import Deposit
from wallet.records.rescan import Rescan, rescan_id
from wallet.store import RecordChanged
from wallet.types import BlockRef, WatchSet

BLOCKS_MAX: Final = 100_000
"""In one rescan: two weeks of Ethereum's main network."""
BLOCKS_PER_STEP: Final = 100
"""Looked at before anything else gets its turn."""
ATTEMPTS_MAX: Final = 20
"""How often the node may fail to tell about the same blocks, one after the other."""
NAME_CHARS_MAX: Final = 128

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Found:
    """What some blocks bring: deposits by key, effects by block, and how many deposits are new."""

    deposits: dict[str, Deposit] = field(default_factory=dict)
    blocks: list[list[Any]] = field(default_factory=list)
    new: int = 0


class Rescans:
    """One chain's. Any process may request one; the process that follows the chain does it."""

    def __init__(
        self, *, chain: Chain, book: Book, coins: Coins, policy: Policy, watch: WatchSet
    ) -> None:
        self._chain = chain
        self._book = book
        self._coins = coins
        self._policy = policy
        self._watch = watch
        self._failures = 0

    def request(self, name: str, first: int, last: int | None, requested_by: str) -> Rescan:
        """Ask for the blocks from `first` to `last`, both included; None: to the last one followed.

        The same name again changes nothing. Returns its record.
        Raises: BadRequest: the range is not within what was followed, or too long;
        DuplicateMismatch: the name was for another range.
        """
        known = self._book.find(Rescan, rescan_id(self._book.chain, name))
        if known is not None:
            if (known.first, known.asked_last) != (first, last):
                raise DuplicateMismatch(f"the rescan {name} was of other blocks")
            return known
        tip = self._book.chain_record.tip.height
        end = tip if last is None else last
        if not 0 < len(name) <= NAME_CHARS_MAX:
            raise BadRequest(f"a rescan's name has 1 to {NAME_CHARS_MAX} characters")
        if not 0 <= first <= end <= tip:
            raise BadRequest(f"blocks {first} to {end} are not within 0 to {tip}")
        if end - first >= BLOCKS_MAX:
            raise BadRequest(f"a rescan is of {BLOCKS_MAX} blocks at most")
        self._book.save(Rescan.request(self._book.chain, name, first, last, requested_by))
        return self._book.get(Rescan, rescan_id(self._book.chain, name))

    def step(self) -> bool:
        """Look at some blocks of the rescan asked for first; return whether anything was done.

        What the node cannot tell several times, as when it has no state of old blocks, ends it.
        Raises: NodeUnavailable, RecordChanged: try again later.
        """
        waiting = next(iter(self._book.open_rescans), None)
        if waiting is None or any(each.watched_after is None for each in self._book.tokens):
            return False
        rescan = self._book.copy(self._book.get(Rescan, waiting))
        try:
            done = self._go_on(rescan)
            self._failures = 0
            return done
        except (NodeUnavailable, RecordChanged):
            raise
        except WalletError as error:
            self._failures += 1
            if self._failures < ATTEMPTS_MAX:
                return False
            self._failures = 0
            _log.warning("the rescan %s is given up: %s", rescan.name, error)
            rescan.fail(f"at block {rescan.next}: {error.code}: {error}"[:256])
            self._book.save(rescan)
            return True

    def _go_on(self, rescan: Rescan) -> bool:
        tip = self._book.chain_record.tip.height
        rescan.begin(tip)
        end = tip if rescan.last is None else rescan.last
        last = min(end, tip)
        scans = self._scans(rescan.next, min(last, rescan.next + BLOCKS_PER_STEP - 1))
        if rescan.next <= last and not scans:
            raise NodeLagging(f"the node does not have block {rescan.next} of our chain")
        found = _Found()
        for scan in scans:
            self._take(scan, found)
        # Blocks that were followed when it was asked for and are gone are followed anew.
        height = end if rescan.next > last else scans[-1].ref.height
        rescan.scanned(height, found.new, found.blocks)
        self._book.save(rescan, *found.deposits.values())
        return True

    def _scans(self, first: int, last: int) -> list[BlockScan]:
        """Return the blocks from `first`, as far as they are those that the books are of."""
        known = {block.ref.height: block.ref for block in self._book.blocks}
        scans: list[BlockScan] = []
        while (height := first + len(scans)) <= last:
            count = min(last - height + 1, self._policy.blocks_per_read)
            read = self._chain.scan_range(height, count, self._watch)
            for scan in read:
                if not _fits(scan.ref, scans, known):
                    return scans
                scans.append(scan)
            if not read:
                break
        return scans

    def _take(self, scan: BlockScan, found: _Found) -> None:
        ref = scan.ref
        effects: list[Effect] = []
        for transfer in scan.transfers:
            if self._is_news(transfer, ref, found):
                effects.append(effect_of_transfer(transfer))
        for effect in effects_of_leaving(scan):
            if not self._book.is_covered(effect[1], ref.height):
                effects.append(effect)
        if effects:
            found.blocks.append([ref.height, ref.hash, effects])

    def _is_news(self, transfer: TransferSeen, ref: BlockRef, found: _Found) -> bool:
        """Return whether the books do not have it yet; a deposit is taken into them."""
        account = self._book.account_of.get(transfer.address)
        if account is None or transfer.own:
            return not self._book.is_covered(transfer.token or "", ref.height)
        known = self._book.deposit(transfer.key)
        if known is None:
            coin = self._coins.of_token(transfer.token)
            asset = coin.asset if coin else ""
            found.deposits[transfer.key] = Deposit.see(transfer, ref, account, asset)
            found.new += 1
            return True
        return False


def _fits(ref: BlockRef, before: list[BlockScan], known: dict[int, BlockRef]) -> bool:
    if before and before[-1].ref.hash != ref.parent:
        return False
    return known.get(ref.height, ref).hash == ref.hash
