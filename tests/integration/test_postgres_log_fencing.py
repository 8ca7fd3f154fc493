"""One writer: a second is told politely, and one that was overtaken can never append."""

import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

import psycopg
import pytest

from audit.verify import verify
from domain.events import AccountOpened, WriterStarted
from eventstore.errors import StoreError, StoreLocked
from eventstore.postgres import open_postgres
from eventstore.postgres_schema import migrate
from eventstore.store import Store
from tests.waiting import until

SPAWN = multiprocessing.get_context("spawn")
PATIENCE_S = 30
LOCK_HOLDERS = """SELECT pid FROM pg_locks JOIN pg_stat_activity USING (pid)
    WHERE locktype = 'advisory' AND granted AND datname = current_database()
      AND application_name LIKE 'foldex writer%'"""


@pytest.fixture
def url(postgres_database: str) -> str:
    migrate(postgres_database)
    return postgres_database


def write_until_refused(url: str, parent: Connection) -> None:
    """In a process: append commit after commit, tell the number of each, and why it ended."""
    with open_postgres(url, for_writing=True, wait_s=PATIENCE_S) as store:
        try:
            while True:
                commit = store.log.append([AccountOpened(1, f"{os.getpid()}")], 1)
                parent.send(commit.number)
        except StoreError as error:
            parent.send(error.code)


@contextmanager
def writing(url: str) -> Iterator[tuple[BaseProcess, Connection]]:
    ours, theirs = SPAWN.Pipe()
    process = SPAWN.Process(target=write_until_refused, args=(url, theirs))
    process.start()
    theirs.close()
    try:
        yield process, ours
    finally:
        process.kill()
        process.join()
        process.close()
        ours.close()


def numbers_until_quiet(told: Connection) -> list[int]:
    """Return what a process told before it was stopped."""
    numbers: list[int] = []
    while told.poll(0.3):
        numbers.append(told.recv())
    return numbers


def paused(process: BaseProcess, told: Connection) -> list[int]:
    """Stop a writing process wherever it is, and return what it had told."""
    assert told.poll(PATIENCE_S)
    assert process.pid is not None
    time.sleep(0.2)
    os.kill(process.pid, signal.SIGSTOP)
    return numbers_until_quiet(told)


def resumed(process: BaseProcess, told: Connection) -> tuple[list[int], str]:
    """Let it go on, and return what it told then: more numbers, and why it ended."""
    assert process.pid is not None
    os.kill(process.pid, signal.SIGCONT)
    numbers: list[int] = []
    while told.poll(PATIENCE_S):
        if isinstance(answer := told.recv(), str):
            return numbers, answer
        numbers.append(answer)
    raise AssertionError("the process never ended")


def take_over(store: Store) -> int:
    """Append as a successor does first, and twice more; return the first number."""
    first = store.log.append([WriterStarted(1, "successor")], 1).number
    for _ in range(2):
        store.log.append([AccountOpened(1, "successor")], 1)
    return first


def assert_whole(store: Store, acknowledged: list[int], pid: int) -> None:
    """Every acknowledged commit is that writer's, and the log has no gap."""
    assert verify(store).ok
    commits = {commit.number: commit for commit in store.log.read_all()}
    for number in acknowledged:
        assert commits[number].events == [AccountOpened(1, f"{pid}")]


def end_sessions(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as admin:
        ended = admin.execute(f"SELECT pg_terminate_backend(pid) FROM ({LOCK_HOLDERS}) AS it")
        assert ended.fetchall() == [(True,)]
        until(lambda: admin.execute(LOCK_HOLDERS).fetchone() is None)


def test_a_paused_writer_whose_session_was_ended_cannot_append(url: str) -> None:
    with writing(url) as (process, told):
        acknowledged = paused(process, told)
        end_sessions(url)
        with open_postgres(url, for_writing=True) as store:
            first = take_over(store)
            later, reason = resumed(process, told)
            assert reason == "fenced"
            assert all(number < first for number in later)
            assert_whole(store, acknowledged + later, process.pid or 0)


def test_a_paused_writer_whose_lock_was_passed_by_cannot_append(url: str) -> None:
    with writing(url) as (process, told):
        acknowledged = paused(process, told)
        with pytest.raises(StoreLocked):
            open_postgres(url, for_writing=True)
        with open_postgres(url) as store:
            first = take_over(store)
            later, reason = resumed(process, told)
            assert reason == "fenced"
            assert all(number < first for number in later)
            assert_whole(store, acknowledged + later, process.pid or 0)


def test_a_killed_writer_leaves_the_log_to_the_next(url: str) -> None:
    with writing(url) as (process, told):
        assert told.poll(PATIENCE_S)
        acknowledged = [told.recv()]
        process.kill()
        process.join()
        with open_postgres(url, for_writing=True, wait_s=PATIENCE_S) as store:
            while told.poll():
                try:
                    acknowledged.append(told.recv())
                except EOFError:
                    break
            take_over(store)
            assert_whole(store, acknowledged, process.pid or 0)


def test_a_standby_waits_until_the_writer_is_gone(url: str) -> None:
    with open_postgres(url, for_writing=True) as store, writing(url) as (_, told):
        store.log.append([AccountOpened(1, "first")], 1)
        assert not told.poll(1)
        store.close()
        assert told.poll(PATIENCE_S)
        assert told.recv() == 2


def test_a_second_writer_is_told_who_the_first_is(url: str) -> None:
    with open_postgres(url, for_writing=True):
        with pytest.raises(StoreLocked, match=rf"foldex writer \S+:{os.getpid()}' \(from 127") as e:
            open_postgres(url, for_writing=True)
        assert e.value.code == "store_locked"
        with open_postgres(url, shard="other", for_writing=True) as other:
            assert other.log.append([AccountOpened(1, "a")], 1).number == 1


def test_a_writer_that_lost_its_lock_does_not_take_it_back_from_another(url: str) -> None:
    with open_postgres(url, for_writing=True) as old:
        old.log.append([AccountOpened(1, "a")], 1)
        end_sessions(url)
        with open_postgres(url, for_writing=True) as new:
            for _ in range(2):
                with pytest.raises(StoreError, match="was not stored"):
                    old.log.append([AccountOpened(1, "late")], 1)
            assert new.log.append([AccountOpened(1, "b")], 1).number == 2
