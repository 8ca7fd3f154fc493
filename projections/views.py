"""What may be read: one method for each question. Amounts, prices, quantities: decimal strings."""

import hashlib
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from projections.balances import BalanceView, StatementLine, read_balances, read_statement
from projections.candles import CandleView, read_candles
from projections.catalogue import AssetView, Catalogue, MarketView, read_assets, read_markets
from projections.depth import DepthView, read_depth
from projections.events import EventView, read_events
from projections.files import ViewFiles
from projections.orders import OrderView, read_order, read_orders
from projections.page import Page
from projections.ticker import TickerView, read_ticker
from projections.trades import AccountTradeView, TradeView, read_account_trades, read_trades
from projections.transfers import (
    DepositView,
    WithdrawalView,
    read_deposits,
    read_withdrawal,
    read_withdrawals,
)
from projections.view_set import VIEWS_VERSION, stored_version


class ViewsMissing(Exception):
    """No views have been built yet: start the exchange, or `./foldex rebuild`."""


class _Reader:
    """One thread's connection to the current view file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.db = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=ro",
            uri=True,
            isolation_level=None,
            check_same_thread=False,
        )
        version = stored_version(self.db)
        if version != VIEWS_VERSION:
            self.db.close()
            raise ViewsMissing(
                f"the views are of version {version}, not {VIEWS_VERSION}: rebuild them"
            )
        self._catalogue = Catalogue()
        self._counts: tuple[int, int] = (0, 0)

    def catalogue(self) -> Catalogue:
        """Return assets and markets, read again only when there are more than before."""
        counts = self.db.execute(
            "SELECT (SELECT count(*) FROM assets), (SELECT count(*) FROM markets)"
        ).fetchone()
        if counts != self._counts:
            self._catalogue, self._counts = Catalogue.load(self.db), counts
        return self._catalogue


class Views:
    """Reads the views of a data directory, from any thread; each call sees one position.

    Lists come newest first, except candles and events. `after`: `next` of the page before.
    Raises, all of them: ViewsMissing.
    """

    def __init__(self, directory: Path) -> None:
        self._files = ViewFiles(directory)
        self._local = threading.local()
        self._lock = threading.Lock()
        self._readers: list[_Reader] = []

    def close(self) -> None:
        """Close every thread's connection."""
        with self._lock:
            for reader in self._readers:
                reader.db.close()
            self._readers.clear()

    def position(self) -> int:
        """Return the event position that the views have reached; 0 before they are built."""
        if self._files.current() is None:
            return 0
        with self._read() as (db, _):
            return _checkpoint(db)[0]

    def assets(self) -> list[AssetView]:
        with self._read() as (db, _):
            return read_assets(db)

    def markets(self) -> list[MarketView]:
        with self._read() as (db, catalogue):
            return read_markets(db, catalogue, None)

    def market(self, market: str) -> MarketView | None:
        with self._read() as (db, catalogue):
            found = read_markets(db, catalogue, market)
            return found[0] if found else None

    def balances(self, account: str) -> list[BalanceView]:
        with self._read() as (db, catalogue):
            return read_balances(db, catalogue, account)

    def statement(
        self, account: str, asset: str | None = None, after: int | None = None, limit: int = 100
    ) -> Page[StatementLine]:
        with self._read() as (db, catalogue):
            return read_statement(db, catalogue, account, asset=asset, after=after, limit=limit)

    def order(
        self, account: str, order_id: int | None = None, client_order_id: str | None = None
    ) -> OrderView | None:
        with self._read() as (db, catalogue):
            return read_order(db, catalogue, account, order_id, client_order_id)

    def open_orders(
        self, account: str, market: str | None = None, after: int | None = None, limit: int = 100
    ) -> Page[OrderView]:
        with self._read() as (db, catalogue):
            return read_orders(
                db,
                catalogue,
                account,
                market=market,
                after=after,
                limit=limit,
                only_open=True,
            )

    def order_history(
        self, account: str, market: str | None = None, after: int | None = None, limit: int = 100
    ) -> Page[OrderView]:
        with self._read() as (db, catalogue):
            return read_orders(
                db,
                catalogue,
                account,
                market=market,
                after=after,
                limit=limit,
                only_open=False,
            )

    def trades(self, market: str, after: int | None = None, limit: int = 100) -> Page[TradeView]:
        with self._read() as (db, catalogue):
            return read_trades(db, catalogue, market, after, limit)

    def account_trades(
        self,
        account: str,
        market: str | None = None,
        order_id: int | None = None,
        after: int | None = None,
        limit: int = 100,
    ) -> Page[AccountTradeView]:
        with self._read() as (db, catalogue):
            return read_account_trades(
                db,
                catalogue,
                account,
                market=market,
                order_id=order_id,
                after=after,
                limit=limit,
            )

    def candles(
        self,
        market: str,
        interval: str,
        start_ms: int | None = None,
        end_ms: int | None = None,
        limit: int = 500,
        *,
        fill: bool = False,
    ) -> list[CandleView]:
        """See `read_candles`; the live candle is the last one, with closed false."""
        with self._read() as (db, catalogue):
            now_ms = _checkpoint(db)[1]
            return read_candles(
                db,
                catalogue,
                market,
                interval,
                start_ms=start_ms,
                end_ms=end_ms,
                limit=limit,
                now_ms=now_ms,
                fill=fill,
            )

    def depth(self, market: str, limit: int = 100) -> DepthView | None:
        """Return the book as of the views' position; None when there is no such market."""
        with self._read() as (db, catalogue):
            if market not in catalogue.markets:
                return None
            return read_depth(db, catalogue, market, limit, _checkpoint(db)[0])

    def ticker(self, market: str) -> TickerView | None:
        """Return the 24 hours before the log's last event; None when there is no such market."""
        with self._read() as (db, catalogue):
            if market not in catalogue.markets:
                return None
            return read_ticker(db, catalogue, market, _checkpoint(db)[1])

    def tickers(self) -> list[TickerView]:
        with self._read() as (db, catalogue):
            now_ms = _checkpoint(db)[1]
            return [read_ticker(db, catalogue, each, now_ms) for each in sorted(catalogue.markets)]

    def deposits(
        self, account: str | None = None, after: int | None = None, limit: int = 100
    ) -> Page[DepositView]:
        with self._read() as (db, catalogue):
            return read_deposits(db, catalogue, account, after, limit)

    def withdrawals(
        self,
        account: str | None = None,
        status: str | None = None,
        after: int | None = None,
        limit: int = 100,
    ) -> Page[WithdrawalView]:
        with self._read() as (db, catalogue):
            return read_withdrawals(db, catalogue, account, status=status, after=after, limit=limit)

    def withdrawal(self, withdrawal_id: int) -> WithdrawalView | None:
        with self._read() as (db, catalogue):
            return read_withdrawal(db, catalogue, withdrawal_id)

    def events(
        self,
        *,
        stream: str | None = None,
        type: str | None = None,
        account: str | None = None,
        market: str | None = None,
        order_id: int | None = None,
        after: int | None = None,
        limit: int = 100,
    ) -> Page[EventView]:
        with self._read() as (db, _):
            return read_events(
                db,
                stream=stream,
                type=type,
                account=account,
                market=market,
                order_id=order_id,
                after=after,
                limit=limit,
            )

    def fingerprint(self) -> dict[str, str]:
        """Return the SHA-256 of each table's rows: equal views have equal fingerprints."""
        with self._read() as (db, _):
            tables = db.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
            return {name: _table_hash(db, name) for (name,) in tables.fetchall()}

    @contextmanager
    def _read(self) -> Iterator[tuple[sqlite3.Connection, Catalogue]]:
        """Give this thread's connection, in a transaction: all it reads is of one position."""
        reader = self._reader()
        reader.db.execute("BEGIN")
        try:
            yield reader.db, reader.catalogue()
        finally:
            reader.db.execute("ROLLBACK")

    def _reader(self) -> _Reader:
        path = self._files.current()
        if path is None:
            raise ViewsMissing("no views have been built yet: start the exchange, or rebuild them")
        reader: _Reader | None = getattr(self._local, "reader", None)
        if reader is not None and reader.path == path:
            return reader
        opened = _Reader(path)
        with self._lock:
            self._readers.append(opened)
            if reader is not None:
                reader.db.close()
                self._readers.remove(reader)
        self._local.reader = opened
        return opened


def compare(left: Views, right: Views) -> list[str]:
    """Return the tables that differ, by name: of views and their rebuild from zero, none."""
    ours, theirs = left.fingerprint(), right.fingerprint()
    return sorted(name for name in {*ours, *theirs} if ours.get(name) != theirs.get(name))


def _checkpoint(db: sqlite3.Connection) -> tuple[int, int]:
    """Return the views' position and the time of its event, ms UTC."""
    position, time_ms = db.execute("SELECT position, time_ms FROM checkpoint").fetchone()
    return position, time_ms


def _table_hash(db: sqlite3.Connection, table: str) -> str:
    digest = hashlib.sha256()
    columns = [row[1] for row in db.execute(f"PRAGMA table_info({table})")]
    for row in db.execute(f"SELECT * FROM {table} ORDER BY {', '.join(columns)}"):
        digest.update(repr(row).encode())
    return digest.hexdigest()
