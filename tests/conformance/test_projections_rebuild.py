"""Views are swapped under those who read them, and never go on from where they should not."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import pytest

from domain.events import AccountOpened, AssetListed, DepositCredited, Event, WriterStarted
from eventstore.commit import Commit
from eventstore.memory import open_memory
from eventstore.store import Log
from projections.compare import compare, fingerprint
from projections.database import RebuildRunning, ViewsBroken, ViewsMissing, ViewStore
from projections.runner import ProjectionRunner, catch_up, rebuild
from projections.view_set import ViewSet
from projections.views import Views
from tests.conformance.view_backends import ViewBackend

T = 1_700_000_000_000
ENDLESS = 5_000
"""Commits of a log that a test takes for one without an end."""


def opening(account: str = "ann") -> list[Event]:
    return [AssetListed(T, "BTC", 8), AccountOpened(T, account), deposit(0, account)]


def deposit(number: int, account: str = "ann") -> Event:
    return DepositCredited(T + number, account, "BTC", 100_000_000, f"d{number}")


@pytest.fixture
def log() -> Iterator[Log]:
    with open_memory() as store:
        store.log.append(opening(), T)
        yield store.log


def add_deposits(log: Log, first: int, last: int) -> None:
    for number in range(first, last + 1):
        log.append([deposit(number)], T + number)


def free(views: Views) -> str:
    return views.balances("ann")[0].free


def test_a_failed_batch_leaves_nothing_behind_for_the_next_try(
    log: Log, views: Views, view_store: ViewStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    catch_up(log, view_store)
    add_deposits(log, 1, 3)
    runner = ProjectionRunner(log, view_store)
    move = ViewSet._move_checkpoint
    monkeypatch.setattr(ViewSet, "_move_checkpoint", _fail)
    with pytest.raises(OSError, match="the disk is full"):
        runner.run_once()
    assert (free(views), views.position()) == ("1.00000000", 3)
    monkeypatch.setattr(ViewSet, "_move_checkpoint", move)
    assert runner.run_once() == 3
    runner.stop()
    assert (free(views), views.position()) == ("4.00000000", 6)


def _fail(*_: object) -> None:
    raise OSError("the disk is full")


def test_a_runner_that_cannot_go_on_says_so_and_skips_nothing(
    log: Log, views: Views, view_store: ViewStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    catch_up(log, view_store)
    runner = ProjectionRunner(log, view_store)
    runner.start()
    monkeypatch.setattr(ViewSet, "_move_checkpoint", _fail)
    add_deposits(log, 1, 2)
    assert not runner.wait_for(5, timeout_s=20)
    assert isinstance(runner.failed, OSError)
    assert (runner.position, views.position()) == (3, 3)
    runner.stop()


def test_views_of_another_log_are_refused(view_store: ViewStore, log: Log) -> None:
    catch_up(log, view_store)
    with open_memory() as other:
        # As long as the first, and longer: only the seal tells them apart.
        other.log.append(opening("bob"), T)
        other.log.append([WriterStarted(T, "w")], T)
        with pytest.raises(ViewsBroken, match="another log"):
            catch_up(other.log, view_store)


def test_a_commit_of_another_log_is_not_folded(view_store: ViewStore, log: Log) -> None:
    views = ViewSet.create(view_store)
    views.write(views.fold(log.read(0)))
    with open_memory() as other:
        other.log.append(opening("bob"), T)
        other.log.append([deposit(1, "bob")], T)
        with pytest.raises(ViewsBroken, match="the views are at event 3"):
            views.fold(other.log.read(1))
    views.close()


def test_readers_never_go_back_in_time_while_views_are_rebuilt_again_and_again(
    log: Log, views: Views, view_store: ViewStore
) -> None:
    runner = ProjectionRunner(log, view_store)
    runner.start()
    seen: list[tuple[int, int]] = []
    over = threading.Event()

    def read() -> None:
        while not over.is_set():
            promised = runner.position
            seen.append((promised, views.position()))

    reader = threading.Thread(target=read)
    reader.start()
    for round_ in range(8):
        add_deposits(log, 20 * round_ + 1, 20 * round_ + 20)
        rebuild(log, view_store)
    assert runner.wait_for(163, timeout_s=20)
    over.set()
    reader.join()
    runner.stop()
    assert runner.failed is None
    assert all(shown >= promised for promised, shown in seen)
    assert all(later >= earlier for (_, earlier), (_, later) in pairwise(seen))
    assert (free(views), views.position()) == ("161.00000000", 163)


def test_followed_views_equal_views_rebuilt_from_zero(
    log: Log, views: Views, view_store: ViewStore, view_backend: ViewBackend
) -> None:
    for number in range(1, 6):
        add_deposits(log, number, number)
        catch_up(log, view_store)
    other = view_backend.store("anew")
    rebuild(log, other)
    anew = Views(other)
    assert compare(views, anew) == []
    assert fingerprint(views) == fingerprint(anew)
    add_deposits(log, 6, 6)
    catch_up(log, other)
    differences = compare(views, anew)
    assert [each.table for each in differences] == [
        "checkpoints", "balances", "statement", "deposits", "events", "event_index",
    ]  # fmt: skip
    balances = differences[1]
    assert balances.left is not None
    assert balances.right is not None
    assert balances.left[:3] == ("ann", "BTC", 600_000_000)
    assert balances.right[:3] == ("ann", "BTC", 700_000_000)
    assert differences[2].left is None
    anew.close()


def test_only_one_rebuild_runs_at_a_time(log: Log, view_store: ViewStore) -> None:
    with view_store.building(), pytest.raises(RebuildRunning):
        rebuild(log, view_store)
    assert rebuild(log, view_store) == 3


def test_a_runner_waits_for_views_that_another_process_builds(
    log: Log, views: Views, view_store: ViewStore
) -> None:
    waiting, told_to_stop = (ProjectionRunner(log, view_store) for _ in range(2))
    with view_store.building():
        waiting.start()
        told_to_stop.start()
        assert not waiting.wait_for(1, timeout_s=0.05)
        told_to_stop.stop()
        with pytest.raises(ViewsMissing):
            views.balances("ann")
    assert waiting.wait_for(3, timeout_s=20)
    assert free(views) == "1.00000000"
    waiting.stop()
    assert (waiting.failed, told_to_stop.failed) == (None, None)


def test_views_that_another_process_has_just_built_are_not_built_again(
    log: Log, view_store: ViewStore, view_backend: ViewBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    building = view_store.building

    @contextmanager
    def building_late() -> Iterator[None]:
        rebuild(log, view_backend.store("live"))
        with building():
            yield

    monkeypatch.setattr(view_store, "building", building_late)
    runner = ProjectionRunner(log, view_store)
    runner.start()
    runner.stop()
    assert (runner.failed, runner.position) == (None, 3)
    assert len(view_backend.sets("live")) == 1


@pytest.fixture
def endless(log: Log, monkeypatch: pytest.MonkeyPatch) -> Log:
    """Return a log that has grown whenever a reader comes to its end."""
    read = log.read

    def read_and_grow(*args: Any, **more: Any) -> list[Commit]:
        found = read(*args, **more)
        if not found:
            number = log.head.number
            assert number < ENDLESS, "somebody waits for an end that never comes"
            log.append([deposit(number)], T + number)
        return found

    monkeypatch.setattr(log, "read", read_and_grow)
    return log


def test_a_rebuild_of_a_log_that_never_stands_still_comes_to_an_end(
    endless: Log, views: Views, view_store: ViewStore
) -> None:
    assert rebuild(endless, view_store) >= 3
    before = views.position()
    assert rebuild(endless, view_store) >= before


def test_a_runner_that_is_to_stop_does_not_wait_for_a_log_to_stand_still(
    endless: Log, views: Views, view_store: ViewStore
) -> None:
    runner = ProjectionRunner(endless, view_store)
    runner.start()
    assert runner.wait_for(10, timeout_s=20), runner.failed
    told_at = endless.head.position
    runner.stop()
    assert runner.failed is None
    assert views.position() >= told_at


def test_one_set_before_the_current_one_is_kept_and_failed_attempts_are_removed(
    log: Log, view_store: ViewStore, view_backend: ViewBackend
) -> None:
    for _ in range(4):
        rebuild(log, view_store)
    ViewSet.create(view_store).close()
    assert len(view_backend.sets("live")) == 3
    rebuild(log, view_store)
    sets = view_backend.sets("live")
    assert sets[-1] == view_store.current()
    assert len(sets) == 2


def test_a_rebuild_that_fails_leaves_the_live_views_alone(
    log: Log, views: Views, view_store: ViewStore
) -> None:
    catch_up(log, view_store)
    before = view_store.current()
    with pytest.raises(KeyboardInterrupt):
        rebuild(log, view_store, _interrupt)
    assert free(views) == "1.00000000"
    assert view_store.current() == before


def _interrupt(position: int, last: int) -> None:
    raise KeyboardInterrupt


def test_views_that_were_deleted_are_built_again(
    log: Log, views: Views, view_store: ViewStore, view_backend: ViewBackend
) -> None:
    catch_up(log, view_store)
    view_backend.lose_current("live")
    assert views.position() == 0
    with pytest.raises(ViewsMissing):
        views.balances("ann")
    catch_up(log, view_store)
    assert free(views) == "1.00000000"


def test_views_of_another_version_are_not_read(
    log: Log, views: Views, view_store: ViewStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    catch_up(log, view_store)
    monkeypatch.setattr("projections.views.VIEWS_VERSION", 999)
    with pytest.raises(ViewsMissing, match="not 999"):
        views.balances("ann")


def test_views_can_be_read_from_many_threads(log: Log, views: Views, view_store: ViewStore) -> None:
    catch_up(log, view_store)
    found: list[str] = []

    def read() -> None:
        for _ in range(50):
            found.append(free(views))

    _in_threads(read, 6)
    assert found == ["1.00000000"] * 300


def _in_threads(what: Callable[[], None], count: int) -> None:
    threads = [threading.Thread(target=what) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_amounts_beyond_64_bits_are_exact(views: Views, view_store: ViewStore) -> None:
    huge = 2**63 - 1
    with open_memory() as store:
        events = opening()[:2]
        events += [DepositCredited(T, "ann", "BTC", huge, f"d{number}") for number in range(3)]
        store.log.append(events, T)
        catch_up(store.log, view_store)
        store.log.append([DepositCredited(T, "ann", "BTC", huge, "d4")], T)
        catch_up(store.log, view_store)
    assert free(views).replace(".", "") == str(4 * huge)
    assert views.statement("ann").items[0].free_after == free(views)
