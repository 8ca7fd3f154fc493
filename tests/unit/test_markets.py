"""Listing assets, markets and accounts; halting and resuming."""

import pytest

from commands.list_asset import ListAsset
from commands.list_market import ListMarket
from commands.open_account import OpenAccount
from domain.errors import (
    AlreadyExists,
    BadDecimal,
    BadField,
    NotPositive,
    Rejected,
    TooManyDecimals,
    UnknownAsset,
    UnknownMarket,
)
from domain.events import (
    AccountOpened,
    AssetListed,
    MarketHalted,
    MarketListed,
    MarketResumed,
    MarketSetCancelOnly,
)
from tests.given import NOW_MS, event, given, set_status


def _market(**more: object) -> ListMarket:
    fields = {
        "market": "USDT-BTC", "base_asset": "USDT", "quote_asset": "BTC", "tick_size": "0.0001",
        "lot_size": "0.5", "min_notional": "0.01",
    } | more  # fmt: skip
    return ListMarket(time_ms=NOW_MS, **fields)  # type: ignore[arg-type]


def test_a_market_is_listed_with_its_steps_in_ledger_units() -> None:
    given().when(_market()).then(
        event(
            MarketListed, market="USDT-BTC", lot_units=50_000_000, tick_lot_units=5_000,
            min_notional=1_000_000, maker_fee_ppm=1_000, taker_fee_ppm=1_000,
        )
    )  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"market": "BTC-USDT"}, AlreadyExists),
        ({"market": "btcusdt"}, BadField),
        ({"base_asset": "XYZ"}, UnknownAsset),
        ({"quote_asset": "XYZ"}, UnknownAsset),
        ({"quote_asset": "USDT"}, BadField),
        ({"maker_fee_ppm": -1}, BadField),
        ({"taker_fee_ppm": 1_000_000}, BadField),
        ({"tick_size": "0"}, NotPositive),
        ({"tick_size": "1e3"}, BadDecimal),
        ({"lot_size": "-1"}, BadDecimal),
        ({"lot_size": "0.000000001"}, TooManyDecimals),
        ({"min_notional": "0.000000001"}, TooManyDecimals),
        ({"tick_size": "0.0000001", "lot_size": "0.01"}, BadField),
    ],
)
def test_a_bad_market_is_refused(fields: dict[str, object], error: type[Rejected]) -> None:
    given().when(_market(**fields)).refused(error)


def test_an_asset_is_listed_once() -> None:
    state = given()
    state.when(ListAsset(time_ms=NOW_MS, asset="ETH", decimals=18))
    state.then(event(AssetListed, asset="ETH", decimals=18))
    state.when(ListAsset(time_ms=NOW_MS, asset="ETH")).refused(AlreadyExists)
    state.when(ListAsset(time_ms=NOW_MS, asset="X", decimals=19)).refused(BadField)
    state.when(ListAsset(time_ms=NOW_MS, asset="X", decimals=-1)).refused(BadField)
    state.when(ListAsset(time_ms=NOW_MS, asset="eth")).refused(BadField)


def test_an_account_is_opened_once() -> None:
    state = given()
    state.when(OpenAccount(time_ms=NOW_MS, account="dora")).then(
        event(AccountOpened, account="dora")
    )
    state.when(OpenAccount(time_ms=NOW_MS, account="dora")).refused(AlreadyExists)
    state.when(OpenAccount(time_ms=NOW_MS, account="fees")).refused(AlreadyExists)
    state.when(OpenAccount(time_ms=NOW_MS, account="a b")).refused(BadField)
    state.when(OpenAccount(time_ms=NOW_MS, account="")).refused(BadField)


def test_a_market_is_halted_set_to_cancel_only_and_resumed() -> None:
    state = given()
    state.when(set_status("halted")).then(event(MarketHalted, reason="a test"))
    state.when(set_status("cancel_only")).then(event(MarketSetCancelOnly, reason="a test"))
    state.when(set_status("open")).then(event(MarketResumed))


@pytest.mark.parametrize("status", ["open", "cancel_only", "halted"])
def test_a_status_the_market_has_already_stays_quiet(status: str) -> None:
    state = given().when(set_status(status))
    state.when(set_status(status)).nothing()


def test_a_status_needs_a_known_market_and_a_known_word() -> None:
    given().when(set_status("closed")).refused(BadField)
    given().when(set_status("open", "NO-PE")).refused(UnknownMarket)
