"""What people ask of custody about tokens: take one, list, stop, look for what came before.

The command line, HTTP and Kafka all come here. It only adds to the books, in any process.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Final, Protocol, TypeVar

import msgspec

from domain.units import format_units
from wallet.errors import SignerUnavailable, TokenDisabled
from wallet.records.rescan import Rescan
from wallet.records.token_list import RegisteredToken
from wallet.service import Custody
from wallet.tokens import TokenRequest
from wallet.types import IntentKind

SIGNED: Final = (IntentKind.WITHDRAWAL, IntentKind.SWEEP, IntentKind.TOP_UP)
"""What custody does with a token, if the signer's policy allows it; a top-up is of coins."""

Answer = TypeVar("Answer")


class Change(Protocol):
    """How the books are changed; of `Desk`."""

    def __call__(self, change: Callable[[], Answer]) -> Answer:
        """Change the books, again when another process was faster. Raises: what `change` does."""


class TokenView(msgspec.Struct, frozen=True, kw_only=True):
    """A registered token. Amounts: of whole tokens, as text.

    decimals_untold: the contract tells none: they are an operator's word. watched_after: each block
    after this height is scanned for it; None until custody knows of it. disabled: why it neither
    comes nor goes; empty when it does. allowed: the kinds of payments that the signer's own policy
    has a rule for; all others are denied; None: the signer did not answer.
    """

    chain: str
    contract: str
    asset: str
    decimals: int
    decimals_untold: bool
    minimum: str
    hot_low: str
    hot_target: str
    hot_high: str
    sweep_from: str
    review: bool
    measured: bool
    watched_after: int | None
    disabled: str
    allowed: list[str] | None


class RescanView(msgspec.Struct, frozen=True, kw_only=True):
    """A rescan. status: running, done or failed. next: the height that is looked at next.

    last: None until it begins, when none was asked for: then, the last block followed. found:
    deposits that were not known before. reason: why it failed.
    """

    chain: str
    name: str
    first: int
    last: int | None
    next: int
    found: int
    status: str
    reason: str


class TokenDesk:
    """One chain's. Threads may share it."""

    def __init__(
        self,
        custody: Custody,
        *,
        change: Change,
        up_to_date: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self._custody = custody
        self._change = change
        self._up_to_date = up_to_date

    def add(self, request: TokenRequest, by: str) -> TokenView:
        """Take a token, or a known one on other terms. Raises: as `Tokens.register`."""
        return self._view(self._change(lambda: self._custody.tokens.register(request, by)))

    def disable(self, contract: str, reason: str, by: str) -> TokenView:
        """Stop a token's deposits and withdrawals. Raises: UnknownToken, BadAddress, BadRequest."""
        tokens = self._custody.tokens
        return self._view(self._change(lambda: tokens.disable(contract, reason, by)))

    def enable(self, contract: str, by: str) -> TokenView:
        """Let a token come and go again. Raises: UnknownToken, BadAddress."""
        return self._view(self._change(lambda: self._custody.tokens.enable(contract, by)))

    def all(self) -> list[TokenView]:
        """Return every token, in the order they were registered."""
        with self._up_to_date():
            found = self._custody.book.tokens
        return [self._view(each) for each in found]

    def check_enabled(self, asset: str) -> None:
        """Raise TokenDisabled when the asset is a token that is disabled."""
        with self._up_to_date():
            found = self._custody.book.token_list
        token = found.of_asset(asset) if found else None
        if token is not None and token.disabled:
            raise TokenDisabled(f"{asset} is disabled: {token.disabled}")

    def rescan(self, name: str, first: int, last: int | None, by: str) -> RescanView:
        """Have blocks looked at again; the name names it for ever. Raises: as `Rescans.request`."""
        rescans = self._custody.rescans
        return self._rescan(self._change(lambda: rescans.request(name, first, last, by)))

    def rescans(self) -> list[RescanView]:
        """Return every rescan, in the order they were asked for."""
        with self._up_to_date():
            records = self._custody.book.records.values()
            return [self._rescan(each) for each in records if isinstance(each, Rescan)]

    def _view(self, token: RegisteredToken) -> TokenView:
        terms, band = token.terms, token.terms.band

        def text(amount: int) -> str:
            return format_units(amount, token.decimals)

        return TokenView(
            chain=self._custody.chain.id,
            contract=token.contract,
            asset=token.asset,
            decimals=token.decimals,
            decimals_untold=token.decimals_untold,
            minimum=text(terms.minimum),
            hot_low=text(band.low if band else 0),
            hot_target=text(band.target if band else 0),
            hot_high=text(band.high if band else 0),
            sweep_from=text(band.sweep_from if band else 0),
            review=terms.review,
            measured=terms.measured,
            watched_after=token.watched_after,
            disabled=token.disabled,
            allowed=self._allowed(token),
        )

    def _allowed(self, token: RegisteredToken) -> list[str] | None:
        chain, signer = self._custody.chain.id, self._custody.signer
        try:
            return [
                kind.value
                for kind in SIGNED
                if signer.allows(chain, kind, None if kind is IntentKind.TOP_UP else token.contract)
            ]
        except SignerUnavailable:
            return None

    def _rescan(self, rescan: Rescan) -> RescanView:
        return RescanView(
            chain=rescan.chain,
            name=rescan.name,
            first=rescan.first,
            last=rescan.last,
            next=rescan.next,
            found=rescan.found,
            status=rescan.status,
            reason=rescan.reason,
        )
