"""Credits deposits that are deep enough, exactly once, and reverses those whose block is gone."""

import logging

from wallet.book import Book
from wallet.coins import Coin, Coins
from wallet.errors import BadRequest
from wallet.policy import Policy
from wallet.ports import Exchange, ExchangeRefused
from wallet.records.deposit import Deposit
from wallet.types import DepositKey

_log = logging.getLogger(__name__)


class Deposits:
    """One chain's."""

    def __init__(self, *, book: Book, coins: Coins, policy: Policy, exchange: Exchange) -> None:
        self._book = book
        self._coins = coins
        self._policy = policy
        self._exchange = exchange

    def settle(self) -> bool:
        """Tell the exchange what it is owed, then decide on what is deep enough by now.

        Nothing is credited while the chain is paused; reversals go on. Returns whether anything
        was done. Raises: ExchangeUnavailable: the rest is done next time.
        """
        acted = self._tell_all()
        if self._book.chain_record.paused:
            return acted
        for deposit in self._book.deposits("confirming"):
            if self._depth(deposit) >= self.confirmations(deposit):
                acted = self._decide(deposit) or acted
        return self._tell_all() or acted

    def confirmations(self, deposit: Deposit) -> int:
        """Return how many blocks a deposit waits for."""
        coin = self._coins.of_asset(deposit.asset)
        decimals = coin.decimals if coin else 0
        return self._policy.confirmations(deposit.asset, deposit.amount, decimals)

    def release(self, key: DepositKey, released_by: str) -> None:
        """Let a quarantined deposit be credited. Raises: BadRequest: it is not in quarantine."""
        deposit = self._book.deposit(key)
        if deposit is None or deposit.status != "quarantined":
            raise BadRequest(f"{key} is not in quarantine")
        released = self._book.copy(deposit)
        released.release(released_by)
        self._book.save(released)

    def _depth(self, deposit: Deposit) -> int:
        return self._book.chain_record.tip.height - deposit.height + 1

    def _decide(self, deposit: Deposit) -> bool:
        coin = self._coins.of_asset(deposit.asset) if deposit.asset else None
        if coin is None:
            self._quarantine(deposit, "unknown_token")
        elif not coin.enabled:
            self._quarantine(deposit, "token_disabled")
        elif coin.review and not deposit.released:
            self._quarantine(deposit, "review")
        else:
            self._credit(deposit, coin)
        return True

    def _quarantine(self, deposit: Deposit, reason: str) -> None:
        held_back = self._book.copy(deposit)
        held_back.quarantine(reason)
        self._book.save(held_back)
        _log.warning("deposit %s is in quarantine: %s", deposit.key, reason)

    def _credit(self, deposit: Deposit, coin: Coin) -> None:
        """Credit it with the small ones before it, or set it aside until there is enough."""
        together = [deposit, *self._small_ones(deposit)]
        if sum(each.amount for each in together) < coin.minimum and not deposit.released:
            aside = self._book.copy(deposit)
            aside.set_aside()
            self._book.save(aside)
            return
        credited = [self._book.copy(each) for each in together]
        for each in credited:
            each.credit(*coin.to_ledger(each.amount))
        self._book.save(*credited)

    def _small_ones(self, deposit: Deposit) -> list[Deposit]:
        found = (
            self._book.get(Deposit, each)
            for each in sorted(self._book.deposits_at[deposit.address])
        )
        return [each for each in found if each.status == "small" and each.asset == deposit.asset]

    def _tell_all(self) -> bool:
        owing = sorted(self._book.deposits_owing)
        for deposit_id in owing:
            while (deposit := self._book.get(Deposit, deposit_id)).owed:
                self._tell(deposit)
        return bool(owing)

    def _tell(self, deposit: Deposit) -> None:
        """Tell the exchange the first of what it is owed, then record that it knows."""
        what, deposit_id = deposit.owed[0]
        told = self._book.copy(deposit)
        try:
            if what == "credit":
                self._exchange.credit(
                    account=deposit.account,
                    asset=deposit.asset,
                    units=self._units(deposit),
                    deposit_id=deposit_id,
                )
            else:
                self._exchange.reverse(deposit_id=deposit_id)
            told.told()
        except ExchangeRefused as refusal:
            if what != "credit":
                raise
            told.refuse(refusal.code)
            _log.warning("the exchange refused deposit %s: %s", deposit_id, refusal)
        self._book.save(told)

    def _units(self, deposit: Deposit) -> int:
        """Return what the credit is of: it may be told when its block is gone already."""
        coin = self._coins.of_asset(deposit.asset)
        if coin is None:
            raise AssertionError(f"{deposit.key} was credited though {deposit.asset} is unknown")
        return coin.to_ledger(deposit.amount)[0]
