"""The view of assets and markets: what is listed, in which units, and what trades where."""

from collections.abc import Iterable
from typing import ClassVar, Final, Literal

import msgspec

from domain.events import (
    AssetListed,
    Event,
    MarketHalted,
    MarketListed,
    MarketResumed,
    MarketSetCancelOnly,
)
from domain.units import format_steps, format_units
from projections.database import Insert, Reading, Upsert, Write
from projections.page import where
from projections.projection import Handler
from projections.table import Table

MarketStatus = Literal["open", "cancel_only", "halted"]

_ASSETS = Table("assets", "asset TEXT, decimals INTEGER", key="asset")
_MARKETS = Table(
    "markets",
    "listed_ms INTEGER, market TEXT, base_asset TEXT, quote_asset TEXT, tick_size TEXT,"
    " lot_size TEXT, lot_units INTEGER, tick_lot_units INTEGER, min_notional INTEGER,"
    " maker_fee_ppm INTEGER, taker_fee_ppm INTEGER, status TEXT, reason TEXT",
    key="market",
)


class Catalogue:
    """Assets and markets, kept in memory too: the other views need their units and assets."""

    TABLES: ClassVar = [_ASSETS, _MARKETS]

    def __init__(self) -> None:
        self.decimals: dict[str, int] = {}
        self.markets: dict[str, MarketListed] = {}
        self._status: dict[str, tuple[MarketStatus, str]] = {}
        self._listed: list[AssetListed] = []
        self._changed: set[str] = set()

    @classmethod
    def load(cls, db: Reading) -> "Catalogue":
        """Return the catalogue as the database has it."""
        catalogue = cls()
        for asset, decimals in db.rows("SELECT * FROM assets"):
            catalogue.decimals[asset] = decimals
        for *fields, status, reason in db.rows("SELECT * FROM markets"):
            listed = MarketListed(*fields)
            catalogue.markets[listed.market] = listed
            catalogue._status[listed.market] = status, reason
        return catalogue

    def handlers(self) -> dict[type[Event], Handler]:
        return {
            AssetListed: self._asset_listed,
            MarketListed: self._market_listed,
            MarketHalted: lambda _, event: self._set(event.market, "halted", event.reason),
            MarketSetCancelOnly: lambda _, event: self._set(
                event.market, "cancel_only", event.reason
            ),
            MarketResumed: lambda _, event: self._set(event.market, "open", ""),
        }

    def writes(self) -> list[Write]:
        assets = [(event.asset, event.decimals) for event in self._listed]
        markets = [
            (*msgspec.structs.astuple(self.markets[market]), *self._status[market])
            for market in sorted(self._changed)
        ]
        self._listed.clear()
        self._changed.clear()
        return [Insert(_ASSETS, assets), Upsert(_MARKETS, markets)]

    def amount(self, asset: str, units: int) -> str:
        """Return an amount of ledger units as a decimal string."""
        return format_units(units, self.decimals[asset])

    def price(self, market: str, ticks: int) -> str:
        """Return a price as a decimal string."""
        return format_steps(ticks, self.markets[market].tick_size)

    def quantity(self, market: str, lots: int) -> str:
        """Return a quantity as a decimal string."""
        return format_steps(lots, self.markets[market].lot_size)

    def listed(self, markets: Iterable[str], wanted: str | None = None) -> list[str]:
        """Return those markets that are listed; only the one that is wanted, if one is."""
        return [each for each in markets if each in self.markets and wanted in (None, each)]

    def _asset_listed(self, _: int, event: AssetListed) -> None:
        self.decimals[event.asset] = event.decimals
        self._listed.append(event)

    def _market_listed(self, _: int, event: MarketListed) -> None:
        self.markets[event.market] = event
        self._set(event.market, "open", "")

    def _set(self, market: str, status: MarketStatus, reason: str) -> None:
        self._status[market] = status, reason
        self._changed.add(market)


ARE_LISTED: Final = "market IN (SELECT market FROM markets)"
"""A condition on rows of any market: the views of markets may be ahead of the catalogue, as they
have a checkpoint of their own; what it does not know yet is not shown."""


class AssetView(msgspec.Struct, frozen=True):
    """An asset; amounts of it have up to `decimals` decimals."""

    asset: str
    decimals: int


class MarketView(msgspec.Struct, frozen=True):
    """A market; fees in parts per million of what is received, listed_ms in ms UTC."""

    market: str
    base_asset: str
    quote_asset: str
    tick_size: str
    lot_size: str
    min_notional: str
    maker_fee_ppm: int
    taker_fee_ppm: int
    status: str
    reason: str
    listed_ms: int


def read_assets(db: Reading) -> list[AssetView]:
    """Return all assets by code."""
    return [AssetView(*row) for row in db.rows("SELECT * FROM assets ORDER BY asset")]


def read_markets(db: Reading, catalogue: Catalogue, market: str | None) -> list[MarketView]:
    """Return all markets by symbol, or the one asked for."""
    clause, values = where(("market = ?", market))
    rows = db.rows(
        "SELECT market, base_asset, quote_asset, tick_size, lot_size, min_notional,"
        f" maker_fee_ppm, taker_fee_ppm, status, reason, listed_ms FROM markets {clause}"
        " ORDER BY market",
        values,
    )
    return [MarketView(*(*row[:5], catalogue.amount(row[2], row[5]), *row[6:])) for row in rows]
