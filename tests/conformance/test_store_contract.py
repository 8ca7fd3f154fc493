"""What every store does: append, read, fence, wait, remember."""

import threading
import time
from collections.abc import Sequence
from typing import Any

import pytest
from eventsourcing.persistence import OperationalError, StoredEvent

from domain.events import AccountOpened, Event, WriterStarted
from eventstore.commit import GENESIS
from eventstore.errors import AppendFailed, AppendOutcomeUnknown, Fenced, StoreDamaged, StoreError
from eventstore.snapshots import KEPT, snapshot_of
from eventstore.store import Log, Store
from tests.conformance.backends import Backend


def opened(*names: str) -> list[Event]:
    return [AccountOpened(1_000, name) for name in names]


def test_an_empty_log_has_no_commits(store: Store) -> None:
    assert store.log.head == GENESIS
    assert store.log.read(0) == []


def test_commits_are_numbered_and_events_have_positions(store: Store) -> None:
    first = store.log.append(opened("a", "b"), 1_000)
    second = store.log.append(opened("c"), 1_001)
    assert (first.number, first.first_position, first.last_position) == (1, 1, 2)
    assert (second.number, second.first_position, second.last_position) == (2, 3, 3)
    assert second.previous_seal == first.seal
    assert [recorded.position for recorded in first.recorded()] == [1, 2]


def test_what_is_read_is_what_was_appended(backend: Backend, store: Store) -> None:
    appended = [store.log.append(opened(f"a{n}", f"b{n}"), n) for n in range(5)]
    with backend.open() as other:
        assert other.log.read(0) == appended
        assert other.log.read(3) == appended[3:]
        assert other.log.read(1, limit=2) == appended[1:3]
        assert other.log.read(5) == []
        assert other.log.head == appended[-1].head


def test_a_log_longer_than_a_page_is_read_whole(store: Store) -> None:
    for n in range(7):
        store.log.append(opened(f"a{n}"), n)
    assert [commit.number for commit in store.log.read_all(limit=3)] == [1, 2, 3, 4, 5, 6, 7]


def test_an_empty_commit_is_a_mistake_of_the_caller(store: Store) -> None:
    with pytest.raises(ValueError, match="at least one event"):
        store.log.append([], 1)


def test_a_reader_ahead_of_the_log_is_told(store: Store) -> None:
    store.log.append(opened("a"), 1)
    with pytest.raises(StoreDamaged, match="commit 9, which a reader has seen"):
        store.log.read(9)


def test_the_second_of_two_writers_is_fenced(backend: Backend) -> None:
    with backend.open() as one, backend.open() as two:
        one.log.append(opened("a"), 1)
        assert two.log.head.number == 1
        one.log.append(opened("b"), 2)
        with pytest.raises(Fenced):
            two.log.append(opened("c"), 2)
        assert [commit.number for commit in one.log.read_all()] == [1, 2]
        assert one.log.append(opened("d"), 3).number == 3


def test_a_stale_writer_is_fenced_even_long_after(backend: Backend) -> None:
    with backend.open() as stale, backend.open() as successor:
        stale.log.append(opened("a"), 1)
        successor.log.refresh_head()
        for n in range(5):
            successor.log.append([WriterStarted(2, f"successor {n}")], 2)
        with pytest.raises(Fenced) as caught:
            stale.log.append(opened("late"), 3)
        assert caught.value.code == "fenced"
        assert "late" not in str([commit.events for commit in successor.log.read_all()])


def test_of_many_writers_at_once_one_wins_each_number(backend: Backend) -> None:
    won: list[int] = []

    def write(name: str) -> None:
        with backend.open() as store:
            for n in range(10):
                try:
                    won.append(store.log.append(opened(f"{name}-{n}"), 1).number)
                except Fenced:
                    store.log.refresh_head()

    threads = [threading.Thread(target=write, args=(f"w{n}",)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(won) == list(range(1, len(won) + 1))
    with backend.open() as store:
        assert [commit.number for commit in store.log.read_all()] == sorted(won)


class Failing:
    """Stands in for a recorder's insert (and select) when the database goes away."""

    def __init__(self, log: Log, *, lands: bool, blind: bool = False) -> None:
        self._log = log
        self._insert = log.recorder.insert_events
        self._lands = lands
        self._blind = blind

    def insert(self, rows: Sequence[StoredEvent], **_: Any) -> Sequence[int] | None:
        if self._lands:
            self._insert(rows)
        if self._blind:
            self._log.recorder.select_events = self.select  # type: ignore[method-assign]
        raise OperationalError("connection lost")

    def select(self, *_: Any, **__: Any) -> Sequence[StoredEvent]:
        raise OperationalError("still no connection")


def fail_next(store: Store, monkeypatch: pytest.MonkeyPatch, failing: Failing) -> None:
    monkeypatch.setattr(store.log.recorder, "insert_events", failing.insert)


def test_an_append_that_landed_in_spite_of_an_error_succeeds(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as context:
        fail_next(store, context, Failing(store.log, lands=True))
        assert store.log.append(opened("a"), 1).number == 1
    assert store.log.append(opened("b"), 1).number == 2


def test_an_append_that_did_not_land_says_so(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    fail_next(store, monkeypatch, Failing(store.log, lands=False))
    with pytest.raises(AppendFailed, match="was not stored: connection lost"):
        store.log.append(opened("a"), 1)


def test_an_append_nobody_can_look_up_has_an_unknown_outcome(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    with backend.open() as store:
        monkeypatch.setattr(store.log.recorder, "select_events", store.log.recorder.select_events)
        fail_next(store, monkeypatch, Failing(store.log, lands=True, blind=True))
        assert store.log.head == GENESIS
        with pytest.raises(AppendOutcomeUnknown, match="still no connection"):
            store.log.append(opened("a"), 1)
        monkeypatch.undo()


def test_waiting_returns_at_once_when_there_is_more(store: Store) -> None:
    store.log.append(opened("a"), 1)
    assert store.log.wait(0, timeout_s=0) is True
    assert store.log.wait(1, timeout_s=0.01) is False


@pytest.mark.parametrize("same_log", [True, False])
def test_an_append_wakes_a_waiting_reader(backend: Backend, same_log: bool) -> None:
    with backend.open() as writer, backend.open() as other:
        timer = threading.Timer(0.1, lambda: writer.log.append(opened("a"), 1))
        timer.start()
        began_s = time.monotonic()
        assert (writer if same_log else other).log.wait(0, timeout_s=5)
        assert time.monotonic() - began_s < 2
        timer.join()


def test_snapshots_come_back_newest_first_and_old_ones_go(store: Store) -> None:
    head = store.log.append(opened("a"), 1).head
    for position in range(1, KEPT + 3):
        store.snapshots.save(snapshot_of(position, head, b"state %d" % position))
    assert store.snapshots.positions() == [5, 4, 3]
    newest, older = store.snapshots.newest(), store.snapshots.newest(max_position=4)
    assert newest is not None
    assert older is not None
    assert (newest.position, newest.state, newest.seal) == (5, b"state 5", head.seal)
    assert older.position == 4
    assert store.snapshots.newest(max_position=2) is None


def test_a_snapshot_taken_again_replaces_the_one_before(store: Store) -> None:
    for state in (b"one", b"two"):
        store.snapshots.save(snapshot_of(7, GENESIS, state))
    assert store.snapshots.at(7).state == b"two"
    with pytest.raises(StoreError, match="cannot be read"):
        store.snapshots.at(8)
