"""Running a flow: the exchange against an independent matcher, and that differences are seen."""

import hashlib
from pathlib import Path

import pytest

import api.flow
from api.flow import run_flow
from api.flow_format import FlowError, Steps, read_flow
from api.flow_generator import write_flow
from audit.replay import replay
from domain.events import WriterStarted
from eventstore.sqlite import open_sqlite
from tests.deployments import embedded

STEPS = Steps("0.01", "1")


@pytest.fixture
def flow(tmp_path: Path) -> Path:
    path = tmp_path / "flow.csv"
    write_flow(path, seed=7, commands=3_000)
    return path


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_exchange_fills_as_a_plain_matcher_does(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "flow.csv.gz"
    write_flow(path, seed, commands=3_000)
    report = run_flow(path, embedded(tmp_path / "data"), STEPS)
    assert report.same
    assert report.commands == 3_000
    expected = sum(len(line.expect or ()) for line in read_flow(path, STEPS))
    assert report.trades == expected > 500


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.csv.gz", "b.csv.gz"):
        write_flow(tmp_path / name, seed=7, commands=1_000)
    assert (tmp_path / "a.csv.gz").read_bytes() == (tmp_path / "b.csv.gz").read_bytes()
    write_flow(tmp_path / "c.csv", seed=7, commands=1_000)
    # Pinned: another Python or machine that draws differently is noticed.
    digest = hashlib.sha256((tmp_path / "c.csv").read_bytes()).hexdigest()
    assert digest == "bac52dc03fa522be88be70ba4a9681cd8cd10ca8395f58fe00549b8f3a30373e"


def test_a_replay_gives_the_state_of_the_live_run(flow: Path, tmp_path: Path) -> None:
    report = run_flow(flow, embedded(tmp_path / "data"), STEPS)
    with open_sqlite(tmp_path / "data", create=False) as store:
        for use_snapshot in (True, False):
            found = replay(store, use_snapshot=use_snapshot)
            assert (found.position, found.state_hash) == (report.position, report.state_hash)


def test_running_a_flow_twice_gives_the_same_state(flow: Path, tmp_path: Path) -> None:
    first = run_flow(flow, embedded(tmp_path / "a"), STEPS)
    second = run_flow(flow, embedded(tmp_path / "b"), STEPS)
    assert (first.state_hash, first.book_sha256) == (second.state_hash, second.book_sha256)


def test_an_altered_expectation_is_a_mismatch(flow: Path, tmp_path: Path) -> None:
    lines = flow.read_text(encoding="utf-8").splitlines()
    at = next(n for n, line in enumerate(lines) if ",place," in line and "[[" in line)
    lines[at] = lines[at].partition(',"[[')[0] + ",[]"
    flow.write_text("\n".join(lines) + "\n", encoding="utf-8")
    report = run_flow(flow, embedded(tmp_path / "data"), STEPS)
    assert report.mismatches == 1
    assert not report.same
    found = report.first_mismatches[0]
    assert (found.line, found.expected) == (at + 1, "no fill")


def test_what_the_exchange_refuses_is_a_mismatch(flow: Path, tmp_path: Path) -> None:
    with flow.open("a", encoding="utf-8") as file:
        file.write("3001,1904067200000000000,cancel,no-such-order,,,,,\n")
    report = run_flow(flow, embedded(tmp_path / "data"), STEPS)
    assert [each.got for each in report.first_mismatches] == ["refused: unknown_order"]


def test_a_candle_that_differs_is_found(flow: Path, tmp_path: Path) -> None:
    oracle = tmp_path / "candles.csv"
    oracle.write_text(
        "open_time_ms,open,high,low,close,volume,trades\n"
        "1704067200000,1000.00,1000.00,1000.00,1000.00,1,1\n",
        encoding="utf-8",
    )
    report = run_flow(flow, embedded(tmp_path / "data"), STEPS, candles=oracle)
    assert report.mismatches == 0
    assert report.candles_compared == report.candle_mismatches == 1
    assert not report.same


def test_a_bad_line_leaves_no_exchange_behind(flow: Path, tmp_path: Path) -> None:
    with flow.open("a", encoding="utf-8") as file:
        file.write("3001,1,place,9,buy,1,1,NEVER,\n")
    with pytest.raises(FlowError, match="line 3002"):
        run_flow(flow, embedded(tmp_path / "data"), STEPS)
    assert not (tmp_path / "data").exists()


def test_a_directory_that_is_used_while_the_file_is_read_is_refused(
    flow: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    survey = api.flow._survey

    def another_comes_first(path: Path, steps: Steps) -> tuple[int, int]:
        monkeypatch.undo()
        with open_sqlite(tmp_path / "data", for_writing=True) as store:
            store.log.append([WriterStarted(1, "another")], 1)
        return survey(path, steps)

    monkeypatch.setattr(api.flow, "_survey", another_comes_first)
    with pytest.raises(FlowError, match="not empty"):
        run_flow(flow, embedded(tmp_path / "data"), STEPS)
    with open_sqlite(tmp_path / "data", create=False) as store:
        assert store.log.stored_head().number == 1, "nothing was written into it"


def test_a_directory_in_use_is_refused(flow: Path, tmp_path: Path) -> None:
    with pytest.raises(FlowError, match="not empty"):
        run_flow(flow, embedded(tmp_path), STEPS)


def test_the_example_in_the_documentation_runs(tmp_path: Path) -> None:
    guide = Path(__file__).resolve().parents[2] / "docs" / "flow-format.md"
    example = guide.read_text(encoding="utf-8").partition("```csv\n")[2].partition("```")[0]
    path = tmp_path / "flow.csv"
    path.write_text(example, encoding="utf-8")
    report = run_flow(path, embedded(tmp_path / "data"), STEPS)
    assert report.same
    assert (report.commands, report.trades) == (5, 1)
