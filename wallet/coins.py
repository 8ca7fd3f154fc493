"""Which assets of the exchange are what on a chain, and how their amounts convert.

A chain counts in base units (wei), the ledger in units of its asset. When the chain is finer, what
a deposit has below one ledger unit is not credited: it goes to the asset's dust, which is the
exchange's, is kept exactly and takes part in reconciliation. Withdrawals are whole ledger units.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from wallet.errors import BadRequest
from wallet.policy import Band
from wallet.types import Address, ChainId, Credit, TokenId


@dataclass(frozen=True, slots=True, kw_only=True)
class Coin:
    """An asset on a chain. token: None for the chain's own coin.

    decimals: of the base unit. ledger_decimals: of the ledger's. minimum: the least that a deposit
    is credited for, in base units; smaller ones wait until there is enough of them. review: whether
    each deposit waits for an operator, as is wise for a token that was just added. band: what the
    hot wallet holds; None: it is not swept. enabled: whether it may come and go.
    """

    asset: str
    token: TokenId | None
    decimals: int
    ledger_decimals: int
    minimum: int = 1
    credit: Credit = Credit.STRICT
    review: bool = False
    band: Band | None = None
    enabled: bool = True

    def to_ledger(self, amount: int) -> tuple[int, int]:
        """Return an amount in base units as ledger units, and what is left in base units."""
        if self.decimals >= self.ledger_decimals:
            return divmod(amount, _power(self.decimals - self.ledger_decimals))
        return amount * _power(self.ledger_decimals - self.decimals), 0

    def to_chain(self, units: int) -> int:
        """Return ledger units in base units. Raises: BadRequest: finer than the chain can pay."""
        if self.decimals >= self.ledger_decimals:
            return units * _power(self.decimals - self.ledger_decimals)
        amount, rest = divmod(units, _power(self.ledger_decimals - self.decimals))
        if rest:
            raise BadRequest(f"{self.asset} on this chain has {self.decimals} decimals")
        return amount


def _power(exponent: int) -> int:
    return int(10**exponent)


class Coins:
    """The assets of one chain. A token that is added later is known to all at once."""

    def __init__(self, chain: ChainId, coins: Iterable[Coin]) -> None:
        self.chain = chain
        self._by_asset: dict[str, Coin] = {}
        self._by_token: dict[str, Coin] = {}
        for coin in coins:
            self.add(coin)

    def __iter__(self) -> Iterator[Coin]:
        """Yield every coin, in the order they were added."""
        return iter(list(self._by_asset.values()))

    def add(self, coin: Coin) -> None:
        """Take an asset, or change how it is taken."""
        self._by_asset[coin.asset] = coin
        self._by_token[(coin.token or "").lower()] = coin

    def of_asset(self, asset: str) -> Coin | None:
        """Return what an asset is on this chain, if it is on it."""
        return self._by_asset.get(asset)

    def of_token(self, token: TokenId | None) -> Coin | None:
        """Return the asset that a token, or the chain's own coin, is."""
        return self._by_token.get((token or "").lower())


Holding = tuple[Address, TokenId | None]
"""Whose and what: the books keep an amount for each."""
