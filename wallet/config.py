"""The file that says which assets are on a chain, and how careful custody is with them.

People write it, in TOML, with amounts as decimal text of the asset. Whatever is not in it is not
done: a chain that no file names is refused.
"""

import re
import tomllib
from decimal import Decimal, localcontext
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec

from wallet.coins import Coin, Coins
from wallet.policy import ANY, Band, ConfirmationRule, Policy
from wallet.types import ChainId, FeePolicy

PATTERN: Final = r"^[0-9]{1,60}(\.[0-9]{1,18})?$"
DIGITS_MAX: Final = 100
"""More than any amount has, so that nothing is rounded."""
_AMOUNT: Final = re.compile(PATTERN, re.ASCII)

Text = Annotated[str, msgspec.Meta(pattern=PATTERN)]


class BadConfig(ValueError):
    """The file cannot be read, or contradicts itself."""


class _Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A part of the file. An unknown name in it is an error: it may be a misspelt limit."""


class AssetConfig(_Strict, frozen=True, kw_only=True):
    """The chain's own coin. decimals: on the chain.

    minimum: the least that a deposit is credited for. hot_low, hot_target, hot_high: what the hot
    wallet holds. sweep_from: the least that is collected. review: each deposit waits for an
    operator.
    """

    asset: str
    decimals: int = 18
    ledger_decimals: int = 8
    minimum: Text = "0"
    hot_low: Text = "0"
    hot_target: Text
    hot_high: Text
    sweep_from: Text
    review: bool = False


class ConfirmationConfig(_Strict, frozen=True, kw_only=True):
    """Deposits from this amount on wait for so many blocks; the first rule that fits holds.

    asset: also of a token; `*` is any. at_least: of the asset, such as 1.5 ether.
    """

    asset: str = ANY
    at_least: Text = "0"
    blocks: Annotated[int, msgspec.Meta(ge=1)]


class Config(_Strict, frozen=True, kw_only=True):
    """One chain. fee_price_max, fee_max: wei, as text. start_height: followed from the next on.

    reconcile_every_s: how often books, chain and ledger are compared while custody runs.
    """

    chain: str
    assets: list[AssetConfig]
    confirmations: list[ConfirmationConfig]
    fee_price_max: Text
    fee_max: Text
    payment_confirmations: Annotated[int, msgspec.Meta(ge=1)] = 12
    approvals: Annotated[int, msgspec.Meta(ge=0)] = 1
    start_height: int | None = None
    reconcile_every_s: Annotated[int, msgspec.Meta(ge=1)] = 3600

    @property
    def coins(self) -> Coins:
        """The assets. Raises: BadConfig."""
        try:
            return Coins(ChainId(self.chain), map(_coin, self.assets))
        except ValueError as error:
            raise BadConfig(str(error)) from error

    @property
    def policy(self) -> Policy:
        """How careful. Raises: BadConfig."""
        try:
            return Policy(
                rules=tuple(
                    ConfirmationRule(
                        asset=rule.asset,
                        at_least=Decimal(rule.at_least),
                        confirmations=rule.blocks,
                    )
                    for rule in self.confirmations
                ),
                fee=FeePolicy(
                    price_max=base_units(self.fee_price_max, 0),
                    total_max=base_units(self.fee_max, 0),
                ),
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
        found = tomllib.loads(text)
        _refuse_tokens(found)
        config = msgspec.convert(found, Config)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise BadConfig(str(error)) from error
    if len(config.assets) != 1:
        raise BadConfig("one of [[assets]] is needed: the chain's own coin")
    _ = config.coins, config.policy
    return config


def _refuse_tokens(found: dict[str, Any]) -> None:
    """Tokens were listed here once. Raises: BadConfig: how they are registered now."""
    assets = found.get("assets")
    for asset in assets if isinstance(assets, list) else []:
        if isinstance(asset, dict) and "token" in asset:
            raise BadConfig(
                f"{asset.get('asset')}: tokens are not listed in this file: take it out, and"
                f" register it with `foldex wallet token add {asset['token']} ...`"
            )


def base_units(text: str, decimals: int) -> int:
    """Return an amount in base units. Raises: BadConfig: finer than the asset is."""
    if _AMOUNT.fullmatch(text) is None:
        raise BadConfig(f"{text[:40]!r} is no amount")
    with localcontext(prec=DIGITS_MAX):
        amount = Decimal(text).scaleb(decimals)
    if amount != amount.to_integral_value():
        raise BadConfig(f"{text} has more than {decimals} decimals")
    return int(amount)


def _coin(given: AssetConfig) -> Coin:
    return Coin(
        asset=given.asset,
        token=None,
        decimals=given.decimals,
        ledger_decimals=given.ledger_decimals,
        minimum=max(1, base_units(given.minimum, given.decimals)),
        review=given.review,
        band=_band(given),
    )


def _band(given: AssetConfig) -> Band:
    return Band(
        low=base_units(given.hot_low, given.decimals),
        target=base_units(given.hot_target, given.decimals),
        high=base_units(given.hot_high, given.decimals),
        sweep_from=base_units(given.sweep_from, given.decimals),
    )
