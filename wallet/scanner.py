"""Follows a chain by the hashes of its blocks; walks back, block by block, when they change.

Hints that there is a new block are only a reason to look: what is true is asked for by hash. After
downtime the same loop catches up, many blocks in one transaction.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from wallet.block_scan import BlockScan, TokensLeft, TransferSeen
from wallet.book import Book
from wallet.chain import Chain
from wallet.coins import Coins
from wallet.effects import effects_of
from wallet.errors import DeepReorg, TokensTaken, WrongChain
from wallet.policy import Policy
from wallet.records.chain_record import ChainRecord, chain_record_id
from wallet.records.deposit import Deposit
from wallet.types import BlockRef, Token, WatchSet

_log = logging.getLogger(__name__)

Progress = Callable[[int, int], None]
"""Called with the height followed to and that of the chain's tip."""


@dataclass(slots=True)
class _Stretch:
    """What a stretch of blocks brings: deposits, by key, and the blocks with their effects.

    taken: tokens that left in transactions of others.
    """

    deposits: dict[str, Deposit] = field(default_factory=dict)
    blocks: list[list[Any]] = field(default_factory=list)
    taken: list[TokensLeft] = field(default_factory=list)


class Scanner:
    """One chain's. `watch` is what it looks for: it grows with every address and every token."""

    def __init__(
        self, *, chain: Chain, book: Book, coins: Coins, policy: Policy, watch: WatchSet
    ) -> None:
        self._chain = chain
        self._book = book
        self._coins = coins
        self._policy = policy
        self._watch = watch
        self._watched_to = 0

    def open(self, start_height: int | None) -> None:
        """Begin to follow the chain, or check that it is the one we keep books of.

        start_height: the last block that is not looked at; None: the chain's tip now.
        Raises: WrongChain: another genesis; NodeUnavailable.
        """
        self._chain.check()
        record = self._book.find(ChainRecord, chain_record_id(self._chain.id))
        if record is None:
            start = self._chain.tip() if start_height is None else self._block(start_height)
            self._book.save(ChainRecord.open(self._chain.id, self._chain.genesis, start))
        elif record.genesis != self._chain.genesis:
            raise WrongChain(
                f"the books are of the chain that begins with {record.genesis}, the node's begins"
                f" with {self._chain.genesis}"
            )

    def follow(self, progress: Progress | None = None) -> bool:
        """Disconnect what is gone and connect what is new, up to a limit; return whether any was.

        Raises: DeepReorg: more is gone than may be, and the chain is paused. NodeUnavailable,
        NodeLagging: try again later; what was followed so far is kept.
        """
        target = self._chain.tip()
        self._book.catch_up()
        self._watch_new_addresses()
        self._watch_tokens()
        moved = self._walk_back(target)
        limit = self._book.chain_record.tip.height + self._policy.blocks_per_step
        while (height := self._book.chain_record.tip.height) < min(target.height, limit):
            count = min(target.height - height, limit - height, self._policy.blocks_per_read)
            if not self._connect(count, target):
                break
            moved = True
            if progress is not None:
                progress(self._book.chain_record.tip.height, target.height)
        return moved

    def _block(self, height: int) -> BlockRef:
        ref = self._chain.block_ref(height)
        if ref is None:
            raise WrongChain(f"the chain has no block {height}")
        return ref

    def _watch_new_addresses(self) -> None:
        addresses = list(self._book.account_of)
        for address in addresses[self._watched_to :]:
            self._watch.add(address)
        self._watched_to = len(addresses)

    def _watch_tokens(self) -> None:
        """Look for each token, and record from which block on that is so."""
        new = [token for token in self._book.tokens if token.watched_after is None]
        found = self._book.token_list
        if new and found is not None:
            changed = self._book.copy(found)
            for token in new:
                changed.watch(token.contract, self._book.chain_record.tip.height)
            self._book.save(changed)
        for token in self._book.tokens:
            if token.watched_after is not None:
                self._watch.add_token(Token(id=token.contract, credit=token.coin.credit))

    def _walk_back(self, target: BlockRef) -> bool:
        """Disconnect blocks until the tip is on the chain. A node that lags proves nothing."""
        moved = False
        while not self._is_on_chain(self._book.chain_record.tip, target):
            self._disconnect()
            moved = True
        return moved

    def _is_on_chain(self, tip: BlockRef, target: BlockRef) -> bool:
        """Only another hash at a height where we have a block proves that ours is gone."""
        if target.height < tip.height:
            at_target = [b.ref for b in self._book.blocks if b.ref.height == target.height]
            return not at_target or at_target[0].hash == target.hash
        ref = self._chain.block_ref(tip.height)
        return ref is None or ref.hash == tip.hash

    def _disconnect(self) -> None:
        book = self._book
        record = book.copy(book.chain_record)
        if len(book.blocks) < 2:
            record.alarm("more blocks are gone than are kept")
            book.save(record)
            raise DeepReorg(f"block {record.tip.height} is gone and so are all we remember")
        gone, parent = book.blocks[-1].ref, book.blocks[-2].ref
        changed: list[Deposit] = []
        for deposit_id in sorted(book.deposits_by_block.get(gone.hash, ())):
            deposit = book.copy(book.get(Deposit, deposit_id))
            if deposit.status == "credited" and self._policy.pause_on_reversal:
                record.alarm(f"credited deposit {deposit.key} is gone from the chain")
            deposit.orphan()
            changed.append(deposit)
        record.disconnect(parent)
        book.save(record, *changed)
        _log.warning("block %d %s is gone from %s", gone.height, gone.hash, book.chain)

    def _connect(self, count: int, target: BlockRef) -> bool:
        """Connect up to `count` blocks; False when the chain changed meanwhile.

        A block that took the target's place may pay an address that nobody had when the addresses
        to look for were read; the target itself is older than that.
        """
        tip = self._book.chain_record.tip
        scans = self._chain.scan_range(tip.height + 1, count, self._watch)
        if not scans or scans[0].ref.parent != tip.hash:
            return False
        if scans[-1].ref.height == target.height and scans[-1].ref.hash != target.hash:
            return False
        stretch = _Stretch()
        for scan in scans:
            self._take(scan, stretch)
        last = scans[-1].ref
        keep_from = max(target.height, last.height) - self._policy.reorg_max
        blocks = [block for block in stretch.blocks if block[0] > keep_from]
        settled = [e for block in stretch.blocks if block[0] <= keep_from for e in block[3]]
        record = self._book.copy(self._book.chain_record)
        record.connect(last, blocks, settled)
        for left in stretch.taken:
            _log.error("%s", _taken(left))
            record.alarm(_taken(left))
        self._book.save(record, *stretch.deposits.values())
        return True

    def _take(self, scan: BlockScan, stretch: _Stretch) -> None:
        ref = scan.ref
        for transfer in scan.transfers:
            self._take_transfer(transfer, ref, stretch)
        for each in scan.ignored:
            _log.info("ignored: %s of the unregistered %s arrived at %s in %s",
                      each.amount, each.contract, each.address, each.txid)  # fmt: skip
        for left in scan.left:
            if not left.own:
                stretch.taken.append(left)
        stretch.blocks.append([ref.height, ref.hash, ref.parent, effects_of(scan)])

    def _take_transfer(self, transfer: TransferSeen, ref: BlockRef, stretch: _Stretch) -> None:
        account = self._book.account_of.get(transfer.address)
        if account is None or transfer.own:
            return
        known = stretch.deposits.get(transfer.key) or self._book.deposit(transfer.key)
        if known is None:
            coin = self._coins.of_token(transfer.token)
            asset = coin.asset if coin else ""
            stretch.deposits[transfer.key] = Deposit.see(transfer, ref, account, asset)
        else:
            deposit = self._book.copy(known)
            deposit.mined_again(ref)
            stretch.deposits[transfer.key] = deposit


def _taken(left: TokensLeft) -> str:
    return (
        f"{TokensTaken.code}: {left.amount} of {left.token} left {left.address} in {left.txid},"
        " which is no transaction of ours"
    )
