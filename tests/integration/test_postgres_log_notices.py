"""A waiting reader is woken by PostgreSQL, and is never lost without it."""

import threading
import time
from collections.abc import Iterator

import psycopg
import pytest

from domain.events import AccountOpened
from eventstore import postgres, postgres_notices
from eventstore.postgres import PostgresRecorder, open_postgres
from eventstore.postgres_schema import migrate
from eventstore.recorder import POLL_S
from eventstore.store import Store
from tests.waiting import until

PATIENCE_S = 30
LISTENERS = (
    "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'foldex listener%'"
    " AND datname = current_database()"
)


@pytest.fixture
def url(postgres_database: str) -> str:
    migrate(postgres_database)
    return postgres_database


@pytest.fixture
def writer(url: str) -> Iterator[Store]:
    with open_postgres(url) as store:
        yield store


@pytest.fixture
def reader(url: str) -> Iterator[Store]:
    """A reader that only hears: it would look again after a minute."""
    with open_postgres(url) as store:
        store.log.wait(0, timeout_s=0)
        await_listening(store)
        yield store


def await_listening(store: Store) -> None:
    until(lambda: store.log.recorder.poll_s != POLL_S)


def await_not_listening(store: Store) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while store.log.recorder.poll_s != POLL_S:  # Without a pause: it may be a short time.
        assert time.monotonic() < deadline_s


def append(store: Store) -> None:
    store.log.append([AccountOpened(1, "a")], 1)


def end_listener(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as admin:
        ended = admin.execute(f"SELECT pg_terminate_backend(pid) FROM ({LISTENERS}) AS it")
        assert ended.fetchall() == [(True,)]


def test_a_commit_of_another_process_wakes_a_waiting_reader(
    writer: Store, reader: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "LISTENING_POLL_S", 60.0)
    timer = threading.Timer(0.2, append, [writer])
    timer.start()
    began_s = time.monotonic()
    assert reader.log.wait(0, timeout_s=PATIENCE_S)
    assert time.monotonic() - began_s < PATIENCE_S / 2
    timer.join()


def test_every_one_of_many_waiting_threads_is_woken(
    writer: Store, reader: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "LISTENING_POLL_S", 60.0)
    woken: list[bool] = []
    threads = [
        threading.Thread(target=lambda: woken.append(reader.log.wait(0, PATIENCE_S / 2)))
        for _ in range(5)
    ]
    for thread in threads:
        thread.start()
    time.sleep(0.2)
    append(writer)
    for thread in threads:
        thread.join()
    assert woken == [True] * 5


def test_a_reader_whose_listening_ended_still_finds_the_next_commit(
    url: str, writer: Store, reader: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_notices, "RECONNECT_S", 60.0)
    end_listener(url)
    await_not_listening(reader)
    timer = threading.Timer(0.2, append, [writer])
    timer.start()
    assert reader.log.wait(0, timeout_s=PATIENCE_S)
    assert reader.log.recorder.poll_s == POLL_S
    timer.join()


def test_listening_goes_on_after_its_connection_was_ended(
    url: str, writer: Store, reader: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    end_listener(url)
    await_not_listening(reader)
    await_listening(reader)
    test_a_commit_of_another_process_wakes_a_waiting_reader(writer, reader, monkeypatch)


def test_what_was_stored_while_nobody_listened_is_found_when_listening_begins(
    url: str, writer: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commit is stored after the reader looked and before it listens: nothing announces it."""
    with open_postgres(url) as late:
        recorder = late.log.recorder
        assert isinstance(recorder, PostgresRecorder)
        monkeypatch.setattr(type(recorder), "poll_s", 60.0)
        monkeypatch.setattr(recorder, "watch", lambda *_: None)
        woken: list[bool] = []
        waiting = threading.Thread(target=lambda: woken.append(late.log.wait(0, PATIENCE_S)))
        waiting.start()
        time.sleep(0.2)
        append(writer)
        recorder._notices.watch(late.log.stream, late.log._notice)
        waiting.join(PATIENCE_S / 2)
        assert woken == [True]


def test_a_notice_that_means_nothing_wakes_nobody(url: str, reader: Store) -> None:
    with psycopg.connect(url, autocommit=True) as other:
        timer = threading.Timer(0.1, other.execute, ["NOTIFY foldex_commits, 'exchange:main'"])
        timer.start()
        assert not reader.log.wait(0, timeout_s=0.5)
        timer.join()


def test_a_store_that_nobody_waits_on_does_not_listen(url: str, writer: Store) -> None:
    append(writer)
    with psycopg.connect(url) as admin:
        assert admin.execute(LISTENERS).fetchall() == []
