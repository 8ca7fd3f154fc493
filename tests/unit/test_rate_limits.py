"""A key sends what it may each second, and no key's use takes from another's."""

import pytest

from api import rate_limits
from api.problems import RateLimited
from api.rate_limits import SECOND_NS, RateLimit


class Clock:
    def __init__(self) -> None:
        self.now_ns = 1_000 * SECOND_NS

    def __call__(self) -> int:
        return self.now_ns

    def pass_s(self, seconds: float) -> None:
        self.now_ns += round(seconds * SECOND_NS)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def taken(limit: RateLimit, key: str = "one", *, tries: int = 100) -> int:
    """Return how many of so many requests at once are let through."""
    for number in range(tries):
        try:
            limit.charge(key)
        except RateLimited:
            return number
    return tries


def test_a_second_s_worth_is_taken_at_once_and_then_as_it_comes_back(clock: Clock) -> None:
    limit = RateLimit(10, "requests", clock)
    assert taken(limit) == 10
    clock.pass_s(0.3)
    assert taken(limit) == 3
    clock.pass_s(60)
    assert taken(limit) == 10


def test_over_a_long_time_no_more_pass_than_the_rate(clock: Clock) -> None:
    limit = RateLimit(7, "requests", clock)
    passed = 0
    for _ in range(1_000):
        passed += taken(limit, tries=3)
        clock.pass_s(0.01)
    assert passed == pytest.approx(7 * 10 + 7, abs=1)


def test_each_key_has_its_own(clock: Clock) -> None:
    limit = RateLimit(2, "requests", clock)
    assert [taken(limit, "one"), taken(limit, "two"), taken(limit, "one")] == [2, 2, 0]


def test_a_batch_larger_than_a_second_s_worth_passes_and_is_paid_for(clock: Clock) -> None:
    limit = RateLimit(10, "orders", clock)
    limit.charge("one", 1_000)
    clock.pass_s(98)
    with pytest.raises(RateLimited, match="10 orders a second; try again in 2 s") as refused:
        limit.charge("one", 20)
    assert refused.value.retry_after_s == 2
    clock.pass_s(refused.value.retry_after_s)
    limit.charge("one", 20)


def test_who_waits_as_long_as_told_is_let_in(clock: Clock) -> None:
    limit = RateLimit(1, "requests", clock)
    limit.charge("one")
    with pytest.raises(RateLimited) as refused:
        limit.charge("one")
    clock.pass_s(refused.value.retry_after_s)
    limit.charge("one")


def test_zero_is_no_limit(clock: Clock) -> None:
    assert taken(RateLimit(0, "requests", clock), tries=10_000) == 10_000


def test_keys_that_rest_are_forgotten(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_limits, "KEYS_KEPT", 3)
    limit = RateLimit(1, "requests", clock)
    for number in range(50):
        limit.charge(f"key {number}")
        clock.pass_s(1)
    assert len(limit._full_at_ns) <= 3
