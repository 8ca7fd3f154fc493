"""Money as integers: exact conversion between decimal strings and ledger units, ticks and lots.

Nothing here rounds: a decimal string either names a whole number of units or is refused.
"""

import re
from functools import lru_cache
from typing import Final, Literal

from domain.errors import (
    AmountTooLarge,
    BadDecimal,
    NotPositive,
    OffStep,
    TooManyDecimals,
)

Side = Literal["buy", "sell"]
BUY: Final = "buy"
SELL: Final = "sell"

UNITS_MAX: Final = 2**63 - 1
"""The largest amount of one order, deposit or withdrawal; balances have no bound."""
DECIMALS_MAX: Final = 18
PPM: Final = 1_000_000
"""Fee rates are parts per million: 1000 ppm = 0.1 %."""

_DECIMAL = re.compile(r"(0|[1-9][0-9]{0,27})(?:\.([0-9]{1,18}))?", re.ASCII)


def parse_units(text: str, decimals: int, *, field: str) -> int:
    """Return the amount that a decimal string names, in units of 10 ** -decimals; zero is allowed.

    Raises: BadDecimal: not a plain decimal (no sign, exponent, NaN, blanks or other digits);
    TooManyDecimals: finer than the unit; AmountTooLarge: above UNITS_MAX units.
    """
    match = _DECIMAL.fullmatch(text)
    if match is None:
        raise BadDecimal(f"{field}: {text[:40]!r} is not a plain decimal number")
    whole, fraction = match.groups(default="")
    fraction = fraction.rstrip("0")
    if len(fraction) > decimals:
        raise TooManyDecimals(f"{field}: at most {decimals} decimals")
    units = int(whole + fraction.ljust(decimals, "0"))
    if units > UNITS_MAX:
        raise AmountTooLarge(f"{field}: too large")
    return units


def parse_amount(text: str, decimals: int, *, field: str) -> int:
    """Return a positive amount in ledger units. Raises: as `parse_units`; NotPositive: zero."""
    units = parse_units(text, decimals, field=field)
    if units == 0:
        raise NotPositive(f"{field}: must be greater than zero")
    return units


def parse_steps(text: str, step: str, *, field: str) -> int:
    """Return how many times `step` (a positive decimal string) goes into a positive decimal.

    Ticks of a price, or lots of a quantity.
    Raises: as `parse_amount`; OffStep: not a whole number of steps.
    """
    decimals, step_units = _step_units(step)
    finer = max(0, decimals_of(text) - decimals)
    amount = parse_amount(text, decimals + finer, field=field)
    steps, rest = divmod(amount, int(step_units * 10**finer) if finer else step_units)
    if rest:
        raise OffStep(f"{field}: must be a multiple of {step}")
    return steps


def decimals_of(text: str) -> int:
    """Return how many decimals a decimal string really uses: '0.0100' uses 2."""
    return len(text.partition(".")[2].rstrip("0"))


def format_units(units: int, decimals: int) -> str:
    """Return ledger units as a plain decimal string with exactly `decimals` decimals."""
    if decimals == 0:
        return str(units)
    sign, digits = ("-", str(-units)) if units < 0 else ("", str(units))
    digits = digits.rjust(decimals + 1, "0")
    return f"{sign}{digits[:-decimals]}.{digits[-decimals:]}"


def format_steps(steps: int, step: str) -> str:
    """Return `steps` times `step` as a decimal string with the decimals the step uses."""
    decimals, step_units = _step_units(step)
    return format_units(steps * step_units, decimals)


@lru_cache(maxsize=1_024)
def _step_units(step: str) -> tuple[int, int]:
    """Return a step's decimals, and the step in units of those; each order has the same few."""
    decimals = decimals_of(step)
    return decimals, parse_units(step, decimals, field="step")
