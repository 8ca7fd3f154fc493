"""A thread beside a process's own business: it rests, is told to stop, and is waited for."""

import time

from eventstore.background import Background


def test_it_is_stopped_while_it_rests_and_waited_for() -> None:
    rested: list[bool] = []
    thread = Background("idle", lambda: rested.append(thread.rest(60)))
    thread.start()
    thread.stop()
    assert rested == [True]
    assert not thread.is_alive()


def test_it_rests_as_long_as_nobody_tells_it_to_stop() -> None:
    thread = Background("idle", lambda: None)
    assert not thread.rest(0.01)
    assert not thread.stopping


def test_one_that_never_started_is_only_told() -> None:
    thread = Background("idle", lambda: None)
    thread.stop()
    assert thread.stopping
    assert thread.rest(60)


def test_one_that_hangs_is_waited_for_no_longer_than_it_is_worth() -> None:
    thread = Background("stuck", lambda: time.sleep(1))
    thread.start()
    thread.stop(timeout_s=0.01)
    assert thread.is_alive()
    thread.join()
