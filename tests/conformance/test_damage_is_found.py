"""Whatever is done to the stored commits, verify names the first event that is not to be trusted.

The log: commit n holds events 2n-1 and 2n, for n = 1 to 5.
"""

from collections.abc import Callable

import pytest

from audit.verify import verify
from domain.events import AccountOpened
from eventstore.errors import StoreDamaged
from eventstore.recovery import recover
from tests.conformance.backends import Backend

COMMITS = 5


def first_position(number: int) -> int:
    return 2 * number - 1


@pytest.fixture
def written(backend: Backend) -> Backend:
    with backend.open() as store:
        for n in range(COMMITS):
            # A date of today's length: its msgpack form is the widest there is.
            time_ms = 1_700_000_000_000 + n
            events = [AccountOpened(time_ms, f"account-{n}-{i}") for i in range(2)]
            store.log.append(events, time_ms)
        assert verify(store).ok
    return backend


def assert_found(backend: Backend, position: int) -> None:
    """Both verify and recovery must find it, and name the position."""
    with backend.open() as store:
        report = verify(store)
        assert report.first_bad_position == position, report.problems
        assert report.events == position - 1
    with backend.open() as store, pytest.raises(StoreDamaged) as caught:
        recover(store.log, None)
    assert caught.value.code == "store_damaged"
    assert caught.value.position == position


@pytest.mark.parametrize("number", [1, 3, COMMITS])
def test_a_removed_commit_is_found_and_named(written: Backend, number: int) -> None:
    written.remove(number)
    assert_found(written, first_position(number))


def test_a_log_whose_every_commit_was_removed_is_not_an_empty_one(written: Backend) -> None:
    for number in range(1, COMMITS + 1):
        written.remove(number)
    assert_found(written, 1)


@pytest.mark.parametrize(("one", "other"), [(1, 2), (2, 4), (4, COMMITS)])
def test_two_swapped_commits_are_found_and_named(written: Backend, one: int, other: int) -> None:
    written.swap(one, other)
    assert_found(written, first_position(one))


@pytest.mark.parametrize(("one", "other"), [(1, 2), (3, COMMITS)])
def test_two_swapped_states_are_found_and_named(written: Backend, one: int, other: int) -> None:
    states = written.state(one), written.state(other)
    written.set_state(one, states[1])
    written.set_state(other, states[0])
    assert_found(written, first_position(one))


@pytest.mark.parametrize("number", [1, 3, COMMITS])
@pytest.mark.parametrize("new_number", [-3, 0, 77, 2**40])
def test_an_altered_number_is_found_and_named(
    written: Backend, number: int, new_number: int
) -> None:
    written.renumber(number, new_number)
    assert_found(written, first_position(number))


def flip_bit(state: bytes, at: int) -> bytes:
    return state[:at] + bytes([state[at] ^ (1 << (at % 8))]) + state[at + 1 :]


def other_byte(state: bytes, at: int) -> bytes:
    return state[:at] + bytes([(state[at] + 1 + at) % 256 or 7]) + state[at + 1 :]


@pytest.mark.parametrize("alter", [flip_bit, other_byte])
@pytest.mark.parametrize("number", [1, 3, COMMITS])
def test_any_altered_byte_is_found_and_named(
    written: Backend, number: int, alter: Callable[[bytes, int], bytes]
) -> None:
    good = written.state(number)
    with written.open() as store:
        for at in range(len(good)):
            bad = alter(good, at)
            if bad == good:
                continue
            written.set_state(number, bad)
            report = verify(store)
            assert report.first_bad_position == first_position(number), (at, report.problems)
    written.set_state(number, flip_bit(good, len(good) // 2))
    assert_found(written, first_position(number))


def test_the_same_number_spelled_otherwise_is_found(written: Backend) -> None:
    """Msgpack has an unsigned and a signed form of one time; the seal is over the number."""
    good = written.state(3)
    unsigned, signed = b"\xcf", b"\xd3"
    assert unsigned + bytes(2) in good[:8]
    written.set_state(3, good.replace(unsigned + bytes(2), signed + bytes(2), 1))
    assert_found(written, first_position(3))


@pytest.mark.parametrize("bad", [b"", b"\xc0", b"no record at all", bytes(500)])
def test_rubbish_in_place_of_a_commit_is_found(written: Backend, bad: bytes) -> None:
    written.set_state(2, bad)
    assert_found(written, first_position(2))


def test_reading_gives_the_good_commits_before_the_damage_first(written: Backend) -> None:
    written.set_state(4, b"rubbish")
    with written.open() as store:
        assert [commit.number for commit in store.log.read(0)] == [1, 2, 3]
        with pytest.raises(StoreDamaged):
            store.log.read(3)
