"""The views are a fold of the log: exact after any crash, equal to a rebuild and to the state."""

import threading
from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal

import pytest

from eventstore.errors import StoreTooNew
from eventstore.memory import open_memory
from projections.compare import fingerprint
from projections.database import Overtaken, ViewsBroken, ViewsMissing, ViewStore
from projections.runner import ProjectionRunner, catch_up, rebuild
from projections.view_set import MARKETS as MARKETS_GROUP
from projections.view_set import Batch, ViewSet
from projections.views import Views
from tests.conformance.view_backends import ViewBackend
from tests.day import Day
from tests.model.side_by_side import MARKETS

COMMANDS = 1_500


@pytest.fixture
def day() -> Iterator[Day]:
    with open_memory() as store:
        made = Day(store)
        made.go_on(COMMANDS)
        yield made


def test_balances_equal_the_state(day: Day, views: Views, view_store: ViewStore) -> None:
    assert catch_up(day.log, view_store) == day.exchange.position
    for account in day.exchange.accounts.values():
        shown = {each.asset: each for each in views.balances(account.account_id)}
        for asset, balance in account.balances.items():
            unit = Decimal(1).scaleb(-day.exchange.assets[asset].decimals)
            free, held = (shown[asset].free, shown[asset].held) if asset in shown else ("0", "0")
            assert Decimal(free) == balance.free * unit
            assert Decimal(held) == balance.held * unit


def test_a_statement_adds_up_to_the_balance(day: Day, views: Views, view_store: ViewStore) -> None:
    catch_up(day.log, view_store)
    for account in day.exchange.accounts:
        sums: dict[str, tuple[Decimal, Decimal]] = defaultdict(lambda: (Decimal(0), Decimal(0)))
        for line in views.statement(account, limit=100_000).items:
            free, held = sums[line.asset]
            sums[line.asset] = (free + Decimal(line.free_change), held + Decimal(line.held_change))
        for balance in views.balances(account):
            assert sums[balance.asset] == (Decimal(balance.free), Decimal(balance.held))


def test_depth_and_open_orders_equal_the_book(
    day: Day, views: Views, view_store: ViewStore
) -> None:
    catch_up(day.log, view_store)
    for symbol, market in day.exchange.markets.items():
        shown = views.depth(symbol, limit=10_000)
        assert shown is not None
        for side, levels in ((market.bids, shown.bids), (market.asks, shown.asks)):
            book = [
                (sum(each.quantity_lots for each in orders), len(orders))
                for _, orders in side.levels_best_first()
            ]
            lot = Decimal(market.lot_size)
            assert [(int(Decimal(lots) / lot), count) for _, lots, count in levels] == book
    for account_id, account in day.exchange.accounts.items():
        open_ids = {each.id for each in views.open_orders(account_id, limit=10_000).items}
        assert open_ids == set(account.open_orders)


def test_every_event_has_a_row(day: Day, views: Views, view_store: ViewStore) -> None:
    catch_up(day.log, view_store)
    rows = views.events(limit=1_000_000).items
    assert [row.id for row in rows] == list(range(1, day.exchange.position + 1))


def test_views_built_in_steps_equal_a_rebuild(
    day: Day, views: Views, view_store: ViewStore
) -> None:
    catch_up(day.log, view_store)
    day.go_on(COMMANDS)
    catch_up(day.log, view_store)
    followed = fingerprint(views)
    rebuild(day.log, view_store)
    assert fingerprint(views) == followed
    assert len(followed) >= 10


def test_a_crash_before_the_end_of_a_transaction_counts_nothing_twice(
    day: Day,
    views: Views,
    view_store: ViewStore,
    view_backend: ViewBackend,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The checkpoint moves in the same transaction: fail just before its end, many times."""
    whole = view_backend.store("whole")
    catch_up(day.log, whole)
    uninterrupted = Views(whole)
    monkeypatch.setattr("projections.batches.COMMITS_PER_READ", 20)
    monkeypatch.setattr("projections.batches.EVENTS_PER_BATCH", 1)
    write = ViewSet.write
    calls = 0

    def fail_every_other_time(self: ViewSet, batch: Batch) -> None:
        nonlocal calls
        calls += 1
        if not calls % 2:
            return write(self, batch)
        with self.db.transaction():
            for each in batch.writes:
                each()
            raise OSError("the power went out")

    _begin_empty(view_store)
    monkeypatch.setattr(ViewSet, "write", fail_every_other_time)
    failures = 0
    while views.position() < day.exchange.position:
        runner = ProjectionRunner(day.log, view_store)
        try:
            while runner.run_once():
                pass
        except OSError:
            failures += 1
        runner.stop()
    assert failures > 5
    assert fingerprint(views) == fingerprint(uninterrupted)
    uninterrupted.close()


def _begin_empty(store: ViewStore) -> None:
    views = ViewSet.create(store)
    store.swap_in(views.db)
    views.close()


def test_the_same_commit_is_not_folded_twice(day: Day, view_store: ViewStore) -> None:
    commits = day.log.read(0, 3)
    views = ViewSet.create(view_store)
    views.fold(commits[:2])
    with pytest.raises(ViewsBroken, match="the views are at event"):
        views.fold(commits[1:2])
    views.close()


def test_a_commit_is_not_skipped(day: Day, view_store: ViewStore) -> None:
    commits = day.log.read(0, 3)
    views = ViewSet.create(view_store)
    views.fold(commits[:1])
    with pytest.raises(ViewsBroken):
        views.fold(commits[2:])
    views.close()


def test_two_processes_cannot_move_the_same_views(day: Day, view_store: ViewStore) -> None:
    commits = day.log.read(0, 2)
    first = ViewSet.create(view_store)
    second = ViewSet(view_store.open(first.db.name))
    first.write(first.fold(commits))
    with pytest.raises(Overtaken):
        second.write(second.fold(commits))
    first.close()
    second.close()


def test_markets_that_the_catalogue_does_not_know_yet_are_not_shown(
    day: Day, views: Views, view_store: ViewStore
) -> None:
    """The group "markets" is ahead of the group "accounts", as with workers of its own."""
    _begin_empty(view_store)
    current = view_store.current()
    assert current is not None
    ahead = ViewSet(view_store.open(current), [MARKETS_GROUP])
    ahead.write(ahead.fold(day.log.read(0, 1_000)))
    ahead.close()
    assert views.position() == 0
    for account in day.exchange.accounts:
        assert views.order_history(account).items == []
        assert views.open_orders(account).items == []
        assert views.account_trades(account).items == []
        assert [views.order(account, order_id=number) for number in (1, 2, 3)] == [None] * 3
    for market in day.exchange.markets:
        assert views.trades(market).items == []
        assert views.candles(market, "1m", fill=True) == []
        assert (views.depth(market), views.ticker(market)) == (None, None)
    catch_up(day.log, view_store)
    assert views.position() == day.exchange.position
    whole = fingerprint(views)
    rebuild(day.log, view_store)
    assert fingerprint(views) == whole


def test_a_rebuild_swaps_under_a_live_runner_and_reader(
    day: Day, views: Views, view_store: ViewStore
) -> None:
    runner = ProjectionRunner(day.log, view_store)
    runner.start()
    assert runner.wait_for(day.exchange.position, 20)
    before = fingerprint(views)
    assert rebuild(day.log, view_store) == day.exchange.position
    assert fingerprint(views) == before
    day.go_on(50)
    assert runner.wait_for(day.exchange.position, 20)
    assert views.position() == day.exchange.position
    runner.stop()
    assert runner.failed is None


def test_an_older_version_is_built_anew(
    day: Day, views: Views, view_store: ViewStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    catch_up(day.log, view_store)
    before = view_store.current()
    monkeypatch.setattr("projections.view_set.VIEWS_VERSION", 999)
    monkeypatch.setattr("projections.views.VIEWS_VERSION", 999)
    catch_up(day.log, view_store)
    assert view_store.current() != before
    assert views.position() == day.exchange.position


def test_a_newer_version_is_left_alone(
    day: Day, views: Views, view_store: ViewStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    catch_up(day.log, view_store)
    running = ProjectionRunner(day.log, view_store)
    running.start()
    with monkeypatch.context() as newer:
        newer.setattr("projections.view_set.VIEWS_VERSION", 999)
        rebuild(day.log, view_store)
    built = view_store.current()
    assert not running.wait_for(day.exchange.position + 1, 20)
    assert isinstance(running.failed, StoreTooNew)
    running.stop()
    with pytest.raises(StoreTooNew, match="version 999, this one has"):
        catch_up(day.log, view_store)
    with pytest.raises(ViewsMissing, match="upgrade"):
        views.balances("ann")
    assert view_store.current() == built
    # Who goes back says so.
    rebuild(day.log, view_store)
    assert views.position() == day.exchange.position


def test_views_ahead_of_the_log_are_refused(day: Day, view_store: ViewStore) -> None:
    catch_up(day.log, view_store)
    with open_memory() as other:
        runner = ProjectionRunner(other.log, view_store)
        with pytest.raises(ViewsBroken, match="beyond the end of the log"):
            runner.start()


def test_pages_join_without_a_gap(day: Day, views: Views, view_store: ViewStore) -> None:
    catch_up(day.log, view_store)
    market = MARKETS[0]
    whole = [trade.id for trade in views.trades(market, limit=100_000).items]
    assert whole == sorted(whole, reverse=True)
    pieces: list[int] = []
    after: int | None = None
    while True:
        page = views.trades(market, after=after, limit=7)
        pieces += [trade.id for trade in page.items]
        if page.next is None:
            break
        after = page.next
    assert pieces == whole


def test_the_views_close_when_no_question_is_under_way(
    day: Day, views: Views, view_store: ViewStore
) -> None:
    catch_up(day.log, view_store)
    closer = threading.Thread(target=views.close)
    with views.snapshot() as db:
        closer.start()
        closer.join(timeout=0.1)
        assert db.row("SELECT count(*) FROM markets") == (len(MARKETS),)
    closer.join(timeout=10)
    assert not closer.is_alive()
