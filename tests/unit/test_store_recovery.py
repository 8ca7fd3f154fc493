"""Recovery, snapshots, replay and verify on a log in which everything happens."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from audit.replay import replay
from audit.verify import verify
from domain.events import AccountOpened, DepositCredited
from domain.exchange import Exchange
from domain.snapshot import FORMAT, dump, state_hash
from eventstore.commit import GENESIS
from eventstore.errors import StoreDamaged
from eventstore.recovery import recover
from eventstore.snapshots import snapshot_of
from eventstore.sqlite import open_sqlite
from eventstore.store import Store
from tests.golden.scenario import run


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_sqlite(tmp_path) as store:
        run(store)
        yield store


def take_snapshot(store: Store, until: int) -> Exchange:
    recovered = recover(store.log, None, until_position=until)
    exchange = recovered.exchange
    store.snapshots.save(snapshot_of(exchange.position, recovered.head, dump(exchange)))
    return exchange


def whole_commits(store: Store) -> list[int]:
    return [commit.last_position for commit in store.log.read_all()]


def test_recovery_arrives_at_the_live_state(store: Store, tmp_path: Path) -> None:
    with open_sqlite(tmp_path / "again") as again:
        live = run(again)
    recovered = recover(store.log, store.snapshots)
    assert dump(recovered.exchange) == dump(live)
    assert recovered.head == store.log.head
    assert recovered.snapshot_position == 0


def test_any_snapshot_and_the_tail_give_the_same_state_as_replay_from_zero(store: Store) -> None:
    full = replay(store)
    for position in whole_commits(store):
        take_snapshot(store, position)
        quick = replay(store, use_snapshot=True)
        assert quick.from_snapshot_position == position
        assert quick.events == full.position - position
        assert (quick.position, quick.state_hash) == (full.position, full.state_hash)


def test_replay_stops_at_any_event(store: Store) -> None:
    exchange = Exchange()
    assert replay(store, until_position=0).state_hash == state_hash(exchange)
    for commit in store.log.read_all():
        for event in commit.events:
            exchange.apply(event)
            report = replay(store, until_position=exchange.position)
            assert (report.position, report.state_hash) == (exchange.position, state_hash(exchange))
    assert replay(store, until_position=10**9).position == exchange.position


def test_replay_to_a_point_before_the_newest_snapshot_uses_an_older_one(store: Store) -> None:
    commits = whole_commits(store)
    take_snapshot(store, commits[5])
    take_snapshot(store, commits[-1])
    report = replay(store, use_snapshot=True, until_position=commits[7])
    assert report.from_snapshot_position == commits[5]
    assert report.state_hash == replay(store, until_position=commits[7]).state_hash


def test_a_snapshot_whose_hash_does_not_match_is_ignored_loudly(
    store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    commits = whole_commits(store)
    take_snapshot(store, commits[4])
    newest = take_snapshot(store, commits[9])
    expected = replay(store).state_hash
    alter_snapshot(store, newest.position)
    with caplog.at_level(logging.WARNING):
        report = replay(store, use_snapshot=True)
    assert "does not match its hash" in caplog.text
    assert (report.from_snapshot_position, report.state_hash) == (commits[4], expected)
    assert [each.position for each in verify(store).problems] == [newest.position]


def alter_snapshot(store: Store, position: int) -> None:
    """Change a stored snapshot's state and leave its hash as it was."""
    good = store.snapshots.at(position)
    other = snapshot_of(position, good.head, good.state + b"\x00")
    forged = type(good)(
        position=position,
        commit_number=other.commit_number,
        seal=other.seal,
        state_hash=good.state_hash,
        state=other.state,
    )
    store.snapshots.save(forged)


def test_a_snapshot_of_another_log_is_ignored_loudly(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    other = snapshot_of(5, GENESIS._replace(number=3, position=5), dump(Exchange()))
    store.snapshots.save(other)
    with caplog.at_level(logging.WARNING):
        assert recover(store.log, store.snapshots).snapshot_position == 0
    assert "not a state of this log" in caplog.text


def test_a_snapshot_that_this_version_cannot_read_is_ignored_loudly(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    head = store.log.head
    store.snapshots.save(snapshot_of(head.position, head, b"\x90"))
    with caplog.at_level(logging.WARNING):
        assert recover(store.log, store.snapshots).snapshot_position == 0
    assert f"snapshot at event {head.position} ignored" in caplog.text


def test_verify_finds_a_snapshot_that_is_not_the_replayed_state(store: Store) -> None:
    position = whole_commits(store)[6]
    head = recover(store.log, None, until_position=position).head
    store.snapshots.save(snapshot_of(position, head, dump(Exchange())))
    report = verify(store)
    assert [each.detail for each in report.problems] == [
        f"the snapshot at event {position} is not the replayed state"
    ]


def test_verify_passes_over_a_snapshot_of_another_version(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    """After an upgrade it is of no use, and no damage either: a start passes over it too."""
    position = whole_commits(store)[6]
    recovered = recover(store.log, None, until_position=position)
    now = dump(recovered.exchange)
    older = bytes([now[0], FORMAT - 1]) + now[2:]  # The first field of the array.
    store.snapshots.save(snapshot_of(position, recovered.head, older))
    report = verify(store)
    assert (report.problems, report.ignored, report.snapshots) == ([], [position], 0)
    assert recover(store.log, store.snapshots).snapshot_position == 0
    assert f"snapshot format {FORMAT - 1}, not {FORMAT}" in caplog.text

    alter_snapshot(store, position)
    assert [each.position for each in verify(store).problems] == [position]


def test_verify_reports_what_it_checked(store: Store) -> None:
    take_snapshot(store, whole_commits(store)[8])
    seen: list[tuple[int, int]] = []
    report = verify(store, progress=lambda done, last: seen.append((done, last)))
    assert report.ok
    assert (report.commits, report.events, report.snapshots) == (24, 28, 1)
    assert (report.head, report.state_hash) == (store.log.head, replay(store).state_hash)
    assert seen[-1] == (28, 28)


def test_verify_names_an_event_that_does_not_fit_the_state(store: Store) -> None:
    store.log.append([DepositCredited(1, "nobody", "BTC", 1, "d")], 1)
    report = verify(store)
    assert report.first_bad_position == 29
    with pytest.raises(StoreDamaged, match="does not fit the state"):
        recover(store.log, None)


def test_verify_finds_a_well_sealed_log_that_breaks_a_rule(store: Store) -> None:
    fees = DepositCredited(1, "fees", "BTC", -(10**6), "d")
    store.log.append([AccountOpened(1, "carol"), fees], 1)
    problems = verify(store).problems
    assert len(problems) == 1
    assert "breaks a rule: negative BTC balance of fees" in problems[0].detail


def test_verify_leaves_the_writer_where_it_was(store: Store, tmp_path: Path) -> None:
    """A check in a writer's process must not make it follow commits it has not applied."""
    before = store.log.head
    with open_sqlite(tmp_path) as other:
        other.log.append([AccountOpened(1, "carol")], 1)
    verify(store)
    replay(store)
    assert store.log.head == before
