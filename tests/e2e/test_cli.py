"""The command line as people and programs use it: real processes, their output and exit codes."""

import csv
import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from eventstore.sqlite_schema import EVENTS_TABLE

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = (
    ["serve"], ["demo"], ["flow", "run"], ["flow", "generate"], ["replay"], ["verify"],
    ["rebuild"], ["snapshot"], ["keys", "create"], ["keys", "list"], ["keys", "revoke"],
    ["export", "events"], ["export", "trades"], ["export", "statement"], ["docs"],
    ["migrate"], ["engine"], ["api"], ["project"], ["publish"], ["compare"], ["candles", "check"],
)  # fmt: skip


def foldex(*arguments: object, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run a command; none may ever end in a traceback."""
    done = subprocess.run(
        [sys.executable, "-P", "-m", "api", *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TERM": "dumb", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in done.stderr
    return done


def as_json(done: subprocess.CompletedProcess[str]) -> Any:
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def flow(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """Return a data directory with a flow in it, and what the run reported."""
    directory = tmp_path_factory.mktemp("cli")
    file = directory / "flow.csv.gz"
    assert foldex("flow", "generate", "--seed", 5, "--commands", 2_000, file).returncode == 0
    done = foldex("flow", "run", file, "--data", directory / "data", "--json")
    assert done.returncode == 0, done.stderr
    return directory / "data", as_json(done)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_has_help_with_examples_and_exit_codes(command: list[str]) -> None:
    done = foldex(*command, "--help")
    assert done.returncode == 0
    assert "foldex " + " ".join(command) in done.stdout
    assert "Examples:" in done.stdout
    assert "Exit codes:" in done.stdout


def test_a_flow_run_reports_what_it_did(flow: tuple[Path, Any]) -> None:
    _, report = flow
    assert report["commands"] == 2_000
    assert report["mismatches"] == 0
    assert report["trades"] > 100
    assert {"book_sha256", "position", "state_hash", "commands_per_second"} <= report.keys()


def test_replay_gives_the_hash_of_the_live_run(flow: tuple[Path, Any]) -> None:
    data, report = flow
    for option in ([], ["--no-snapshot"]):
        replayed = as_json(foldex("replay", "--data", data, "--json", *option))
        assert replayed["state_hash"] == report["state_hash"]
        assert replayed["position"] == report["position"]
    past = as_json(foldex("replay", "--data", data, "--until", 100, "--json"))
    assert past["position"] == 100
    assert past["state_hash"] != report["state_hash"]


def test_a_good_store_verifies(flow: tuple[Path, Any]) -> None:
    done = foldex("verify", "--data", flow[0], "--json")
    assert done.returncode == 0
    assert as_json(done)["ok"] is True
    assert as_json(done)["state_hash"] == flow[1]["state_hash"]


def test_an_altered_commit_fails_verification_at_its_first_event(
    flow: tuple[Path, Any], tmp_path: Path
) -> None:
    data = tmp_path / "altered"
    data.mkdir()
    with (
        closing(sqlite3.connect(flow[0] / "log.db")) as source,
        closing(sqlite3.connect(data / "log.db")) as copy,
    ):
        source.backup(copy)
        _flip_one_bit(copy, commit=30)
        copy.commit()
    done = foldex("verify", "--data", data, "--json")
    assert done.returncode == 1
    report = as_json(done)
    assert report["ok"] is False
    assert report["first_bad_position"] == report["events"] + 1
    refused = foldex("replay", "--data", data, "--no-snapshot")
    assert refused.returncode == 3
    assert f"damaged from event {report['first_bad_position']}" in refused.stderr


def _flip_one_bit(log: sqlite3.Connection, *, commit: int) -> None:
    """Alter a stored commit behind the back of the triggers that forbid it."""
    triggers = log.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall()
    for (trigger,) in triggers:
        log.execute(f"DROP TRIGGER {trigger}")
    where = f"WHERE originator_version = {commit}"
    (state,) = log.execute(f"SELECT state FROM {EVENTS_TABLE} {where}").fetchone()
    altered = bytearray(state)
    altered[len(altered) // 2] ^= 1
    log.execute(f"UPDATE {EVENTS_TABLE} SET state = ? {where}", (bytes(altered),))


def test_views_are_rebuilt_and_a_snapshot_is_kept(flow: tuple[Path, Any]) -> None:
    data, report = flow
    for command in ("rebuild", "snapshot"):
        done = foldex(command, "--data", data, "--json")
        assert done.returncode == 0, done.stderr
        assert as_json(done)["position"] == report["position"]


def test_exports_go_to_files_and_to_standard_output(flow: tuple[Path, Any], tmp_path: Path) -> None:
    data, report = flow
    events = foldex("export", "events", "--data", data, "--format", "jsonl")
    assert len(events.stdout.splitlines()) == report["position"]
    file = tmp_path / "trades.csv"
    foldex("export", "trades", "--data", data, "--format", "csv", "--output", file)
    with file.open(encoding="utf-8", newline="") as text:
        assert len(list(csv.DictReader(text))) == report["trades"]
    statement = foldex("export", "statement", "--data", data, "--account", "flow-03")
    rows = list(csv.DictReader(statement.stdout.splitlines()))
    assert {row["account"] for row in rows} == {"flow-03"}


def test_keys_are_created_listed_and_revoked(tmp_path: Path) -> None:
    create = ("keys", "create", "--data", tmp_path, "--account", "alice", "--scope", "trade")
    created = as_json(foldex(*create, "--json"))
    listed = foldex("keys", "list", "--data", tmp_path)
    assert created["key_id"] in listed.stdout
    assert created["secret"] not in listed.stdout
    assert foldex("keys", "revoke", created["key_id"], "--data", tmp_path).returncode == 0
    (row,) = as_json(foldex("keys", "list", "--data", tmp_path, "--json"))["keys"]
    assert row["revoked"] is True
    unknown = foldex("keys", "revoke", "fdxk_" + "0" * 32, "--data", tmp_path)
    assert (unknown.returncode, unknown.stderr) == (2, "foldex: There is no such API key\n")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["verify", "--data", "{tmp}/none"], 3, "there is no Foldex store"),
        (["replay", "--data", "{tmp}/none"], 3, "there is no Foldex store"),
        (["flow", "run", "{tmp}/none.csv", "--data", "{tmp}/x"], 2, "No such file"),
        (["flow", "run", "{tmp}/bad.csv", "--data", "{tmp}/x"], 2, "first line must be"),
        (["flow", "run", "{tmp}/bad.csv", "--data", "{tmp}"], 2, "is not empty"),
        (["flow", "run", "{tmp}/bad.csv", "--data", "{tmp}/x", "--tick", "0"], 2, "tick: must be"),
        (["flow", "run", "{tmp}/bad.csv", "--data", "{tmp}/x", "--lot", "NaN"], 2, "lot: 'NaN'"),
        (["keys", "create", "--data", "{tmp}", "--scope", "everything"], 2, "scopes"),
        (["keys", "list", "--data", "{tmp}/none"], 2, "no data directory"),
        (["replay", "--data", "{tmp}", "--until", "-1"], 2, "until"),
        (["export", "trades", "--data", "{tmp}", "--format", "xml"], 2, "xml"),
        (["sell-everything"], 2, "No such command"),
    ],
)
def test_what_goes_wrong_is_said_in_one_clear_line(
    tmp_path: Path, arguments: list[str], code: int, message: str
) -> None:
    (tmp_path / "bad.csv").write_text("not,a,flow\n", encoding="utf-8")
    done = foldex(*(argument.replace("{tmp}", str(tmp_path)) for argument in arguments))
    assert done.returncode == code
    assert done.stdout == ""
    assert message in done.stderr


def test_a_directory_that_is_being_written_is_refused(tmp_path: Path) -> None:
    command = [sys.executable, "-P", "-m", "api", "serve", "--data", str(tmp_path), "--port", "0"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as first:
        try:
            assert first.stdout is not None
            assert "Foldex at" in first.stdout.readline()
            second = foldex("serve", "--data", tmp_path, "--port", 0)
            assert second.returncode == 4
            assert f"process {first.pid} has" in second.stderr
        finally:
            first.terminate()
        assert first.wait(timeout=20) == 0
