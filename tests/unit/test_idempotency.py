"""Idempotency keys: the same command again gets the first answer, for 24 hours of event time."""

import msgspec

from commands.place_order import PlaceOrder
from domain.errors import IdempotencyKeyReused, InsufficientFunds
from domain.exchange import ANSWERS_KEPT_MS
from domain.snapshot import dump, load
from tests.given import (
    BUY,
    NOW_MS,
    SELL,
    Given,
    answered,
    cancel,
    cancelled,
    given,
    place,
    placed,
    trade,
)

KEY = {"scope": "alice", "idempotency_key": "k1"}
KEYED = place("alice", BUY, 100, lots=5, **KEY)


def _later(command: PlaceOrder, by_ms: int) -> PlaceOrder:
    return msgspec.structs.replace(command, time_ms=command.time_ms + by_ms)


def _restarted(state: Given) -> Given:
    """Return the exchange as it is after a restart from a snapshot."""
    state.exchange = load(dump(state.exchange))
    return state


def test_a_keyed_command_ends_with_its_answer() -> None:
    state = given()
    before = state.exchange.position
    state.when(KEYED).then(
        placed(),
        answered(key="k1", scope="alice", code="", position=before + 1, order_id=1, status="open"),
    )
    assert state.exchange.position == before + 2


def test_the_same_command_again_gets_the_first_answer_and_does_nothing() -> None:
    state = given(KEYED)
    first = state.outcome
    assert first is not None
    state.when(_later(KEYED, 60_000)).nothing()
    state.receipt(order_id=1, status="open", position=first.position, repeated=True)  # type: ignore[union-attr]


def test_the_answer_tells_what_traded_then_and_not_what_has_become_of_the_order_since() -> None:
    state = given(place("bob", SELL, 100, lots=2), KEYED, place("bob", SELL, 100, lots=3))
    state.when(KEYED).nothing().receipt(order_id=2, status="partially_filled", filled_lots=2)


def test_the_key_works_after_the_order_is_closed_unlike_its_client_order_id() -> None:
    order = place("alice", BUY, 100, lots=5, client_order_id="mine", **KEY)
    state = given(order, cancel("alice", 1))
    state.when(order).nothing().receipt(order_id=1)
    unkeyed = place("alice", BUY, 100, lots=5, client_order_id="mine")
    state.when(unkeyed).then(placed(order_id=2))


def test_a_refused_command_is_refused_again_although_it_could_now_be_done() -> None:
    poor = place("alice", BUY, 1_001, lots=1_000, **KEY)
    resting = place("alice", BUY, 900, lots=1_000)
    affordable = place("alice", BUY, 900, lots=200, **KEY)
    state = given(resting).when(affordable)
    assert isinstance(state.outcome, InsufficientFunds)
    assert [type(event).__name__ for event in state.events] == ["RequestAnswered"]
    state.when(cancel("alice", 1)).then(cancelled())
    state.when(affordable).refused(InsufficientFunds)
    state.when(poor).refused(IdempotencyKeyReused)


def test_a_key_names_one_command_only() -> None:
    state = given(KEYED)
    state.when(place("alice", BUY, 100, lots=6, **KEY)).refused(IdempotencyKeyReused)
    state.when(cancel("alice", 1, **KEY)).refused(IdempotencyKeyReused)


def test_another_scope_may_use_the_same_key() -> None:
    other = place("bob", SELL, 100, lots=5, scope="bob", idempotency_key="k1")
    given(KEYED).when(other).then(placed(), trade(1, 2, 100, 5), answered(scope="bob"))


def test_keys_survive_a_snapshot() -> None:
    _restarted(given(KEYED)).when(KEYED).nothing().receipt(order_id=1)


def test_a_key_is_remembered_for_a_day_of_event_time_and_then_forgotten() -> None:
    state = given(KEYED)
    state.when(_later(KEYED, ANSWERS_KEPT_MS)).nothing()
    state.when(_later(KEYED, ANSWERS_KEPT_MS + 1)).then(placed(order_id=2), answered())


def test_forgotten_keys_leave_the_state() -> None:
    state = given(KEYED)
    late = NOW_MS + ANSWERS_KEPT_MS + 1
    state.when(place("alice", BUY, 90, 1, time_ms=late, scope="alice", idempotency_key="k2"))
    assert list(state.exchange.answers["alice"]) == ["k2"]


def test_everything_that_decides_what_comes_next_survives_a_snapshot() -> None:
    """Last price, order, trade and withdrawal counters, queue order, client ids, keys, time."""
    state = given(
        KEYED,
        place("bob", BUY, 100, lots=5, client_order_id="b"),
        place("carol", SELL, 100, lots=3),
    )
    state = _restarted(state)
    assert state.exchange.markets["BTC-USDT"].last_price_ticks == 100
    assert state.exchange.time_ms == NOW_MS
    state.when(place("bob", BUY, 100, lots=5, client_order_id="b")).nothing()
    state.when(place("carol", SELL, 100, lots=3)).then(
        placed(order_id=4), trade(1, 4, 100, 2, trade_id=2), trade(2, 4, 100, 1, trade_id=3)
    )
