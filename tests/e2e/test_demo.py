"""The demo: what it prints works when pasted, and so does what docs/api.md shows."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
START_S_MAX = 30

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.skipif(
        shutil.which("curl") is None or shutil.which("bash") is None,
        reason="the printed commands are for bash and curl",
    ),
]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """Run the demo; return its data directory and what it printed."""
    data = tmp_path_factory.mktemp("demo")
    command = ["demo", "--data", str(data), "--port", str(_free_port())]
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "api", *command],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        yield data, _printed(process)
    finally:
        process.terminate()
        assert process.wait(timeout=20) == 0
        assert process.stdout is not None
        process.stdout.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


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
        timeout=200,
        check=True,
        cwd="/",
    )
    return [json.loads(line) for line in done.stdout.splitlines() if line[:1] in ("{", "[", '"')]


def test_the_printed_commands_work_when_pasted(demo: tuple[Path, str]) -> None:
    _, printed = demo
    steps = [line.strip() for line in printed.splitlines() if line.startswith("  ")]
    shown = paste("\n".join(line for line in steps if "foldex verify" not in line))
    candles, depth, tickers, balances, order, history = shown[:6]
    _check_custody(shown[6:-1])
    events = shown[-1]
    assert candles[-1]["trades"] > 0
    assert depth["bids"]
    assert depth["asks"]
    assert [each["market"] for each in tickers] == ["BTC-USDT", "ETH-USDT"]
    assert {each["asset"] for each in balances} == {"BTC", "ETH", "USDT"}
    assert order["filled_quantity"] == "0.0100"
    assert history["items"][0]["id"] == order["order_id"]
    recorded = [(each["type"], each["data"].get("order_id")) for each in events["items"]]
    assert ("order_placed.v1", order["order_id"]) in recorded


def _check_custody(shown: list[Any]) -> None:
    """Deposits arrive on chain, are confirmed and credited; withdrawals are approved and paid."""
    tokens, _, deposits, balances, requested, *rest = shown
    assert [(each["asset"], each["allowed"]) for each in tokens] == [
        ("USDT", ["withdrawal", "sweep", "top_up"])
    ]
    assert {(each["asset"], each["amount"], each["status"]) for each in deposits["items"]} == {
        ("ETH", "1.50000000", "credited"),
        ("USDT", "250.00000000", "credited"),
    }
    assert {each["asset"]: each["free"] for each in balances}["ETH"] == "101.50000000"
    assert [each["status"] for each in requested["items"]] == ["requested", "requested"]
    ether_review, token_review, ether, tokens_paid, ether_on_chain, tokens_on_chain = rest
    assert ether_review["approvals"] == token_review["approvals"] == ["ann"]
    assert token_review["intent"]["token"] == tokens[0]["contract"]
    assert (ether["status"], ether["amount"]) == ("completed", "0.75000000")
    assert (tokens_paid["status"], tokens_paid["amount"]) == ("completed", "100.00000000")
    assert ether["txid"].startswith("0x")
    assert int(ether_on_chain["result"], 16) >= 75 * 10**16
    assert int(tokens_on_chain) == 100 * 10**6


def test_the_docs_page_is_served(demo: tuple[Path, str]) -> None:
    found = re.search(r"described at (\S+)", demo[1])
    assert found is not None
    page = subprocess.run(
        ["curl", "-sSf", found.group(1)], capture_output=True, text=True, timeout=30, check=True
    )
    assert "<html" in page.stdout


def test_the_signing_guide_works_as_it_stands(demo: tuple[Path, str]) -> None:
    data, _ = demo
    client = (data / "client.sh").read_text(encoding="ascii")
    key = re.search(r"as_trader\(\) \{ foldex_signed (\S+) (\S+) ", client)
    url = re.search(r"^FOLDEX_URL=(\S+)$", client, re.MULTILINE)
    assert key is not None
    assert url is not None
    guide = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    python = guide.partition("```python\n")[2].partition("```")[0]
    space: dict[str, Any] = {}
    exec(compile(python, "docs/api.md", "exec"), space)
    who = (url.group(1), *key.groups())
    body = b'{"market":"BTC-USDT","side":"sell","type":"market","quantity":"0.01"}'
    order = space["signed"](*who, "POST", "/v1/orders", body=body)
    assert order["status"] == "filled"
    query = f"market=BTC-USDT&min_position={order['position']}"
    history = space["signed"](*who, "GET", "/v1/orders/history", query)
    assert history["items"][0]["id"] == order["order_id"]
    if shutil.which("openssl"):
        shell = guide.partition("```sh\n")[2].partition("```")[0]
        variables = "URL={} KEY={} SECRET={}\nset +u\n".format(*who)
        (order,) = paste(variables + shell)
        assert order["status"] == "filled"


def test_the_secrets_are_for_their_owner_only(demo: tuple[Path, str]) -> None:
    assert (demo[0] / "client.sh").stat().st_mode & 0o077 == 0
