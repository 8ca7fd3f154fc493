"""What became of a commit when the connection broke: asked of a real server, never guessed."""

import threading
import time
from collections.abc import Iterator

import psycopg
import pytest

from audit.verify import verify
from commands.engine import Engine
from commands.errors import EngineError
from commands.open_account import OpenAccount
from domain.events import AccountOpened, Event
from eventstore import postgres_reads, postgres_writer
from eventstore.errors import AppendFailed, AppendOutcomeUnknown
from eventstore.postgres import open_postgres
from eventstore.postgres_schema import migrate
from eventstore.store import Store
from tests.tcp_proxy import Cut, TcpProxy


def opened(name: str) -> list[Event]:
    return [AccountOpened(1_000, name)]


@pytest.fixture
def url(postgres_database: str) -> str:
    migrate(postgres_database)
    return postgres_database


@pytest.fixture
def proxy(url: str) -> Iterator[TcpProxy]:
    with TcpProxy(url) as proxy:
        yield proxy


@pytest.fixture
def store(proxy: TcpProxy) -> Iterator[Store]:
    with open_postgres(proxy.url, for_writing=True) as store:
        store.log.append(opened("first"), 1)
        yield store


def stored(url: str) -> list[int]:
    with open_postgres(url) as store:
        assert verify(store).ok
        return [commit.number for commit in store.log.read_all()]


def test_a_commit_that_never_reached_the_server_was_not_stored(
    store: Store, proxy: TcpProxy, url: str
) -> None:
    proxy.cut = Cut.BEFORE_SERVER
    with pytest.raises(AppendFailed, match="commit 2 was not stored"):
        store.log.append(opened("a"), 1)
    assert stored(url) == [1]
    assert store.log.append(opened("b"), 1).number == 2


def test_a_commit_whose_answer_was_lost_was_stored(store: Store, proxy: TcpProxy, url: str) -> None:
    proxy.cut = Cut.BEFORE_ANSWER
    assert store.log.append(opened("a"), 1).number == 2
    assert stored(url) == [1, 2]
    assert store.log.append(opened("b"), 1).number == 3


def test_a_commit_still_on_its_way_is_ended_before_it_is_looked_up(
    store: Store, proxy: TcpProxy, url: str
) -> None:
    """The server would store it as soon as the lock is gone, after we had said that it failed."""
    with psycopg.connect(url) as blocking:
        blocking.execute("LOCK TABLE foldex.stored_events IN SHARE MODE")
        proxy.cut = Cut.UNNOTICED
        with pytest.raises(AppendFailed, match="commit 2 was not stored"):
            store.log.append(opened("a"), 1)
    assert stored(url) == [1]
    assert store.log.append(opened("b"), 1).number == 2


def test_somebody_elses_lock_on_the_log_fails_the_append_in_the_end(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(postgres_writer._SETTINGS, "lock_timeout", "200ms")
    with open_postgres(url) as store:
        with psycopg.connect(url) as blocking:
            blocking.execute("LOCK TABLE foldex.stored_events IN SHARE MODE")
            with pytest.raises(AppendFailed, match="lock timeout"):
                store.log.append(opened("a"), 1)
        assert store.log.append(opened("b"), 1).number == 1


@pytest.mark.parametrize("cut", [Cut.BEFORE_SERVER, Cut.BEFORE_ANSWER])
def test_a_restarting_server_is_waited_for(
    store: Store, proxy: TcpProxy, url: str, cut: Cut
) -> None:
    proxy.cut, proxy.refusing = cut, True
    back = threading.Timer(1.5, setattr, (proxy, "refusing", False))
    back.start()
    if cut is Cut.BEFORE_ANSWER:
        assert store.log.append(opened("a"), 1).number == 2
    else:
        with pytest.raises(AppendFailed):
            store.log.append(opened("a"), 1)
    back.join()
    assert stored(url) == [1, 2][: 2 if cut is Cut.BEFORE_ANSWER else 1]


def test_a_server_that_stays_away_leaves_the_outcome_unknown(
    store: Store, proxy: TcpProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_writer, "SETTLE_S", 0.3)
    monkeypatch.setattr(postgres_reads, "PATIENCE_S", 0.3)
    proxy.cut, proxy.refusing = Cut.BEFORE_ANSWER, True
    with pytest.raises(AppendOutcomeUnknown, match="commit 2"):
        store.log.append(opened("a"), 1)
    proxy.refusing = False
    assert store.log.refresh_head().number == 2


def test_reads_get_over_a_restart_by_themselves(store: Store, proxy: TcpProxy) -> None:
    readers = [threading.Thread(target=store.log.read, args=(0,)) for _ in range(3)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    proxy.refusing = True
    proxy.cut_all()
    threading.Timer(0.5, setattr, (proxy, "refusing", False)).start()
    began_s = time.monotonic()
    assert [commit.number for commit in store.log.read(0)] == [1]
    assert time.monotonic() - began_s < 3


def test_an_engine_stops_when_a_commit_fails_and_a_restart_recovers(
    proxy: TcpProxy, url: str
) -> None:
    with open_postgres(proxy.url, for_writing=True) as store:
        engine = Engine(store.log, store.snapshots, clock_ms=lambda: 1_000, writer="one")
        engine.start()
        engine.execute(OpenAccount(time_ms=1_000, account="kept"))
        proxy.cut = Cut.BEFORE_SERVER
        with pytest.raises(EngineError):
            engine.execute(OpenAccount(time_ms=1_000, account="lost"))
        engine.stop()
        assert isinstance(engine.failed, AppendFailed)
    with open_postgres(url, for_writing=True, wait_s=5) as store:
        with Engine(store.log, store.snapshots, clock_ms=lambda: 1_000, writer="two") as engine:
            engine.execute(OpenAccount(time_ms=1_000, account="later"))
            assert engine.exchange.accounts.keys() >= {"kept", "later"}
            assert "lost" not in engine.exchange.accounts
        assert verify(store).ok


def test_a_snapshot_is_kept_though_the_server_was_restarted_since_the_last_one(url: str) -> None:
    with open_postgres(url, for_writing=True) as store:
        engine = Engine(store.log, store.snapshots, clock_ms=lambda: 1_000, writer="one")
        engine.start()
        engine.execute(OpenAccount(time_ms=1_000, account="kept"))
        with psycopg.connect(url) as server:
            ended = server.execute(
                "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
                " WHERE datname = current_database() AND application_name ~ '^foldex snapshots'"
            ).fetchall()
        engine.stop()
        assert ended == [(True,)]
        assert store.snapshots.positions() == [engine.exchange.position]
