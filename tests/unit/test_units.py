"""Decimal strings become whole units exactly, or not at all."""

import pytest
from hypothesis import given as drawn
from hypothesis import strategies as st

from domain.errors import (
    AmountTooLarge,
    BadDecimal,
    NotPositive,
    OffStep,
    Rejected,
    TooManyDecimals,
)
from domain.units import (
    UNITS_MAX,
    decimals_of,
    format_steps,
    format_units,
    parse_amount,
    parse_steps,
    parse_units,
)


@pytest.mark.parametrize(
    ("text", "decimals", "units"),
    [
        ("0", 8, 0),
        ("1", 8, 100_000_000),
        ("0.00000001", 8, 1),
        ("1.50", 1, 15),
        ("92233720368.54775807", 8, UNITS_MAX),
        ("7", 0, 7),
        ("7.000", 0, 7),
    ],
)
def test_a_plain_decimal_names_a_whole_number_of_units(
    text: str, decimals: int, units: int
) -> None:
    assert parse_units(text, decimals, field="amount") == units


@pytest.mark.parametrize(
    "text",
    ["", " ", "1 ", " 1", "+1", "-1", "-0", "01", "1.", ".5", "1e3", "1E3", "NaN", "nan", "inf",
     "Infinity", "0x10", "1_000", "1,5", "1.2.3", "１", "٣", "1\n", "0." + "0" * 19, "9" * 29],
)  # fmt: skip
def test_anything_else_is_not_a_plain_decimal(text: str) -> None:
    with pytest.raises(BadDecimal):
        parse_units(text, 8, field="amount")


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("0.000000001", TooManyDecimals),
        ("92233720368.54775808", AmountTooLarge),
        ("9" * 28, AmountTooLarge),
        ("0", NotPositive),
        ("0.000", NotPositive),
    ],
)
def test_an_amount_that_cannot_be_booked_is_refused(text: str, error: type[Rejected]) -> None:
    with pytest.raises(error):
        parse_amount(text, 8, field="amount")


def test_steps_count_ticks_and_lots() -> None:
    assert parse_steps("100.50", "0.25", field="price") == 402
    assert parse_steps("3", "0.5", field="quantity") == 6
    assert parse_steps("30", "10", field="quantity") == 3
    assert format_steps(402, "0.25") == "100.50"
    assert decimals_of("0.0100") == 2


@pytest.mark.parametrize("text", ["100.10", "0.1", "0.000000000000000001"])
def test_a_price_between_two_ticks_is_refused(text: str) -> None:
    with pytest.raises(OffStep):
        parse_steps(text, "0.25", field="price")


@drawn(units=st.integers(0, UNITS_MAX), decimals=st.integers(0, 18))
def test_formatting_and_parsing_lose_nothing(units: int, decimals: int) -> None:
    text = format_units(units, decimals)
    assert parse_units(text, decimals, field="amount") == units


@drawn(units=st.integers(), decimals=st.integers(0, 18))
def test_formatting_keeps_the_sign(units: int, decimals: int) -> None:
    text = format_units(units, decimals)
    assert int(text.replace(".", "")) == units
    assert text.startswith("-") == (units < 0)
