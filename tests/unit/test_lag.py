"""How long something is behind is told from positions at several times."""

from api.lag import SAMPLES_MAX, LagClock


def test_what_keeps_up_is_not_behind() -> None:
    clock = LagClock()
    clock.note(10, 10, now_s=1.0)

    assert (clock.events, clock.seconds(5.0)) == (0, 0.0)


def test_it_is_behind_since_the_oldest_end_that_it_has_not_reached() -> None:
    clock = LagClock()
    clock.note(10, 5, now_s=1.0)
    clock.note(20, 5, now_s=2.0)
    assert (clock.events, clock.seconds(3.0)) == (15, 2.0)

    clock.note(20, 10, now_s=3.5)
    assert (clock.events, clock.seconds(4.0)) == (10, 2.0)

    clock.note(20, 20, now_s=5.0)
    assert (clock.events, clock.seconds(6.0)) == (0, 0.0)


def test_an_end_that_is_unknown_for_a_while_changes_nothing() -> None:
    clock = LagClock()
    clock.note(10, 5, now_s=1.0)
    clock.note(0, 5, now_s=2.0)

    assert clock.seconds(3.0) == 2.0


def test_what_an_engine_never_recorded_is_not_waited_for() -> None:
    clock = LagClock()
    clock.note(10, 5, now_s=1.0)
    clock.note(6, 6, now_s=2.0)

    assert clock.seconds(3.0) == 0.0


def test_it_keeps_the_oldest_of_too_many_samples() -> None:
    clock = LagClock()
    for position in range(1, 3 * SAMPLES_MAX):
        clock.note(position, 0, now_s=float(position))

    assert clock.seconds(100.0 + 3 * SAMPLES_MAX) == 99.0 + 3 * SAMPLES_MAX
