"""The tokens that custody takes on a chain, since when, and on what terms."""

from dataclasses import dataclass, replace
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from eventsourcing.domain import Aggregate

from wallet.coins import Coin
from wallet.policy import Band
from wallet.types import ChainId, Credit, TokenId


def token_list_id(chain: ChainId) -> UUID:
    """Return the id of a chain's list: one, so that two tokens never become one asset at once."""
    return uuid5(NAMESPACE_URL, f"foldex:tokens:{chain}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How a token is taken, in base units of the token.

    minimum: the least that a deposit is credited for. band: what the hot wallet holds; None: its
    deposits stay where they came. review: each deposit waits for an operator. measured: the token
    may keep a fee, so only what arrived is believed.
    """

    minimum: int
    band: Band | None
    review: bool
    measured: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredToken:
    """One token. watched_after: the block after which each one was scanned for it; None: not yet.

    disabled: why its deposits and withdrawals stand still; empty when they do not. decimals_untold:
    the contract tells none, so they are an operator's word.
    """

    contract: TokenId
    asset: str
    decimals: int
    ledger_decimals: int
    terms: Terms
    watched_after: int | None = None
    disabled: str = ""
    decimals_untold: bool = False

    @property
    def coin(self) -> Coin:
        """What the asset is on the chain."""
        return Coin(
            asset=self.asset,
            token=self.contract,
            decimals=self.decimals,
            ledger_decimals=self.ledger_decimals,
            minimum=self.terms.minimum,
            credit=Credit.MEASURED if self.terms.measured else Credit.STRICT,
            review=self.terms.review,
            band=self.terms.band,
            enabled=not self.disabled,
        )


class TokenList(Aggregate):
    """tokens: by contract in lower case, in the order they were registered."""

    TOPIC = "token_list"

    class Created(Aggregate.Created):
        TOPIC = "token_list_opened.v1"
        chain: str

    class Registered(Aggregate.Event):
        """A token is taken from now on. Its decimals were read from the chain, unless untold.

        Amounts are base units; sweep_from: 0 where nothing is collected.
        """

        TOPIC = "token_registered.v1"
        contract: str
        asset: str
        decimals: int
        ledger_decimals: int
        minimum: int
        hot_low: int
        hot_target: int
        hot_high: int
        sweep_from: int
        review: bool
        measured: bool
        registered_by: str
        decimals_untold: bool = False

        def apply(self, aggregate: Any) -> None:
            aggregate.tokens[self.contract.lower()] = RegisteredToken(
                contract=TokenId(self.contract),
                asset=self.asset,
                decimals=self.decimals,
                ledger_decimals=self.ledger_decimals,
                terms=_terms(self),
                decimals_untold=self.decimals_untold,
            )

    class TermsChanged(Aggregate.Event):
        """A token is taken on other terms from now on. Amounts as in Registered."""

        TOPIC = "token_terms_changed.v1"
        contract: str
        minimum: int
        hot_low: int
        hot_target: int
        hot_high: int
        sweep_from: int
        review: bool
        measured: bool
        changed_by: str

        def apply(self, aggregate: Any) -> None:
            _change(aggregate, self.contract, terms=_terms(self))

    class Watched(Aggregate.Event):
        """Every block after this height is scanned for the token, too."""

        TOPIC = "token_watched.v1"
        contract: str
        height: int

        def apply(self, aggregate: Any) -> None:
            _change(aggregate, self.contract, watched_after=self.height)

    class Disabled(Aggregate.Event):
        """Its deposits go to quarantine and its withdrawals are refused."""

        TOPIC = "token_disabled.v1"
        contract: str
        reason: str
        disabled_by: str

        def apply(self, aggregate: Any) -> None:
            _change(aggregate, self.contract, disabled=self.reason)

    class Enabled(Aggregate.Event):
        """It comes and goes again."""

        TOPIC = "token_enabled.v1"
        contract: str
        enabled_by: str

        def apply(self, aggregate: Any) -> None:
            _change(aggregate, self.contract, disabled="")

    def __init__(self, chain: str) -> None:
        self.chain = ChainId(chain)
        self.tokens: dict[str, RegisteredToken] = {}

    @classmethod
    def open(cls, chain: ChainId) -> "TokenList":
        """Return an empty list."""
        return cls._create(cls.Created, id=token_list_id(chain), chain=chain)

    def find(self, contract: str) -> RegisteredToken | None:
        """Return a token, whatever the case of its contract's letters."""
        return self.tokens.get(contract.lower())

    def of_asset(self, asset: str) -> RegisteredToken | None:
        """Return the token that an asset is."""
        return next((each for each in self.tokens.values() if each.asset == asset), None)

    def register(self, token: RegisteredToken, registered_by: str) -> None:
        """Take a token from now on."""
        self.trigger_event(
            self.Registered,
            contract=token.contract,
            asset=token.asset,
            decimals=token.decimals,
            ledger_decimals=token.ledger_decimals,
            registered_by=registered_by,
            decimals_untold=token.decimals_untold,
            **_stored(token.terms),
        )

    def change_terms(self, contract: TokenId, terms: Terms, changed_by: str) -> None:
        """Take it on these terms; the same ones change nothing."""
        if self.tokens[contract.lower()].terms != terms:
            self.trigger_event(
                self.TermsChanged, contract=contract, changed_by=changed_by, **_stored(terms)
            )

    def watch(self, contract: TokenId, height: int) -> None:
        """Record that it is scanned for after this height."""
        self.trigger_event(self.Watched, contract=contract, height=height)

    def disable(self, contract: TokenId, reason: str, disabled_by: str) -> None:
        """Let its deposits and withdrawals stand still. Disabled already: the reason stays."""
        if not self.tokens[contract.lower()].disabled:
            self.trigger_event(
                self.Disabled, contract=contract, reason=reason, disabled_by=disabled_by
            )

    def enable(self, contract: TokenId, enabled_by: str) -> None:
        """Let it come and go again."""
        if self.tokens[contract.lower()].disabled:
            self.trigger_event(self.Enabled, contract=contract, enabled_by=enabled_by)


def _change(aggregate: TokenList, contract: str, **changes: Any) -> None:
    key = contract.lower()
    aggregate.tokens[key] = replace(aggregate.tokens[key], **changes)


def _stored(terms: Terms) -> dict[str, Any]:
    band = terms.band
    return {
        "minimum": terms.minimum,
        "hot_low": band.low if band else 0,
        "hot_target": band.target if band else 0,
        "hot_high": band.high if band else 0,
        "sweep_from": band.sweep_from if band else 0,
        "review": terms.review,
        "measured": terms.measured,
    }


def _terms(event: Any) -> Terms:
    band = None
    if event.sweep_from:
        band = Band(
            low=event.hot_low,
            target=event.hot_target,
            high=event.hot_high,
            sweep_from=event.sweep_from,
        )
    return Terms(minimum=event.minimum, band=band, review=event.review, measured=event.measured)
