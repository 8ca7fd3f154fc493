"""The measures that need a server of ours still measure: each on a few orders."""

import json
import subprocess
import sys
from pathlib import Path

from tests.processes import environment

ROOT = Path(__file__).resolve().parents[2]
WORDS = ("--only", "http-single", "--only", "http-batch-100", "--runs", "1", "--commands", "400")


def test_order_entry_over_http_is_measured() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", *WORDS, "--json"],
        cwd=ROOT, env=environment({}), capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    rows = {row["measure"]: row for row in json.loads(done.stdout)["results"]}
    assert list(rows) == ["http-single", "http-batch-100"]
    for row in rows.values():
        assert row["unit"] == "orders/s"
        assert row["lowest"] > 0
        assert 0 < row["p50_ms"] <= row["p99_ms"]
        assert 0 <= row["stolen_percent"] < 100
