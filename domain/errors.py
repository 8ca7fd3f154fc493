"""Refusals: why a command was not accepted. Each has a stable code; nothing was recorded."""

from typing import ClassVar


class Rejected(Exception):
    """A command was refused and changed nothing. `code` never changes; `status` is for HTTP."""

    code: ClassVar[str] = "rejected"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "The command was refused"

    def __init__(self, detail: str = "") -> None:
        super().__init__(detail or self.title)
        self.detail = detail or self.title


class _Invalid(Rejected):
    status = 422


class _Unknown(Rejected):
    status = 404


class BadDecimal(_Invalid):
    code, title = "bad_decimal", "Not a plain decimal number"


class TooManyDecimals(_Invalid):
    code, title = "too_many_decimals", "More decimals than the asset has"


class NotPositive(_Invalid):
    code, title = "not_positive", "Must be greater than zero"


class AmountTooLarge(_Invalid):
    code, title = "amount_too_large", "The amount is larger than the exchange can book"


class OffStep(_Invalid):
    code, title = "off_step", "Not a multiple of the market's tick or lot"


class BelowMinimum(_Invalid):
    code, title = "below_minimum", "The order's value is below the market's minimum notional"


class BadField(_Invalid):
    code, title = "bad_field", "A field has a value that is not allowed"


class UnknownMarket(_Unknown):
    code, title = "unknown_market", "There is no such market"


class UnknownAsset(_Unknown):
    code, title = "unknown_asset", "There is no such asset"


class UnknownAccount(_Unknown):
    code, title = "unknown_account", "There is no such account"


class UnknownOrder(_Unknown):
    """Also for another account's order, so that ids cannot be probed."""

    code, title = "unknown_order", "The account has no such open order"


class UnknownWithdrawal(_Unknown):
    code, title = "unknown_withdrawal", "There is no such withdrawal"


class UnknownDeposit(_Unknown):
    code, title = "unknown_deposit", "There is no such deposit"


class AlreadyExists(Rejected):
    code, title = "already_exists", "It exists already"


class InsufficientFunds(Rejected):
    code, title = "insufficient_funds", "The free balance does not cover this"


class AccountInDebt(Rejected):
    """A reversed deposit was spent before it was reversed."""

    code, title = "account_in_debt", "The account owes what a reversed deposit had credited"


class MarketHaltedError(Rejected):
    code, title = "market_halted", "The market is halted"


class MarketCancelOnlyError(Rejected):
    code, title = "market_cancel_only", "The market takes cancels only"


class WouldTrade(Rejected):
    code, title = "would_trade", "A post-only order would trade at once"


class WouldNotFill(Rejected):
    code, title = "would_not_fill", "A fill-or-kill order cannot be filled whole"


class NoLiquidity(Rejected):
    code, title = "no_liquidity", "The book has nothing that a market order could trade with"


class TooManyOrders(Rejected):
    code, title = "too_many_orders", "The account has as many open orders as it may"


class DuplicateClientOrderId(Rejected):
    """The id is taken by an open order of the account with other contents."""

    code, title = "duplicate_client_order_id", "Another open order has this client order id"


class WrongState(Rejected):
    code, title = "wrong_state", "The withdrawal is not in a state that allows this"


class IdempotencyKeyReused(_Invalid):
    code, title = "idempotency_key_reused", "The idempotency key was used for another command"


def refusals() -> list[type[Rejected]]:
    """Return every kind of refusal that has a code of its own, in the order of this page."""
    found: list[type[Rejected]] = []
    pending: list[type[Rejected]] = [Rejected]
    while pending:
        kind = pending.pop(0)
        pending += kind.__subclasses__()
        if kind.code != Rejected.code:
            found.append(kind)
    return found


def rejection(code: str, detail: str) -> Rejected:
    """Return the refusal with this code, as it was given the first time."""
    for kind in refusals():
        if kind.code == code:
            return kind(detail)
    return Rejected(detail)
