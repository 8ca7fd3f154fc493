"""What every command has, and the checks that commands share."""

import re
from typing import Final

import msgspec

from domain.errors import BadField, UnknownAccount, UnknownAsset, UnknownMarket, UnknownOrder
from domain.exchange import Exchange
from domain.ledger import FEES, Account, Asset
from domain.market import Market
from domain.order_book import Order

NAME_LENGTH_MAX: Final = 64
TEXT_LENGTH_MAX: Final = 256

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}", re.ASCII)
_CODE = re.compile(r"[A-Z0-9]{1,16}", re.ASCII)
_SYMBOL = re.compile(r"[A-Z0-9]{1,16}-[A-Z0-9]{1,16}", re.ASCII)


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """A wish. time_ms: when it reached the exchange, ms UTC, by the caller's clock.

    idempotency_key: sending the same command again with the same key, within 24 hours, has no
    further effect and gets the first answer; scope: whose key it is.
    """

    time_ms: int
    scope: str = ""
    idempotency_key: str = ""


def event_time_ms(exchange: Exchange, command: Command) -> int:
    """Return the time of the command's events: event time never goes back."""
    return command.time_ms if command.time_ms > exchange.time_ms else exchange.time_ms


def require_account(exchange: Exchange, account_id: str) -> Account:
    """Raises: UnknownAccount: also for the exchange's own fee account, which cannot act."""
    account = exchange.accounts.get(account_id)
    if account is None or account_id == FEES:
        raise UnknownAccount(f"There is no account {account_id[:NAME_LENGTH_MAX]!r}")
    return account


def require_asset(exchange: Exchange, code: str) -> Asset:
    """Raises: UnknownAsset."""
    asset = exchange.assets.get(code)
    if asset is None:
        raise UnknownAsset(f"There is no asset {code[:NAME_LENGTH_MAX]!r}")
    return asset


def require_market(exchange: Exchange, symbol: str) -> Market:
    """Raises: UnknownMarket."""
    market = exchange.markets.get(symbol)
    if market is None:
        raise UnknownMarket(f"There is no market {symbol[:NAME_LENGTH_MAX]!r}")
    return market


def require_order(account: Account, order_id: int, client_order_id: str) -> Order:
    """Return the account's open order with this id, or with this client order id.

    Raises: UnknownOrder: none such, closed, or another account's; BadField: not exactly one id.
    """
    if order_id and not client_order_id:
        order = account.open_orders.get(order_id)
    elif client_order_id and not order_id:
        order = account.client_orders.get(client_order_id)
    else:
        raise BadField("Give either order_id or client_order_id")
    if order is None:
        raise UnknownOrder
    return order


def require_name(text: str, *, field: str) -> None:
    """Raises: BadField: not 1 to 64 letters, digits or `_ . : -`, a letter or digit first."""
    if _NAME.fullmatch(text) is None:
        raise BadField(f"{field}: 1 to {NAME_LENGTH_MAX} of A-Z a-z 0-9 _ . : -")


def require_code(text: str, *, field: str) -> None:
    """Raises: BadField: not an asset code such as BTC."""
    if _CODE.fullmatch(text) is None:
        raise BadField(f"{field}: 1 to 16 of A-Z 0-9")


def require_symbol(text: str, *, field: str) -> None:
    """Raises: BadField: not a market symbol such as BTC-USDT."""
    if _SYMBOL.fullmatch(text) is None:
        raise BadField(f"{field}: a symbol such as BTC-USDT")


def require_text(text: str, *, field: str, required: bool = False) -> None:
    """Raises: BadField: too long, not printable, or empty though required."""
    if (required and not text) or len(text) > TEXT_LENGTH_MAX or not text.isprintable():
        raise BadField(f"{field}: printable text of up to {TEXT_LENGTH_MAX} characters")
