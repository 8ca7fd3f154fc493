"""Decides which tokens custody takes: what an operator says must be what the chain says.

A token is its contract. Its name and symbol are not even read: anyone can copy them.
"""

from typing import Final

import msgspec

from domain.units import DECIMALS_MAX
from wallet.book import Book
from wallet.chain import Chain
from wallet.coins import Coins
from wallet.config import BadConfig, base_units
from wallet.errors import (
    BadRequest,
    TokenConflict,
    TokenMismatch,
    UnknownAsset,
    UnknownToken,
)
from wallet.policy import Band
from wallet.ports import Exchange
from wallet.records.token_list import RegisteredToken, Terms, TokenList
from wallet.types import TokenId

REASON_CHARS_MAX: Final = 256


class TokenRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What an operator says of a token. Amounts: decimal text, of whole tokens.

    decimals: as the operator knows them; the contract must say the same. decimals_untold: the
    operator knows that the contract tells none, so that those given are believed. minimum: the
    least that a deposit is credited for. hot_low, hot_target, hot_high, sweep_from: see
    `wallet.policy.Band`; sweep_from "0": its deposits are not collected.
    """

    contract: str
    asset: str
    decimals: int
    decimals_untold: bool = False
    minimum: str = "0"
    hot_low: str = "0"
    hot_target: str = "0"
    hot_high: str = "0"
    sweep_from: str = "0"
    review: bool = True
    measured: bool = True


class Tokens:
    """One chain's."""

    def __init__(self, *, chain: Chain, book: Book, coins: Coins, exchange: Exchange) -> None:
        self._chain = chain
        self._book = book
        self._coins = coins
        self._exchange = exchange

    def register(self, request: TokenRequest, registered_by: str) -> RegisteredToken:
        """Take a token from now on, or take a known one on other terms; return it.

        Checked in this order. Raises: BadRequest: the chain has no tokens, or a field makes no
        sense; BadAddress; TokenConflict: the contract or the asset is taken; UnknownAsset: the
        exchange does not list it; UnknownContract: there is no code at the address; TokenMismatch:
        the contract says other decimals, or none and that was not known. RecordChanged: try again.
        NodeUnavailable.
        """
        contract = self._contract(request.contract)
        if not 0 <= request.decimals <= DECIMALS_MAX:
            raise BadRequest(f"decimals: the exchange holds assets of 0 to {DECIMALS_MAX}")
        self._check_free(contract, request.asset)
        ledger_decimals = self._exchange.decimals(request.asset)
        if ledger_decimals is None:
            raise UnknownAsset(f"the exchange does not list {request.asset}: list it first")
        untold = self._check_decimals(contract, request)
        token = RegisteredToken(
            contract=contract,
            asset=request.asset,
            decimals=request.decimals,
            decimals_untold=untold,
            ledger_decimals=ledger_decimals,
            terms=_terms(request, ledger_decimals),
        )
        self._save(token, registered_by)
        return self.get(contract)

    def disable(self, contract: str, reason: str, disabled_by: str) -> RegisteredToken:
        """Let deposits of a token go to quarantine and refuse its withdrawals; return it.

        Raises: UnknownToken, BadAddress; BadRequest: there is no reason. RecordChanged.
        """
        token = self.get(contract)
        if not 0 < len(reason) <= REASON_CHARS_MAX:
            raise BadRequest(f"a reason has 1 to {REASON_CHARS_MAX} characters")
        changed = self._list()
        changed.disable(token.contract, reason, disabled_by)
        self._book.save(changed)
        return self.get(contract)

    def enable(self, contract: str, enabled_by: str) -> RegisteredToken:
        """Let a token come and go again; return it. Raises: as `disable`."""
        token = self.get(contract)
        changed = self._list()
        changed.enable(token.contract, enabled_by)
        self._book.save(changed)
        return self.get(contract)

    def get(self, contract: str) -> RegisteredToken:
        """Return a token. Raises: UnknownToken, BadAddress."""
        address = self._contract(contract)
        found = self._book.token_list
        token = found.find(address) if found else None
        if token is None:
            raise UnknownToken(f"{address} is not registered")
        return token

    def _contract(self, text: str) -> TokenId:
        if not self._chain.capabilities.tokens:
            raise BadRequest(f"{self._chain.id} has no tokens")
        return TokenId(self._chain.validate_address(text))

    def _check_decimals(self, contract: TokenId, request: TokenRequest) -> bool:
        """Return whether the contract tells no decimals, as the operator knows."""
        found = self._chain.token_decimals(contract)
        if found is None and not request.decimals_untold:
            raise TokenMismatch(
                f"{contract} tells no decimals: give those that it means, and say `decimals_untold`"
            )
        listed = self._book.token_list
        known = listed.find(contract) if listed else None
        decimals = known.decimals if found is None and known else found
        if decimals not in (None, request.decimals):
            raise TokenMismatch(f"{contract} has {decimals} decimals, not {request.decimals}")
        return found is None

    def _check_free(self, contract: TokenId, asset: str) -> None:
        found = self._book.token_list
        known = found.find(contract) if found else None
        if known is not None and known.asset != asset:
            raise TokenConflict(f"{contract} is {known.asset} already")
        coin = self._coins.of_asset(asset)
        if coin is not None and known is None:
            what = coin.token or "the chain's own coin"
            raise TokenConflict(f"{asset} is {what} already")

    def _save(self, token: RegisteredToken, by: str) -> None:
        changed = self._list()
        if changed.find(token.contract) is None:
            changed.register(token, by)
        else:
            changed.change_terms(token.contract, token.terms, by)
        self._book.save(changed)

    def _list(self) -> TokenList:
        found = self._book.token_list
        return TokenList.open(self._book.chain) if found is None else self._book.copy(found)


def _terms(request: TokenRequest, ledger_decimals: int) -> Terms:
    """Return the terms in base units. A deposit is credited for one ledger unit at least."""

    def units(text: str) -> int:
        return base_units(text, request.decimals)

    ledger_unit: int = 10 ** max(0, request.decimals - ledger_decimals)
    try:
        sweep_from = units(request.sweep_from)
        band = Band(
            low=units(request.hot_low),
            target=units(request.hot_target),
            high=units(request.hot_high),
            sweep_from=max(1, sweep_from),
        )
        minimum = max(ledger_unit, units(request.minimum))
    except (BadConfig, ValueError) as error:
        raise BadRequest(f"the token's limits: {error}") from error
    return Terms(
        minimum=minimum,
        band=band if sweep_from else None,
        review=request.review,
        measured=request.measured,
    )
