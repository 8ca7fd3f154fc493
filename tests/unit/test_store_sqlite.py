"""The SQLite files themselves: durable, append-only, versioned, and clear about what is wrong."""

import multiprocessing
import multiprocessing.pool
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from eventsourcing.persistence import ConnectionPoolClosedError

from audit.verify import verify
from domain.events import AccountOpened, Event
from eventstore.errors import (
    AppendFailed,
    NoStore,
    StoreDamaged,
    StoreError,
    StoreLocked,
    StoreTooNew,
)
from eventstore.recovery import recover
from eventstore.sqlite import SQLiteRecorder, open_sqlite
from eventstore.store import Store


def opened(n: int) -> list[Event]:
    return [AccountOpened(1_700_000_000_000 + n, f"account-{n}")]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_sqlite(tmp_path) as store:
        for n in range(3):
            store.log.append(opened(n), n)
        yield store


def execute(directory: Path, *statements: str) -> None:
    with closing(sqlite3.connect(directory / "log.db", isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


def recorder_of(store: Store) -> SQLiteRecorder:
    assert isinstance(store.log.recorder, SQLiteRecorder)
    return store.log.recorder


def test_commits_are_durable_when_append_returns(store: Store) -> None:
    writer = recorder_of(store)._writer
    assert writer.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert writer.execute("PRAGMA synchronous").fetchone() == (2,)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE stored_events SET topic = 'x' WHERE originator_version = 2",
        "DELETE FROM stored_events WHERE originator_version = 3",
        (
            "INSERT OR REPLACE INTO stored_events"
            " SELECT originator_id, originator_version, topic, x''"
            " FROM stored_events WHERE originator_version = 2"
        ),
        (
            "INSERT OR REPLACE INTO stored_events (rowid, originator_id, originator_version)"
            " VALUES (2, 'other', 1)"
        ),
        "DELETE FROM log_head",
    ],
)
def test_the_database_itself_refuses_to_change_a_commit(
    store: Store, tmp_path: Path, statement: str
) -> None:
    with pytest.raises(sqlite3.IntegrityError):
        execute(tmp_path, statement)
    assert verify(store).problems == []


def test_a_removed_safeguard_is_reported(store: Store, tmp_path: Path) -> None:
    execute(tmp_path, "DROP TRIGGER events_are_never_deleted")
    assert [each.detail for each in verify(store).problems] == [
        "the trigger events_are_never_deleted was removed"
    ]


def test_the_note_of_the_last_commit_cannot_be_removed_unnoticed(
    store: Store, tmp_path: Path
) -> None:
    execute(tmp_path, "DROP TRIGGER head_is_never_deleted", "DELETE FROM log_head")
    assert "the note of the last commit (log_head) was removed" in [
        each.detail for each in verify(store).problems
    ]


def test_rows_out_of_order_are_reported(store: Store, tmp_path: Path) -> None:
    execute(
        tmp_path,
        "DROP TRIGGER events_are_never_changed",
        "UPDATE stored_events SET rowid = 9 WHERE originator_version = 2",
    )
    assert any("lists commit 3 before 2" in each.detail for each in verify(store).problems)


def test_a_store_of_a_newer_version_is_refused(store: Store, tmp_path: Path) -> None:
    store.close()
    execute(tmp_path, "UPDATE foldex_store SET value = '99'")
    with pytest.raises(StoreTooNew, match=r"version 99.*upgrade Foldex"):
        open_sqlite(tmp_path)


def test_another_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    execute(tmp_path, "CREATE TABLE songs (title TEXT)")
    before = (tmp_path / "log.db").read_bytes()
    with pytest.raises(NoStore, match="not a Foldex store"):
        open_sqlite(tmp_path)
    assert (tmp_path / "log.db").read_bytes() == before


def test_a_file_that_is_no_database_is_called_damaged(tmp_path: Path) -> None:
    (tmp_path / "log.db").write_bytes(b"not a database, only text " * 100)
    with pytest.raises(StoreDamaged, match="not a database"):
        open_sqlite(tmp_path)


def test_a_missing_store_is_not_made_when_that_was_not_asked(tmp_path: Path) -> None:
    with pytest.raises(NoStore):
        open_sqlite(tmp_path / "nowhere", create=False)
    (tmp_path / "log.db").touch()
    with pytest.raises(NoStore):
        open_sqlite(tmp_path, create=False)


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot make the directory"):
        open_sqlite(tmp_path / "file" / "data")


def test_a_full_disk_refuses_the_append_and_keeps_what_there_was(store: Store) -> None:
    writer = recorder_of(store)._writer
    pages = writer.execute("PRAGMA page_count").fetchone()[0]
    writer.execute(f"PRAGMA max_page_count = {pages}")
    # Names that do not compress, enough for more than the free pages.
    events: list[Event] = [AccountOpened(1, f"{n * 7919**9:x}") for n in range(5_000)]
    with pytest.raises(AppendFailed, match="full"):
        store.log.append(events, 1)
    writer.execute("PRAGMA max_page_count = 1000000")
    assert verify(store).events == 3
    assert store.log.append(events, 1).number == 4


def test_a_read_only_database_refuses_the_append(store: Store) -> None:
    recorder_of(store)._writer.execute("PRAGMA query_only = ON")
    with pytest.raises(AppendFailed, match="readonly"):
        store.log.append(opened(9), 1)


def test_a_torn_file_is_reported_not_a_stack_trace(tmp_path: Path) -> None:
    with open_sqlite(tmp_path) as store:
        for n in range(200):
            store.log.append([AccountOpened(n, f"{n * k * 7919**9:x}") for k in range(40)], n)
    file = tmp_path / "log.db"
    content = bytearray(file.read_bytes())
    page = 4096
    for start in range(len(content) // 2, len(content), page):
        content[start : start + page] = b"\xff" * page
    file.write_bytes(content)
    with open_sqlite(tmp_path, create=False) as store:
        report = verify(store)
        assert len(report.problems) > 0
        assert report.first_bad_position is not None
        with pytest.raises(StoreDamaged):
            recover(store.log, None)


def try_to_write(directory: Path, answer: "multiprocessing.Queue[str]") -> None:
    try:
        open_sqlite(directory, for_writing=True).close()
        answer.put("opened")
    except StoreLocked as error:
        answer.put(f"{error.code}: {error}")


def ask_another_process(directory: Path) -> str:
    context = multiprocessing.get_context("spawn")
    answer: multiprocessing.Queue[str] = context.Queue()
    process = context.Process(target=try_to_write, args=(directory, answer))
    process.start()
    try:
        return answer.get(timeout=30)
    finally:
        process.join(timeout=30)


def test_a_second_process_is_told_that_the_store_is_locked(tmp_path: Path) -> None:
    with open_sqlite(tmp_path, for_writing=True), open_sqlite(tmp_path) as reader:
        assert ask_another_process(tmp_path).startswith("store_locked: process ")
        assert reader.log.read(0) == []
    assert ask_another_process(tmp_path) == "opened"


def test_many_may_make_the_store_at_once(tmp_path: Path) -> None:
    with multiprocessing.pool.ThreadPool(4) as pool:
        stores = pool.map(open_sqlite, [tmp_path / "new"] * 4)
    for store in stores:
        assert store.log.read(0) == []
        store.close()


def test_it_closes_when_nobody_reads_or_writes_any_more(tmp_path: Path) -> None:
    recorder = SQLiteRecorder(tmp_path / "log.db")
    closer = threading.Thread(target=recorder.close)
    with recorder._writing:
        with recorder.datastore.transaction(commit=False) as cursor:
            closer.start()
            closer.join(timeout=0.1)
            cursor.execute("SELECT count(*) FROM stored_events")
            with pytest.raises(ConnectionPoolClosedError):
                recorder.max_notification_id()
        recorder._writer.execute("SELECT 1")
    closer.join(timeout=10)
    assert not closer.is_alive()
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        recorder._writer.execute("SELECT 1")
