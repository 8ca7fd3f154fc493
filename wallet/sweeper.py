"""Moves coins between our own addresses: from deposit addresses to hot or cold, and gas to tokens.

What is swept is credited already, and every sweep is a payment like any other. A token's address
gets gas first; its sweep is planned when the gas is on chain, not when a clock says so.
"""

import logging

from wallet.book import Book
from wallet.chain import Chain
from wallet.coins import Coin, Coins
from wallet.errors import FeeAboveCap
from wallet.policy import Band, Policy
from wallet.ports import Keys, Signer
from wallet.records.deposit import Deposit
from wallet.records.payment import Payment
from wallet.types import Address, Intent, IntentId, IntentKind

FEE_ROOM = 2
"""How many times the fee of today a sweep leaves behind, as it may be more when it is signed."""


_log = logging.getLogger(__name__)


class Sweeper:
    """One chain's."""

    def __init__(
        self,
        *,
        chain: Chain,
        book: Book,
        coins: Coins,
        policy: Policy,
        keys: Keys,
        signer: Signer,
    ) -> None:
        self._chain = chain
        self._book = book
        self._coins = coins
        self._policy = policy
        self._keys = keys
        self._signer = signer
        self._said: set[str] = set()

    def plan(self) -> bool:
        """Plan the sweeps that are due, and ask for refills; return whether anything was."""
        if self._book.chain_record.paused:
            return False
        before = self._book.position
        busy = self._busy()
        for coin in self._coins:
            band = coin.band
            if band is None or not coin.enabled or not self._may_sweep(coin):
                continue
            for address in self._sweepable(coin, band):
                if address not in busy:
                    busy.add(address)
                    self._sweep(coin, band, address)
            self._keep_in_band(coin, band, busy)
        return self._book.position > before

    def _may_sweep(self, coin: Coin) -> bool:
        """Return whether the signer would sign it: a denied sweep costs gas, and would be again."""
        if coin.token is None:
            return True
        needed = ((IntentKind.SWEEP, coin.token), (IntentKind.TOP_UP, None))
        if all(self._signer.allows(self._chain.id, *each) for each in needed):
            return True
        if coin.asset not in self._said:
            self._said.add(coin.asset)
            _log.warning("%s is not swept: the signer's policy has no rule for it", coin.token)
        return False

    def _busy(self) -> set[Address]:
        """Return senders with open payments, and addresses that gas is on its way to."""
        payments = [self._book.get(Payment, each) for each in self._book.open_payments]
        shared = (self._keys.hot, self._keys.gas)
        senders = {each.owner for each in payments if each.owner not in shared}
        topped_up = {each.intent.to for each in payments if each.intent.kind is IntentKind.TOP_UP}
        to_cold = {
            self._keys.hot for each in payments
            if each.owner == self._keys.hot and each.intent.kind is IntentKind.SWEEP
        }  # fmt: skip
        return senders | to_cold | {each for each in topped_up if each is not None}

    def _sweepable(self, coin: Coin, band: Band) -> list[Address]:
        """Return deposit addresses that hold enough, all of which is credited."""
        return [
            address
            for (address, token), held in self._book.held.items()
            if token == coin.token
            and held >= band.sweep_from
            and address in self._book.account_of
            and self._is_credited(coin, address)
        ]

    def _is_credited(self, coin: Coin, address: Address) -> bool:
        found = (self._book.get(Deposit, each) for each in self._book.deposits_at[address])
        return all(each.status in ("credited", "orphaned", "small")
                   for each in found if each.asset == coin.asset)  # fmt: skip

    def _sweep(self, coin: Coin, band: Band, address: Address) -> None:
        held = self._book.holding(address, coin.token)
        to = self._destination(coin, band, held)
        try:
            fee = FEE_ROOM * self._fee()
        except FeeAboveCap:
            return
        if coin.token is None:
            if held - fee >= band.sweep_from // 2:
                self._pay(IntentKind.SWEEP, coin, address, to, held - fee)
        elif self._book.holding(address, None) >= fee:
            self._pay(IntentKind.SWEEP, coin, address, to, held)
        else:
            gas = self._coins.of_token(None)
            if gas is not None:
                self._pay(IntentKind.TOP_UP, gas, self._keys.gas, address, 2 * fee)

    def _destination(self, coin: Coin, band: Band, amount: int) -> Address:
        """Return hot until it is full, then cold."""
        hot = self._book.holding(self._keys.hot, coin.token)
        return self._keys.hot if hot + amount <= band.high else self._keys.cold

    def _fee(self) -> int:
        return self._chain.estimate_fee(self._policy.fee).price * self._policy.top_up_gas

    def _pay(self, kind: IntentKind, coin: Coin, owner: Address, to: Address, amount: int) -> None:
        """Plan a payment of our own; its id is new as long as the one before is not made."""
        sender = self._book.owner(owner)
        payee = owner if owner in self._book.account_of else to
        count = sender.next_slot if sender else 0
        intent = Intent(
            id=IntentId(f"{kind.value}-{coin.asset}-{payee}-{count}"),
            kind=kind,
            chain=self._chain.id,
            to=to,
            token=coin.token,
            amount=amount,
        )
        if self._book.payment(intent.id) is None:
            self._book.save(Payment.plan(intent, owner, asset=coin.asset))

    def _keep_in_band(self, coin: Coin, band: Band, busy: set[Address]) -> None:
        """Send to cold what is too much in hot; ask for what is missing."""
        hot = self._keys.hot
        held = self._book.holding(hot, coin.token)
        record = self._book.chain_record
        if held > band.high and hot not in busy:
            busy.add(hot)
            self._pay(IntentKind.SWEEP, coin, hot, self._keys.cold, held - band.target)
        elif held < band.low and coin.asset not in record.refills:
            asking = self._book.copy(record)
            asking.request_refill(coin.asset, band.target - held)
            self._book.save(asking)
        elif held >= band.low and coin.asset in record.refills:
            arrived = self._book.copy(record)
            arrived.refill_arrived(coin.asset)
            self._book.save(arrived)
