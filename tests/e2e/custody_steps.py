"""What tests of the custody steps share: a running demo, a shell, and what the steps must show."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.processes import ROOT, STOP_S_MAX, free_port

PASTE_S_MAX = 200


@contextmanager
def demo_in(data: Path, settings: Mapping[str, str]) -> Iterator[str]:
    """Run the demo in a data directory; give what it printed."""
    command = ["demo", "--data", str(data), "--port", str(free_port())]
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "api", *command],
        env={**os.environ, "PYTHONPATH": str(ROOT), **settings},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        yield _printed(process)
    finally:
        process.terminate()
        assert process.wait(STOP_S_MAX) == 0
        assert process.stdout is not None
        process.stdout.close()


def _printed(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    lines: list[str] = []
    for line in process.stdout:
        lines.append(line)
        if "foldex verify" in line:
            break
    return "".join(lines)


def paste(script: str) -> list[Any]:
    """Run lines in a shell; return the JSON documents they print."""
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        capture_output=True,
        text=True,
        timeout=PASTE_S_MAX,
        check=False,
        cwd="/",
    )
    assert done.returncode == 0, done.stdout[-2_000:] + done.stderr[-2_000:]
    return documents(done.stdout)


def documents(printed: str) -> list[Any]:
    """Return the JSON documents among the lines of a text."""
    return [json.loads(line) for line in printed.splitlines() if line[:1] in ("{", "[", '"')]


def check_custody(shown: list[Any], *, ether: str) -> None:
    """Deposits arrive on chain, are confirmed and credited; withdrawals are approved and paid.

    shown: what `CUSTODY_STEPS` print. ether: what the trader has free when it has arrived.
    """
    tokens, pending, deposits, balances, requested, *rest = shown
    assert [(each["asset"], each["allowed"]) for each in tokens] == [
        ("USDT", ["withdrawal", "sweep", "top_up"])
    ]
    assert pending[0]["status"] == "confirming"
    assert pending[0]["required"] == 3
    assert {(each["asset"], each["amount"], each["status"]) for each in deposits["items"]} == {
        ("ETH", "1.50000000", "credited"),
        ("USDT", "250.00000000", "credited"),
    }
    assert {each["asset"]: each["free"] for each in balances}["ETH"] == ether
    assert [each["status"] for each in requested["items"]] == ["requested", "requested"]
    ether_review, token_review, ether_paid, tokens_paid, ether_on_chain, tokens_on_chain = rest
    assert ether_review["approvals"] == token_review["approvals"] == ["ann"]
    assert token_review["intent"]["token"] == tokens[0]["contract"]
    assert (ether_paid["status"], ether_paid["amount"]) == ("completed", "0.75000000")
    assert (tokens_paid["status"], tokens_paid["amount"]) == ("completed", "100.00000000")
    assert ether_paid["txid"].startswith("0x")
    assert int(ether_on_chain["result"], 16) >= 75 * 10**16
    assert int(tokens_on_chain) == 100 * 10**6
