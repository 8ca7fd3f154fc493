"""What may be read: one method for each question. Amounts, prices, quantities: decimal strings."""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Concatenate, ParamSpec, TypeVar

from projections.balances import BalanceView, StatementLine, read_balances, read_statement
from projections.candles import CandleView, read_candles
from projections.catalogue import AssetView, Catalogue, MarketView, read_assets, read_markets
from projections.database import Reading, ViewsMissing, ViewStore, ViewsUnavailable
from projections.depth import DepthView, read_depth
from projections.events import EventView, read_events
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

Asked = ParamSpec("Asked")
Answer = TypeVar("Answer")

_log = logging.getLogger(__name__)


class _Reader:
    """One thread's way to the current views, and their catalogue."""

    def __init__(self, store: ViewStore) -> None:
        self._reader = store.reader()
        self._db: Reading | None = None
        self._catalogue = Catalogue()
        self._counts: tuple[int, ...] | None = None
        self._busy = threading.RLock()

    @contextmanager
    def snapshot(self) -> Iterator[tuple[Reading, Catalogue]]:
        with self._busy, self._reader.snapshot() as db:
            if db is not self._db:
                self._require_version(db)
                self._db, self._counts = db, None
            # Read again only when there are more assets or markets than before.
            counts = db.row("SELECT (SELECT count(*) FROM assets), (SELECT count(*) FROM markets)")
            if counts != self._counts:
                self._catalogue, self._counts = Catalogue.load(db), counts
            yield db, self._catalogue

    def close(self) -> None:
        """Wait for the thread's question: SQLite must not lose a connection in the midst of it."""
        with self._busy:
            self._reader.close()

    def _require_version(self, db: Reading) -> None:
        version = stored_version(db)
        if version != VIEWS_VERSION:
            do = "rebuild them" if version < VIEWS_VERSION else "upgrade"
            raise ViewsMissing(f"the views are of version {version}, not {VIEWS_VERSION}: {do}")


class Views:
    """Reads the current views of a store, from any thread; each call sees one position.

    Lists come newest first, except candles and events. `after`: `next` of the page before.
    Raises, all of them: ViewsMissing, ViewsUnavailable.
    """

    def __init__(self, store: ViewStore) -> None:
        self._store = store
        self._local = threading.local()
        self._lock = threading.Lock()
        self._readers: list[_Reader] = []

    def close(self) -> None:
        """Close every thread's connection."""
        with self._lock:
            for reader in self._readers:
                reader.close()
            self._readers.clear()

    def position(self) -> int:
        """Return the event position that all views have reached; 0 before they are built."""
        try:
            return self._ask(lambda db, _: reached(db)[0])
        except ViewsMissing:
            return 0

    def assets(self) -> list[AssetView]:
        return self._ask(lambda db, _: read_assets(db))

    def markets(self) -> list[MarketView]:
        return self._ask(read_markets, None)

    def market(self, market: str) -> MarketView | None:
        found = self._ask(read_markets, market)
        return found[0] if found else None

    def balances(self, account: str) -> list[BalanceView]:
        return self._ask(read_balances, account)

    def statement(
        self, account: str, asset: str | None = None, after: int | None = None, limit: int = 100
    ) -> Page[StatementLine]:
        return self._ask(read_statement, account, asset=asset, after=after, limit=limit)

    def order(
        self, account: str, order_id: int | None = None, client_order_id: str | None = None
    ) -> OrderView | None:
        return self._ask(read_order, account, order_id, client_order_id)

    def open_orders(
        self, account: str, market: str | None = None, after: int | None = None, limit: int = 100
    ) -> Page[OrderView]:
        return self._ask(
            read_orders, account, market=market, after=after, limit=limit, only_open=True
        )

    def order_history(
        self, account: str, market: str | None = None, after: int | None = None, limit: int = 100
    ) -> Page[OrderView]:
        return self._ask(
            read_orders, account, market=market, after=after, limit=limit, only_open=False
        )

    def trades(self, market: str, after: int | None = None, limit: int = 100) -> Page[TradeView]:
        return self._ask(read_trades, market, after, limit)

    def account_trades(
        self,
        account: str,
        market: str | None = None,
        order_id: int | None = None,
        after: int | None = None,
        limit: int = 100,
    ) -> Page[AccountTradeView]:
        return self._ask(
            read_account_trades,
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
        return self._ask(
            lambda db, catalogue: read_candles(
                db,
                catalogue,
                market,
                interval,
                start_ms=start_ms,
                end_ms=end_ms,
                limit=limit,
                now_ms=reached(db)[1],
                fill=fill,
            )
        )

    def depth(self, market: str, limit: int = 100) -> DepthView | None:
        """Return the book as of the views' position; None when there is no such market."""
        return self._ask(
            lambda db, catalogue: (
                read_depth(db, catalogue, market, limit, reached(db)[0])
                if market in catalogue.markets
                else None
            )
        )

    def ticker(self, market: str) -> TickerView | None:
        """Return the 24 hours before the log's last event; None when there is no such market."""
        return self._ask(
            lambda db, catalogue: (
                read_ticker(db, catalogue, market, reached(db)[1])
                if market in catalogue.markets
                else None
            )
        )

    def tickers(self) -> list[TickerView]:
        return self._ask(_read_tickers)

    def deposits(
        self, account: str | None = None, after: int | None = None, limit: int = 100
    ) -> Page[DepositView]:
        return self._ask(read_deposits, account, after, limit)

    def withdrawals(
        self,
        account: str | None = None,
        status: str | None = None,
        after: int | None = None,
        limit: int = 100,
    ) -> Page[WithdrawalView]:
        return self._ask(read_withdrawals, account, status=status, after=after, limit=limit)

    def withdrawal(self, withdrawal_id: int) -> WithdrawalView | None:
        return self._ask(read_withdrawal, withdrawal_id)

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
        return self._ask(
            lambda db, _: read_events(
                db,
                stream=stream,
                type=type,
                account=account,
                market=market,
                order_id=order_id,
                after=after,
                limit=limit,
            )
        )

    @contextmanager
    def snapshot(self) -> Iterator[Reading]:
        """Give the current set for reading, at one position: for checks by SQL of their own."""
        with self._reader().snapshot() as (db, _):
            yield db

    def _ask(
        self,
        read: Callable[Concatenate[Reading, Catalogue, Asked], Answer],
        *args: Asked.args,
        **more: Asked.kwargs,
    ) -> Answer:
        try:
            with self._reader().snapshot() as (db, catalogue):
                return read(db, catalogue, *args, **more)
        except ViewsUnavailable as error:
            # The connection was cut, or the set dropped: both are mended by asking anew, once.
            _log.info("asking the views again: %s", error)
        with self._reader().snapshot() as (db, catalogue):
            return read(db, catalogue, *args, **more)

    def _reader(self) -> _Reader:
        reader: _Reader | None = getattr(self._local, "reader", None)
        if reader is None:
            reader = self._local.reader = _Reader(self._store)
            with self._lock:
                self._readers.append(reader)
        return reader


def reached(db: Reading) -> tuple[int, int]:
    """Return the event position that all views have reached, and its commit's time, ms UTC."""
    found = db.row("SELECT position, time_ms FROM checkpoints ORDER BY position, time_ms LIMIT 1")
    return (0, 0) if found is None else (found[0], found[1])


def _read_tickers(db: Reading, catalogue: Catalogue) -> list[TickerView]:
    now_ms = reached(db)[1]
    return [read_ticker(db, catalogue, each, now_ms) for each in sorted(catalogue.markets)]
