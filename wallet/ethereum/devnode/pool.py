"""The transactions that wait for a block, with the rules and messages of geth."""

from collections.abc import Callable, Iterable, Iterator

from eth.abc import SignedTransactionAPI

REPLACEMENT_PER_CENT = 10


class PoolError(ValueError):
    """A transaction is not taken; the text is geth's."""


class Pool:
    """Transactions by sender and nonce. One may wait for another that has not come yet."""

    def __init__(self) -> None:
        self._waiting: dict[bytes, dict[int, SignedTransactionAPI]] = {}
        self._by_hash: dict[bytes, SignedTransactionAPI] = {}

    def __len__(self) -> int:
        return len(self._by_hash)

    def find(self, txid: bytes) -> SignedTransactionAPI | None:
        """Return a waiting transaction."""
        return self._by_hash.get(txid)

    def add(self, transaction: SignedTransactionAPI, *, nonce: int, balance: int) -> None:
        """Take a transaction, in the place of one that offers at least 10 % less.

        nonce, balance: of its sender, on chain.
        Raises: PoolError.
        """
        if transaction.hash in self._by_hash:
            raise PoolError("already known")
        _check(transaction, nonce, balance)
        mine = self._waiting.setdefault(transaction.sender, {})
        old = mine.get(transaction.nonce)
        if old is not None:
            if not _outbids(transaction, old):
                raise PoolError("replacement transaction underpriced")
            del self._by_hash[old.hash]
        mine[transaction.nonce] = transaction
        self._by_hash[transaction.hash] = transaction

    def remove(self, txid: bytes) -> None:
        """Forget a transaction, if it is here."""
        transaction = self._by_hash.pop(txid, None)
        if transaction is not None:
            del self._waiting[transaction.sender][transaction.nonce]

    def forget_used(self, sender: bytes, nonce: int) -> None:
        """Drop what a block has made impossible: every nonce below the one on chain."""
        for used in [n for n in self._waiting.get(sender, {}) if n < nonce]:
            self.remove(self._waiting[sender][used].hash)

    def clear(self) -> None:
        """Forget everything, as a node does that restarts or is short of memory."""
        self._waiting.clear()
        self._by_hash.clear()

    def next_nonce(self, sender: bytes, nonce: int) -> int:
        """Return the first nonce from `nonce` on that neither chain nor pool has used."""
        mine = self._waiting.get(sender, {})
        while nonce in mine:
            nonce += 1
        return nonce

    def ready(
        self, nonce_of: Callable[[bytes], int], base_fee: int
    ) -> Iterator[SignedTransactionAPI]:
        """Yield what can be in a block now, the best tip first; of one sender in their order."""
        queues = {sender: self._in_order(sender, nonce_of(sender)) for sender in self._waiting}
        heads = {sender: next(queue, None) for sender, queue in queues.items()}
        while True:
            fit = [tx for tx in heads.values() if tx is not None and tx.max_fee_per_gas >= base_fee]
            if not fit:
                return
            best = max(fit, key=lambda tx: _tip(tx, base_fee))
            yield best
            heads[best.sender] = next(queues[best.sender], None)

    def all(self) -> Iterable[SignedTransactionAPI]:
        """Return everything that waits."""
        return tuple(self._by_hash.values())

    def _in_order(self, sender: bytes, nonce: int) -> Iterator[SignedTransactionAPI]:
        mine = self._waiting[sender]
        while nonce in mine:
            yield mine[nonce]
            nonce += 1


def _check(transaction: SignedTransactionAPI, nonce: int, balance: int) -> None:
    if transaction.nonce < nonce:
        raise PoolError(f"nonce too low: next nonce {nonce}, tx nonce {transaction.nonce}")
    if transaction.max_priority_fee_per_gas > transaction.max_fee_per_gas:
        raise PoolError("max priority fee per gas higher than max fee per gas")
    if transaction.gas < transaction.intrinsic_gas:
        needed = transaction.intrinsic_gas
        raise PoolError(f"intrinsic gas too low: gas {transaction.gas}, minimum needed {needed}")
    cost = transaction.gas * transaction.max_fee_per_gas + transaction.value
    if balance < cost:
        raise PoolError(
            f"insufficient funds for gas * price + value: balance {balance}, tx cost {cost},"
            f" overshot {cost - balance}"
        )


def _outbids(new: SignedTransactionAPI, old: SignedTransactionAPI) -> bool:
    """Tell whether both fees are at least 10 % higher."""

    def enough(mine: int, theirs: int) -> bool:
        return mine * 100 >= theirs * (100 + REPLACEMENT_PER_CENT)

    return enough(new.max_fee_per_gas, old.max_fee_per_gas) and enough(
        new.max_priority_fee_per_gas, old.max_priority_fee_per_gas
    )


def _tip(transaction: SignedTransactionAPI, base_fee: int) -> int:
    return min(transaction.max_priority_fee_per_gas, transaction.max_fee_per_gas - base_fee)
