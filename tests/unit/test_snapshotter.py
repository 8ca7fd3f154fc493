"""Snapshots are taken beside the exchange; one that fails is only missing."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from api import snapshotter
from api.snapshotter import Snapshotter
from tests.deployments import embedded
from tests.waiting import until


@pytest.mark.parametrize(
    "failure",
    [
        BlockingIOError(11, "Resource temporarily unavailable"),
        subprocess.CalledProcessError(3, "foldex"),
        subprocess.TimeoutExpired("foldex", 600),
    ],
    ids=lambda failure: type(failure).__name__,
)
def test_one_that_cannot_be_taken_now_is_taken_later(
    failure: Exception,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    tries: list[list[str]] = []
    position = iter(range(0, 1_000_000, 10))

    def run(command: list[str], **_: Any) -> None:
        tries.append(command)
        if len(tries) == 1:
            raise failure

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(snapshotter, "CHECK_EVERY_S", 0.001)
    beside = Snapshotter(embedded(tmp_path), lambda: next(position), every_events=10)
    beside.start()
    until(lambda: len(tries) > 1, "the next one is tried")
    beside.stop()
    assert tries[1][-3:] == ["snapshot", "--data", str(tmp_path)]
    assert f"no snapshot was written: {failure}" in caplog.text
