"""Nothing is acknowledged before it is durable, and memory never runs ahead of the log for long."""

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from commands.errors import (
    CommandNotRecorded,
    EngineError,
    EngineStopped,
    OutcomeUnknown,
    Overloaded,
)
from commands.place_order import PlaceOrder
from commands.receipt import Receipt
from commands.registry import Outcome
from domain.errors import Rejected
from domain.events import Event, OrderPlaced
from domain.snapshot import state_hash
from eventstore.commit import Commit
from eventstore.errors import AppendFailed, AppendOutcomeUnknown, Fenced
from eventstore.memory import open_memory
from eventstore.recovery import recover
from eventstore.store import Store
from tests.engine_world import open_engine
from tests.given import BUY, SELL, cancel, place

WAIT_S = 5
Answers = queue.SimpleQueue[list[Outcome] | EngineError]


@pytest.fixture
def store() -> Iterator[Store]:
    with open_memory() as opened:
        yield opened


def _replace_append(
    monkeypatch: pytest.MonkeyPatch, store: Store, before: Callable[[], None]
) -> None:
    """Let something happen before each append."""
    append = store.log.append

    def appended(events: Sequence[Event], time_ms: int) -> Commit:
        before()
        return append(events, time_ms)

    monkeypatch.setattr(store.log, "append", appended)


def _raise(error: Exception) -> Callable[[], None]:
    def failing() -> None:
        raise error

    return failing


def _orders_in(store: Store) -> list[int]:
    return [
        event.order_id
        for commit in store.log.read_all()
        for event in commit.events
        if isinstance(event, OrderPlaced)
    ]


def test_a_command_is_acknowledged_only_after_its_append_has_returned(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = open_engine(store)
    may_append, appending = threading.Event(), threading.Event()

    def wait() -> None:
        appending.set()
        assert may_append.wait(WAIT_S)

    _replace_append(monkeypatch, store, wait)
    answers: Answers = queue.SimpleQueue()
    engine.submit([place("alice", BUY, 100, lots=1)], answers.put)
    assert appending.wait(WAIT_S)
    with pytest.raises(queue.Empty):
        answers.get(timeout=0.05)
    assert _orders_in(store) == []
    may_append.set()
    (receipt,) = _outcomes(answers.get(timeout=WAIT_S))
    assert isinstance(receipt, Receipt)
    assert _orders_in(store) == [receipt.order_id]
    engine.stop()


def _outcomes(answer: list[Outcome] | EngineError) -> list[Outcome]:
    assert not isinstance(answer, EngineError), repr(answer)
    return answer


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (AppendFailed("disk full"), CommandNotRecorded),
        (Fenced("another writer"), CommandNotRecorded),
        (AppendOutcomeUnknown("no answer"), OutcomeUnknown),
    ],
)
def test_a_failed_append_acknowledges_nothing_and_stops_the_engine(
    store: Store, monkeypatch: pytest.MonkeyPatch, error: Exception, told: type[EngineError]
) -> None:
    engine = open_engine(store)
    with monkeypatch.context() as broken:
        _replace_append(broken, store, _raise(error))
        with pytest.raises(told):
            engine.execute(place("alice", BUY, 100, lots=1), WAIT_S)
        assert engine.failed is error
        with pytest.raises(EngineStopped):
            engine.execute(place("alice", BUY, 100, lots=1), WAIT_S)
    engine.stop()
    assert _orders_in(store) == []
    again = open_engine(store)
    assert again.execute(place("alice", BUY, 100, lots=1)).order_id == 1
    again.stop()


def test_a_full_queue_refuses_at_once_and_drops_nothing_it_took(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = open_engine(store, queued_commands=3, commit_commands=1)
    may_append = threading.Event()
    _replace_append(monkeypatch, store, lambda: _assert_set(may_append))
    answers: Answers = queue.SimpleQueue()
    taken = 0
    with pytest.raises(Overloaded):  # noqa: PT012 (how many it takes first is a race)
        for _ in range(100):
            engine.submit([place("alice", BUY, 100, lots=1)], answers.put)
            taken += 1
    may_append.set()
    for _ in range(taken):
        assert isinstance(_outcomes(answers.get(timeout=WAIT_S))[0], Receipt)
    engine.stop()
    assert len(_orders_in(store)) == taken


def _assert_set(event: threading.Event) -> None:
    assert event.wait(WAIT_S)


def test_stopping_finishes_what_was_taken(store: Store) -> None:
    engine = open_engine(store)
    answers: Answers = queue.SimpleQueue()
    for _ in range(20):
        engine.submit([place("alice", BUY, 100, lots=1)] * 10, answers.put)
    engine.stop()
    assert sum(len(_outcomes(answers.get(timeout=WAIT_S))) for _ in range(20)) == 200
    assert len(_orders_in(store)) == 200


def test_recovery_gives_the_same_state_each_time_with_and_without_snapshot(store: Store) -> None:
    for round_number in range(4):
        engine = open_engine(store)
        engine.execute(place("alice", SELL, 100, lots=5))
        engine.execute(place("bob", BUY, 100, lots=3))
        live = state_hash(engine.exchange)
        engine.stop(snapshot=round_number % 2 == 0)
        assert state_hash(recover(store.log, store.snapshots).exchange) == live
        assert state_hash(recover(store.log, None).exchange) == live


def test_refused_commands_are_told_why_and_leave_no_event(store: Store) -> None:
    engine = open_engine(store)
    position = engine.exchange.position
    answers: Answers = queue.SimpleQueue()
    engine.submit([cancel("alice", 99), place("alice", BUY, 100, lots=1)], answers.put)
    refused, accepted = _outcomes(answers.get(timeout=WAIT_S))
    engine.stop()
    assert isinstance(refused, Rejected)
    assert refused.code == "unknown_order"
    assert isinstance(accepted, Receipt)
    assert engine.exchange.position == position + 1


def test_a_key_gets_its_first_answer_after_a_crash(store: Store) -> None:
    keyed: dict[str, Any] = {"scope": "alice", "idempotency_key": "k"}
    order: PlaceOrder = place("alice", BUY, 100, lots=1, **keyed)
    engine = open_engine(store)
    first = engine.execute(order)
    engine.stop(snapshot=False)
    again = open_engine(store)
    second = again.execute(order)
    again.stop()
    assert (second.order_id, second.position) == (first.order_id, first.position)
    assert second.repeated
    assert _orders_in(store) == [first.order_id]
