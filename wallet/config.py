"""The file that says which assets are on a chain, and how careful custody is with them.

People write it, in TOML, with amounts as decimal text of the asset. Whatever is not in it is not
done: a chain that no file names is refused.
"""

import tomllib
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated

import msgspec

from wallet.coins import Coin, Coins
from wallet.policy import ANY, Band, ConfirmationRule, Policy
from wallet.types import Address, ChainId, Credit, FeePolicy, TokenId

Text = Annotated[str, msgspec.Meta(pattern=r"^[0-9]{1,60}(\.[0-9]{1,18})?$")]


class BadConfig(ValueError):
    """The file cannot be read, or contradicts itself."""


class _Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A part of the file. An unknown name in it is an error: it may be a misspelt limit."""


class AssetConfig(_Strict, frozen=True, kw_only=True):
    """An asset. token: its contract; missing for the chain's own coin. decimals: on the chain.

    minimum: the least that a deposit is credited for. hot_low, hot_target, hot_high: what the hot
    wallet holds. sweep_from: the least that is collected. review: each deposit waits for an
    operator. measured: the token may keep a fee, so only what arrived is believed.
    """

    asset: str
    token: str = ""
    decimals: int = 18
    ledger_decimals: int = 8
    minimum: Text = "0"
    hot_low: Text = "0"
    hot_target: Text
    hot_high: Text
    sweep_from: Text
    review: bool = False
    measured: bool = False


class ConfirmationConfig(_Strict, frozen=True, kw_only=True):
    """Deposits from this amount on wait for so many blocks; the first rule that fits holds."""

    asset: str = ANY
    at_least: Text = "0"
    blocks: Annotated[int, msgspec.Meta(ge=1)]


class Config(_Strict, frozen=True, kw_only=True):
    """One chain. fee_price_max, fee_max: wei, as text. start_height: followed from the next on."""

    chain: str
    assets: list[AssetConfig]
    confirmations: list[ConfirmationConfig]
    fee_price_max: Text
    fee_max: Text
    payment_confirmations: Annotated[int, msgspec.Meta(ge=1)] = 12
    approvals: Annotated[int, msgspec.Meta(ge=0)] = 1
    start_height: int | None = None

    @property
    def coins(self) -> Coins:
        """The assets. Raises: BadConfig."""
        return Coins(ChainId(self.chain), map(_coin, self.assets))

    @property
    def policy(self) -> Policy:
        """How careful. Raises: BadConfig."""
        decimals = {each.asset: each.decimals for each in self.assets}
        try:
            return Policy(
                rules=tuple(
                    ConfirmationRule(
                        asset=rule.asset,
                        at_least=base_units(rule.at_least, decimals.get(rule.asset, 0)),
                        confirmations=rule.blocks,
                    )
                    for rule in self.confirmations
                ),
                fee=FeePolicy(
                    price_max=base_units(self.fee_price_max, 0),
                    total_max=base_units(self.fee_max, 0),
                ),
                bands={each.asset: _band(each) for each in self.assets},
                payment_confirmations=self.payment_confirmations,
                approvals=self.approvals,
            )
        except ValueError as error:
            raise BadConfig(str(error)) from error


def load(path: Path) -> Config:
    """Return what a file says. Raises: BadConfig: it cannot be read, and what is wrong."""
    try:
        return parse(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise BadConfig(f"{path}: {error}") from error


def parse(text: str) -> Config:
    """Return what a text says. Raises: BadConfig."""
    try:
        config = msgspec.convert(tomllib.loads(text), Config)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise BadConfig(str(error)) from error
    if len({each.asset for each in config.assets}) != len(config.assets):
        raise BadConfig("an asset is there twice")
    _ = config.coins, config.policy
    return config


def base_units(text: str, decimals: int) -> int:
    """Return an amount in base units. Raises: BadConfig: finer than the asset is."""
    try:
        amount = Decimal(text).scaleb(decimals)
    except InvalidOperation as error:
        raise BadConfig(f"{text!r} is no amount") from error
    if amount != amount.to_integral_value():
        raise BadConfig(f"{text} has more than {decimals} decimals")
    return int(amount)


def _coin(given: AssetConfig) -> Coin:
    return Coin(
        asset=given.asset,
        token=TokenId(Address(given.token)) if given.token else None,
        decimals=given.decimals,
        ledger_decimals=given.ledger_decimals,
        minimum=max(1, base_units(given.minimum, given.decimals)),
        credit=Credit.MEASURED if given.measured else Credit.STRICT,
        review=given.review,
    )


def _band(given: AssetConfig) -> Band:
    return Band(
        low=base_units(given.hot_low, given.decimals),
        target=base_units(given.hot_target, given.decimals),
        high=base_units(given.hot_high, given.decimals),
        sweep_from=base_units(given.sweep_from, given.decimals),
    )
