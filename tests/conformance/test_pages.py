"""Tables that are stored many rows to a row: readers and SQL see all the rows."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

import pytest

from domain.events import AccountOpened, AssetListed, DepositCredited
from domain.units import UNITS_MAX
from eventstore.memory import open_memory
from eventstore.store import Log
from projections.database import ViewStore
from projections.pages import read_newest, read_rows, read_second, stream_rows
from projections.runner import catch_up
from projections.table import Table
from projections.view_set import TABLES
from projections.views import Views
from tests.day import Day

PAGED = [table for table in TABLES if table.in_pages]
COMMANDS = 400


@pytest.fixture
def day(monkeypatch: pytest.MonkeyPatch) -> Iterator[Day]:
    """A log that makes many pages: few lines in each, and few commits in a batch."""
    monkeypatch.setattr("projections.pages.LINES_MAX", 3)
    monkeypatch.setattr("projections.pages.PAGES_PER_READ_MAX", 2)
    monkeypatch.setattr("projections.batches.COMMITS_PER_READ", 5)
    monkeypatch.setattr("projections.batches.EVENTS_PER_BATCH", 1)
    with open_memory() as store:
        made = Day(store)
        made.go_on(COMMANDS)
        yield made


def named(paged: str) -> Table:
    return next(table for table in PAGED if table.name == paged)


def test_sql_sees_a_row_for_each_line(day: Day, views: Views, view_store: ViewStore) -> None:
    catch_up(day.log, view_store)
    with views.snapshot() as db:
        for table in PAGED:
            columns = ", ".join(table.names)
            rows = db.rows(f"SELECT {columns} FROM {table.name} ORDER BY {table.key}")
            assert _text(rows) == _text(stream_rows(db, table)), table.name
            pages = db.row(f"SELECT count(*) FROM {table.name}_pages")
            assert pages is not None
            assert len(rows) > pages[0] > 10, table.name


def _text(rows: Any) -> list[tuple[str, ...]]:
    """SQLite gives amounts that are computed by SQL as text."""
    return [tuple(map(str, row)) for row in rows]


def test_lines_come_in_order_from_any_number_on(
    day: Day, views: Views, view_store: ViewStore
) -> None:
    catch_up(day.log, view_store)
    index = named("event_index")
    with views.snapshot() as db:
        (about,) = max(
            db.rows("SELECT about FROM event_index_pages GROUP BY about ORDER BY count(*)")[-1:]
        )
        whole = list(read_rows(db, index, (about,)))
        numbers = [row[1] for row in whole]
        assert numbers == sorted(set(numbers))
        assert len(numbers) > 50
        for after in (0, numbers[0], numbers[7], numbers[7] + 1, numbers[-1], numbers[-1] + 1):
            later = [row for row in whole if row[1] > after]
            assert list(read_rows(db, index, (about,), after=after)) == later
            newest = read_rows(db, index, (about,), after=after, newest_first=True)
            assert list(newest) == [row for row in reversed(whole) if row[1] < after]
        assert list(islice(read_rows(db, index, (about,)), 2)) == whole[:2]
        assert list(read_rows(db, index, ("account=nobody",))) == []


def test_the_newest_of_several_lists_are_one_list(
    day: Day, views: Views, view_store: ViewStore
) -> None:
    catch_up(day.log, view_store)
    table = named("account_orders")
    with views.snapshot() as db:
        rows = list(stream_rows(db, table))
        account = rows[0][0]
        own = sorted((row for row in rows if row[0] == account), key=lambda row: -row[2])
        markets = read_second(db, table, account)
        assert markets == sorted({row[1] for row in own})
        assert len(markets) > 1
        assert read_newest(db, table, account, markets, before=None, limit=5) == own[:5]
        before = own[4][2]
        assert read_newest(db, table, account, markets, before=before, limit=5) == own[5:10]
        assert read_second(db, table, "nobody") == []


def test_orders_and_trades_of_an_account_are_all_of_them(
    day: Day, views: Views, view_store: ViewStore
) -> None:
    catch_up(day.log, view_store)
    with views.snapshot() as db:
        orders = db.rows("SELECT account, market, id FROM orders ORDER BY id DESC")
        trades = db.rows("SELECT position, maker_account, taker_account FROM trades")
    for account in day.exchange.accounts:
        history = [
            (each.market, each.id) for each in views.order_history(account, limit=5000).items
        ]
        assert history == [order[1:] for order in orders if order[0] == account]
        for market in day.exchange.markets:
            of_market = views.order_history(account, market, limit=5000).items
            assert [each.id for each in of_market] == [id_ for of, id_ in history if of == market]
        own = views.account_trades(account, limit=5000).items
        sides = [position for position, *both in trades for each in both if each == account]
        assert [each.id for each in own] == sorted(sides, reverse=True)


def test_events_are_found_by_everything_they_are_about(
    day: Day, views: Views, view_store: ViewStore
) -> None:
    catch_up(day.log, view_store)
    everything = views.events(limit=1_000_000).items
    accounts = [*day.exchange.accounts, "nobody", None]
    streams = sorted({each.stream for each in everything})
    for account in accounts:
        for type_ in ("trade_executed.v1", "order_placed.v1", "asset_listed.v1", None):
            for stream in (*streams[:2], streams[-1], None):
                _require_found(views, everything, account=account, type=type_, stream=stream)
    for order_id in (1, 99, 100, 101, 10_000):
        for account in accounts:
            _require_found(views, everything, account=account, order_id=order_id)
    for market in (*day.exchange.markets, "NO-NO"):
        _require_found(views, everything, market=market)
        _require_found(views, everything, market=market, stream=streams[0])


def _require_found(views: Views, everything: list[Any], **by: Any) -> None:
    """Compare with a search through all events; in two pages."""
    expected = [each for each in everything if _is_about(each, **by)]
    first = views.events(**by, limit=7)
    rest = [] if first.next is None else views.events(**by, after=first.next, limit=10_000).items
    assert [*first.items, *rest] == expected, by


def _is_about(
    event: Any,
    *,
    account: str | None = None,
    type: str | None = None,
    stream: str | None = None,
    market: str | None = None,
    order_id: int | None = None,
) -> bool:
    data = event.data
    accounts = [data.get(each) for each in ("account", "taker_account", "maker_account")]
    orders = [data.get(each) for each in ("order_id", "taker_order_id", "maker_order_id")]
    return (
        (account is None or account in accounts)
        and type in (None, event.type)
        and stream in (None, event.stream)
        and (market is None or event.stream == f"market:{market}")
        and (order_id is None or order_id in orders)
    )


@pytest.fixture
def log() -> Iterator[Log]:
    with open_memory() as store:
        yield store.log


def test_amounts_beyond_64_bits_are_exact(log: Log, views: Views, view_store: ViewStore) -> None:
    deposits = [DepositCredited(1, "ann", "BTC", UNITS_MAX, f"d{n}") for n in range(30)]
    log.append([AssetListed(1, "BTC", 0), AccountOpened(1, "ann"), *deposits], 1)
    catch_up(log, view_store)
    total = 30 * UNITS_MAX
    assert total > 2**63
    assert views.statement("ann").items[0].free_after == str(total)
    with views.snapshot() as db:
        newest = db.row("SELECT free_after FROM statement ORDER BY id DESC LIMIT 1")
    assert newest is not None
    assert str(newest[0]) == str(total)
