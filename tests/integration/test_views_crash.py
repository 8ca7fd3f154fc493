"""Whatever is killed, and whenever: the views are those that a fold from zero gives."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from eventstore.memory import open_memory
from eventstore.sqlite import open_sqlite
from eventstore.store import Log
from projections.compare import compare
from projections.database import RebuildRunning, ViewStore, ViewsUnavailable
from projections.postgres import PostgresViews, migrate
from projections.runner import ProjectionRunner, catch_up, rebuild
from projections.sqlite import SQLiteViews
from projections.view_set import ViewSet
from projections.views import Views
from tests.cutting import VIEWS, Cutter, cut_connections
from tests.day import Day
from tests.waiting import until

PATIENCE_S = 60.0
KILLS = 8


@pytest.fixture
def view_store(postgres_database: str) -> Iterator[ViewStore]:
    migrate(postgres_database)
    with closing(PostgresViews(postgres_database)) as store:
        yield store


def require_exact(log: Log, store: ViewStore, directory: Path) -> None:
    reference = SQLiteViews(directory / "reference")
    rebuild(log, reference)
    with closing(Views(store)) as ours, closing(Views(reference)) as theirs:
        assert compare(ours, theirs) == []


def test_a_runner_whose_connection_is_cut_again_and_again_goes_on_exactly(
    view_store: ViewStore, postgres_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("projections.batches.COMMITS_PER_READ", 3)
    monkeypatch.setattr("projections.batches.EVENTS_PER_BATCH", 1)
    monkeypatch.setattr("projections.runner.RETRY_S_MAX", 0.2)
    with open_memory() as memory, closing(Views(view_store)) as views:
        day = Day(memory)
        catch_up(day.log, view_store)
        runner = ProjectionRunner(day.log, view_store)
        runner.start()
        cut = 0
        for _ in range(KILLS):
            day.go_on(60)
            cut += cut_connections(postgres_database)
            # A reader whose connection is gone asks once more on a new one.
            assert views.position() > 0
        assert runner.wait_for(day.exchange.position, PATIENCE_S), runner.failed
        runner.stop()
        assert runner.failed is None
        assert cut > KILLS
        require_exact(day.log, view_store, tmp_path)


@pytest.fixture
def cutter(monkeypatch: pytest.MonkeyPatch) -> Cutter:
    return Cutter(monkeypatch, VIEWS.__eq__)


def test_a_connection_that_is_cut_at_any_moment_of_a_batch_is_found_out(
    view_store: ViewStore, cutter: Cutter, tmp_path: Path
) -> None:
    with open_memory() as memory:
        day = Day(memory)
        catch_up(day.log, view_store)
        runner = ProjectionRunner(day.log, view_store)
        found_out = 0
        for _ in cutter.moments():
            day.go_on(20)
            try:
                while runner.run_once():
                    pass
            except ViewsUnavailable:
                found_out += 1
        runner.catch_up(lambda position, last: None)
        runner.stop()
        assert found_out > 40
        require_exact(day.log, view_store, tmp_path)


def test_a_connection_that_is_cut_at_any_moment_of_a_question_is_made_anew(
    view_store: ViewStore, cutter: Cutter
) -> None:
    with open_memory() as memory, closing(Views(view_store)) as views:
        day = Day(memory)
        day.go_on(20)
        catch_up(day.log, view_store)
        answers = [views.position() for _ in cutter.moments()]
        assert len(answers) > 4
        assert set(answers) == {day.exchange.position}


def test_a_process_that_is_killed_in_the_middle_counts_nothing_twice(
    view_store: ViewStore, postgres_database: str, tmp_path: Path
) -> None:
    with open_sqlite(tmp_path, for_writing=True) as store:
        catch_up(store.log, view_store)
        Day(store).go_on(1_500)
        killed = 0
        for lines in range(2, 2 + KILLS):
            child = subprocess.Popen(
                [
                    *(sys.executable, "-m", "tests.simulation.views_child"),
                    *(str(tmp_path), postgres_database),
                ],
                stdout=subprocess.PIPE,
            )
            assert child.stdout is not None
            for _ in range(lines):
                child.stdout.readline()
            time.sleep(0.003 * lines)  # Somewhere in the next batch.
            child.kill()
            killed += child.wait() != 0
            child.stdout.close()
        assert killed > KILLS / 2
        catch_up(store.log, view_store)
        require_exact(store.log, view_store, tmp_path)


def test_two_runners_of_the_same_views_count_nothing_twice(
    view_store: ViewStore, postgres_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("projections.batches.COMMITS_PER_READ", 2)
    monkeypatch.setattr("projections.batches.EVENTS_PER_BATCH", 1)
    with open_memory() as memory, closing(PostgresViews(postgres_database)) as other:
        day = Day(memory)
        catch_up(day.log, view_store)
        runners = [ProjectionRunner(day.log, each) for each in (view_store, other)]
        for runner in runners:
            runner.start()
        for _ in range(10):
            day.go_on(60)
        for runner in runners:
            assert runner.wait_for(day.exchange.position, PATIENCE_S), runner.failed
            runner.stop()
        assert [runner.failed for runner in runners] == [None, None]
        require_exact(day.log, view_store, tmp_path)


def test_a_runner_waits_for_a_database_that_was_gone_from_the_start_of_a_batch(
    view_store: ViewStore, postgres_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server refuses connections for a while: nothing fails, and what was missed is folded."""
    refusing = threading.Event()
    connect = psycopg.connect

    def refuse(*args: object, **more: object) -> object:
        if refusing.is_set() and more.get("application_name") == VIEWS:
            raise psycopg.OperationalError("the server is starting up")
        return connect(*args, **more)  # type: ignore[arg-type]

    with open_memory() as memory:
        day = Day(memory)
        catch_up(day.log, view_store)
        runner = ProjectionRunner(day.log, view_store)
        runner.start()
        monkeypatch.setattr("projections.postgres_database.psycopg.connect", refuse)
        refusing.set()
        cut_connections(postgres_database)
        before = runner.position
        day.go_on(10)
        assert not runner.wait_for(day.exchange.position, 0.5)
        assert (runner.position, runner.failed) == (before, None)
        refusing.clear()
        assert runner.wait_for(day.exchange.position, PATIENCE_S), runner.failed
        runner.stop()


@pytest.mark.parametrize(
    "setting", ["default_transaction_read_only = on", "idle_in_transaction_session_timeout = 20"]
)
def test_a_runner_waits_for_a_database_that_lets_nobody_write(
    view_store: ViewStore, postgres_database: str, setting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one that a replica took the place of; or one that does not wait for who sleeps."""
    fold = ViewSet._move_checkpoint
    asleep = threading.Event()

    def sleep_first(views: ViewSet, move: Any) -> None:
        if asleep.is_set():
            time.sleep(0.1)
        fold(views, move)

    monkeypatch.setattr(ViewSet, "_move_checkpoint", sleep_first)
    with open_memory() as memory:
        day = Day(memory)
        catch_up(day.log, view_store)
        runner = ProjectionRunner(day.log, view_store)
        with psycopg.connect(postgres_database, autocommit=True) as admin:
            name = Identifier(admin.info.dbname)
            admin.execute(SQL("ALTER DATABASE {} SET ").format(name) + SQL(setting))
            asleep.set()
            runner.start()
            day.go_on(10)
            assert not runner.wait_for(day.exchange.position, 0.5)
            admin.execute(SQL("ALTER DATABASE {} RESET ALL").format(name))
            asleep.clear()
        assert runner.wait_for(day.exchange.position, PATIENCE_S), runner.failed
        runner.stop()
        assert runner.failed is None


def test_the_next_may_build_though_the_server_has_not_noticed_that_the_last_one_left(
    view_store: ViewStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    left: list[psycopg.Connection] = []

    def leave(connection: psycopg.Connection) -> None:
        left.append(connection)

    monkeypatch.setattr(psycopg.Connection, "close", leave)
    with view_store.building():
        pass
    with view_store.building():
        pass
    monkeypatch.undo()
    for connection in left:
        connection.close()
    assert len(left) == 2


def test_who_builds_keeps_the_right_to_however_long_it_takes(
    view_store: ViewStore, postgres_url: str, postgres_database: str
) -> None:
    with psycopg.connect(postgres_url, autocommit=True) as server:
        name = Identifier(postgres_database.rpartition("/")[2])
        server.execute(SQL("ALTER DATABASE {} SET idle_session_timeout TO '50ms'").format(name))
        with view_store.building(), closing(psycopg.connect(postgres_database)) as idle:
            alive = [idle.info.backend_pid]
            question = "SELECT FROM pg_stat_activity WHERE pid = %s"
            until(lambda: not server.execute(question, alive).fetchall(), "it is ended")
            with pytest.raises(RebuildRunning), view_store.building():
                pass


def test_views_are_built_beside_an_attempt_that_the_server_still_works_on(
    view_store: ViewStore, postgres_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("projections.postgres._DROP_PATIENCE", "50ms")
    with open_memory() as memory:
        day = Day(memory)
        ViewSet.create(view_store).close()
        with psycopg.connect(postgres_database) as left:
            left.execute("DELETE FROM views_1.balances")
            position = rebuild(day.log, view_store)
            assert (view_store.current(), position) == ("views_2", day.exchange.position)
        for _ in range(2):
            rebuild(day.log, view_store)
    with psycopg.connect(postgres_database) as server:
        found = server.execute("SELECT nspname FROM pg_namespace WHERE nspname ~ '^views_[0-9]'")
        assert sorted(found) == [("views_3",), ("views_4",)]
