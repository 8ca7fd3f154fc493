"""A chain of blocks and a pool: what a node is, without its interface."""

import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from itertools import islice

from eth.abc import SignedTransactionAPI
from eth_account.hdaccount import key_from_seed, seed_from_mnemonic
from eth_keys.datatypes import PrivateKey

from wallet.ethereum.devnode.evm import BLOCK_GAS, Evm, Sealed
from wallet.ethereum.devnode.pool import Pool, PoolError

MNEMONIC = "test test test test test test test test test test test junk"
"""The same accounts as anvil's: everybody knows their keys."""
ACCOUNTS = 10
BALANCE = 10_000 * 10**18
TRANSACTIONS_PER_BLOCK_MAX = 20
SAFE_DEPTH = 4
FINAL_DEPTH = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a transaction is."""

    block: Sealed
    index: int


def dev_keys() -> list[bytes]:
    """Return the private keys of the accounts that hold coins at the first block."""
    seed = seed_from_mnemonic(MNEMONIC, "")
    return [key_from_seed(seed, f"m/44'/60'/0'/0/{index}") for index in range(ACCOUNTS)]


class DevNode:
    """One chain. Safe to use from many threads; one thing happens at a time.

    automine: seal a block at once for each transaction that can be in one.
    clock: the time in seconds; a block is always later than its parent.
    """

    def __init__(
        self,
        *,
        chain_id: int = 1337,
        automine: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.keys = dev_keys()
        funded = {PrivateKey(k).public_key.to_canonical_address(): BALANCE for k in self.keys}
        self._clock = clock
        self.automine = automine
        self.evm = Evm(chain_id, funded, int(clock()))
        self.pool = Pool()
        self.lock = threading.RLock()
        self._chain = [self.evm.genesis]
        self._by_hash = {self.evm.genesis.hash: self.evm.genesis}
        self._places: dict[bytes, Place] = {}
        self._salt = 0
        self._listeners: list[Callable[[Sealed], None]] = []

    @property
    def chain_id(self) -> int:
        return self.evm.chain_id

    @property
    def tip(self) -> Sealed:
        """The newest block."""
        return self._chain[-1]

    def listen(self, listener: Callable[[Sealed], None]) -> Callable[[], None]:
        """Call `listener` with each new block, from the thread that made it; return the stop."""
        with self.lock:
            self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def block_at(self, height: int) -> Sealed | None:
        """Return the block at this height of the chain as it is now."""
        with self.lock:
            return self._chain[height] if 0 <= height < len(self._chain) else None

    def block(self, block_hash: bytes) -> Sealed | None:
        """Return a block, if the chain as it is now has it."""
        with self.lock:
            found = self._by_hash.get(block_hash)
            return (
                found if found is not None and self._chain[found.height :][:1] == [found] else None
            )

    def place_of(self, txid: bytes) -> Place | None:
        """Return where a transaction is in the chain as it is now."""
        with self.lock:
            return self._places.get(txid)

    def send(self, raw: bytes) -> bytes:
        """Take a signed transaction and return its hash.

        Raises: ValueError: these bytes are none. PoolError: it is not taken, with geth's words.
        """
        transaction = self.evm.decode(raw)
        with self.lock:
            self._admit(transaction)
            if self.automine:
                self.mine()
        return bytes(transaction.hash)

    def nonce(self, sender: bytes, *, pending: bool = False) -> int:
        """Return the next nonce of an address, with `pending` after those that wait."""
        with self.lock:
            nonce = self.evm.nonce(self.tip, sender)
            return self.pool.next_nonce(sender, nonce) if pending else nonce

    def mine(self, count: int = 1) -> Sealed:
        """Seal blocks from what waits, and return the last one."""
        with self.lock:
            for _ in range(count):
                self._mine_one()
            return self.tip

    def reorg(self, depth: int, *, blocks: int | None = None, lose: Collection[bytes] = ()) -> None:
        """Replace the last blocks by others; their transactions wait again.

        depth: how many go. blocks: how many come, one more when left out.
        lose: hashes of transactions that do not come back.
        """
        with self.lock:
            if not 0 < depth < len(self._chain):
                raise ValueError(f"cannot replace {depth} of {len(self._chain) - 1} blocks")
            for orphan in self._disconnect(depth):
                if orphan.hash not in lose:
                    self._admit_again(orphan)
            self.mine(depth + 1 if blocks is None else blocks)

    def wipe_pool(self) -> None:
        """Forget everything that waits."""
        with self.lock:
            self.pool.clear()

    def _admit(self, transaction: SignedTransactionAPI) -> None:
        have = getattr(transaction, "chain_id", None)
        if have is None:
            raise PoolError("only replay-protected (EIP-155) transactions allowed over RPC")
        if have != self.chain_id:
            raise PoolError(f"invalid chain id for signer: have {have} want {self.chain_id}")
        if transaction.gas > BLOCK_GAS:
            raise PoolError("exceeds block gas limit")
        sender = transaction.sender
        nonce, balance = self.evm.nonce(self.tip, sender), self.evm.balance(self.tip, sender)
        self.pool.add(transaction, nonce=nonce, balance=balance)

    def _admit_again(self, orphan: SignedTransactionAPI) -> None:
        try:
            self._admit(orphan)
        except PoolError:
            return  # A better offer for its nonce waits already, or its funds are gone.

    def _mine_one(self) -> None:
        parent, base_fee = self.tip, self.evm.next_base_fee(self.tip)
        ready = self.pool.ready(lambda sender: self.evm.nonce(parent, sender), base_fee)
        chosen = list(islice(ready, TRANSACTIONS_PER_BLOCK_MAX))
        time_s = max(int(self._clock()), parent.header.timestamp + 1)
        self._salt += 1
        block, unfit = self.evm.seal(parent, chosen, time_s=time_s, salt=self._salt)
        for transaction in unfit:
            self.pool.remove(transaction.hash)
        self._connect(block)

    def _connect(self, block: Sealed) -> None:
        self._chain.append(block)
        self._by_hash[block.hash] = block
        for index, transaction in enumerate(block.transactions):
            self._places[transaction.hash] = Place(block=block, index=index)
            self.pool.forget_used(transaction.sender, transaction.nonce + 1)
        for listener in tuple(self._listeners):
            listener(block)

    def _disconnect(self, depth: int) -> list[SignedTransactionAPI]:
        gone, self._chain[-depth:] = self._chain[-depth:], []
        orphans = [transaction for block in gone for transaction in block.transactions]
        for orphan in orphans:
            del self._places[orphan.hash]
        return orphans
