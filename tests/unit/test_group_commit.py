"""While one commit is written all that comes is decided, and shares the next one."""

import queue
import threading
from collections.abc import Iterator, Sequence

import pytest

from commands.errors import CommandNotRecorded, EngineError, EngineStopped
from commands.registry import Outcome
from domain.events import Event, OrderPlaced
from eventstore.commit import Commit
from eventstore.errors import AppendFailed
from eventstore.memory import open_memory
from eventstore.store import Store
from tests.engine_world import open_engine
from tests.given import BUY, place
from tests.waiting import until

WAIT_S = 5


class Slow:
    """An engine whose appends wait; `let` gives way to all of them, or lets each one fail."""

    def __init__(self, store: Store, monkeypatch: pytest.MonkeyPatch, **limits: int) -> None:
        self.engine = open_engine(store, **limits)
        self.answers: queue.SimpleQueue[list[Outcome] | EngineError] = queue.SimpleQueue()
        self.appending = threading.Event()
        self._may_append = threading.Event()
        self._failure: Exception | None = None
        self._append = store.log.append
        monkeypatch.setattr(store.log, "append", self._wait_and_append)

    def submit(self, orders: int = 1) -> None:
        self.engine.submit([place("alice", BUY, 100, lots=1)] * orders, self.answers.put)

    def append_one(self) -> None:
        """Return while the append of one order waits."""
        self.submit()
        assert self.appending.wait(WAIT_S)

    def decide(self, orders: int = 1) -> None:
        """Return once a submission is decided."""
        self.submit(orders)
        until(lambda: self.engine.queue_depth == 0)

    def let(self, failure: Exception | None = None) -> None:
        self._failure = failure
        self._may_append.set()

    def _wait_and_append(self, events: Sequence[Event], time_ms: int) -> Commit:
        self.appending.set()
        assert self._may_append.wait(WAIT_S)
        if self._failure is not None:
            raise self._failure
        return self._append(events, time_ms)


@pytest.fixture
def store() -> Iterator[Store]:
    with open_memory() as opened:
        yield opened


def orders_by_commit(store: Store) -> list[int]:
    found = [
        sum(isinstance(event, OrderPlaced) for event in commit.events)
        for commit in store.log.read_all()
    ]
    return [orders for orders in found if orders]


def test_what_comes_during_a_commit_is_decided_meanwhile_and_shares_the_next(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = Slow(store, monkeypatch)
    slow.append_one()
    for _ in range(3):
        slow.decide()
    assert slow.answers.empty()
    slow.let()
    slow.engine.stop()
    assert orders_by_commit(store) == [1, 3]
    assert slow.answers.qsize() == 4


def test_a_full_batch_takes_no_more(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = Slow(store, monkeypatch, commit_commands=4)
    slow.append_one()
    slow.decide(orders=3)
    slow.decide(orders=2)  # One submission is never split.
    slow.submit()
    slow.let()
    slow.engine.stop()
    assert orders_by_commit(store) == [1, 5, 1]


def test_what_was_decided_during_a_failing_commit_is_not_acknowledged(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = Slow(store, monkeypatch)
    slow.append_one()
    for _ in range(2):
        slow.decide()
    slow.let(AppendFailed("disk full"))
    told = [type(slow.answers.get(timeout=WAIT_S)) for _ in range(3)]
    assert told == [CommandNotRecorded, EngineStopped, EngineStopped]
    slow.engine.stop()
    assert orders_by_commit(store) == []
