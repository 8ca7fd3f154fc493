"""The view of assets and markets: what is listed, in which units, and what trades where."""

import sqlite3
from typing import Literal

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
from projections.projection import Handler

MarketStatus = Literal["open", "cancel_only", "halted"]


class Catalogue:
    """Assets and markets, kept in memory too: the other views need their units and assets."""

    schema = """
        CREATE TABLE assets (asset TEXT PRIMARY KEY, decimals INTEGER NOT NULL);
        CREATE TABLE markets (
            market TEXT PRIMARY KEY, base_asset TEXT NOT NULL, quote_asset TEXT NOT NULL,
            tick_size TEXT NOT NULL, lot_size TEXT NOT NULL, lot_units INTEGER NOT NULL,
            tick_lot_units INTEGER NOT NULL, min_notional INTEGER NOT NULL,
            maker_fee_ppm INTEGER NOT NULL, taker_fee_ppm INTEGER NOT NULL,
            status TEXT NOT NULL, reason TEXT NOT NULL, listed_ms INTEGER NOT NULL);
    """

    def __init__(self) -> None:
        self.decimals: dict[str, int] = {}
        self.markets: dict[str, MarketListed] = {}
        self._status: dict[str, tuple[MarketStatus, str]] = {}
        self._listed_assets: list[AssetListed] = []
        self._listed_markets: list[MarketListed] = []

    @classmethod
    def load(cls, db: sqlite3.Connection) -> "Catalogue":
        """Return the catalogue as the database has it."""
        catalogue = cls()
        catalogue.decimals.update(db.execute("SELECT asset, decimals FROM assets"))
        for row in db.execute(
            "SELECT listed_ms, market, base_asset, quote_asset, tick_size, lot_size, lot_units,"
            " tick_lot_units, min_notional, maker_fee_ppm, taker_fee_ppm FROM markets"
        ):
            catalogue.markets[row[1]] = MarketListed(*row)
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

    def flush(self, db: sqlite3.Connection) -> None:
        db.executemany(
            "INSERT INTO assets VALUES (?, ?)",
            [(event.asset, event.decimals) for event in self._listed_assets],
        )
        db.executemany(
            "INSERT INTO markets VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'open', '', ?)",
            [_row(event) for event in self._listed_markets],
        )
        db.executemany(
            "UPDATE markets SET status = ?, reason = ? WHERE market = ?",
            [(status, reason, market) for market, (status, reason) in self._status.items()],
        )
        self._listed_assets.clear()
        self._listed_markets.clear()
        self._status.clear()

    def amount(self, asset: str, units: int | str) -> str:
        """Return an amount of ledger units as a decimal string."""
        return format_units(int(units), self.decimals[asset])

    def price(self, market: str, ticks: int) -> str:
        """Return a price as a decimal string."""
        return format_steps(ticks, self.markets[market].tick_size)

    def quantity(self, market: str, lots: int) -> str:
        """Return a quantity as a decimal string."""
        return format_steps(lots, self.markets[market].lot_size)

    def _asset_listed(self, _: int, event: AssetListed) -> None:
        self.decimals[event.asset] = event.decimals
        self._listed_assets.append(event)

    def _market_listed(self, _: int, event: MarketListed) -> None:
        self.markets[event.market] = event
        self._listed_markets.append(event)

    def _set(self, market: str, status: MarketStatus, reason: str) -> None:
        self._status[market] = status, reason


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


def read_assets(db: sqlite3.Connection) -> list[AssetView]:
    """Return all assets by code."""
    return [AssetView(*row) for row in db.execute("SELECT * FROM assets ORDER BY asset")]


def read_markets(
    db: sqlite3.Connection, catalogue: Catalogue, market: str | None
) -> list[MarketView]:
    """Return all markets by symbol, or the one asked for."""
    rows = db.execute(
        "SELECT market, base_asset, quote_asset, tick_size, lot_size, min_notional,"
        " maker_fee_ppm, taker_fee_ppm, status, reason, listed_ms FROM markets"
        " WHERE ? IS NULL OR market = ? ORDER BY market",
        (market, market),
    )
    return [MarketView(*(*row[:5], catalogue.amount(row[2], row[5]), *row[6:])) for row in rows]


def _row(event: MarketListed) -> tuple[object, ...]:
    return (
        event.market,
        event.base_asset,
        event.quote_asset,
        event.tick_size,
        event.lot_size,
        event.lot_units,
        event.tick_lot_units,
        event.min_notional,
        event.maker_fee_ppm,
        event.taker_fee_ppm,
        event.time_ms,
    )
