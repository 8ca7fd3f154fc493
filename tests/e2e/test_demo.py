"""The demo: what it prints works when pasted, and so does what docs/api.md shows."""

import errno
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.custody_steps import check_custody, demo_in, paste
from tests.processes import ROOT, Process, free_port
from tests.waiting import until

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
    with demo_in(data, {}) as printed:
        yield data, printed


def test_the_printed_commands_work_when_pasted(demo: tuple[Path, str]) -> None:
    _, printed = demo
    steps = [line.strip() for line in printed.splitlines() if line.startswith("  ")]
    shown = paste("\n".join(line for line in steps if "foldex verify" not in line))
    candles, depth, tickers, balances, order, history = shown[:6]
    check_custody(shown[6:-1], ether="101.50000000")
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


def test_a_demo_that_is_told_to_stop_while_it_starts_leaves_no_signer(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    data = tmp_path_factory.mktemp("d")
    with Process({}, data, "demo", "--data", data, "--port", free_port()) as starting:
        [place] = until(lambda: list(data.glob("custody/*/signer.sock")))
        assert starting.end() == 0, starting.log.read_text()
        assert "Traceback" not in starting.log.read_text()
    with socket.socket(socket.AF_UNIX) as asking:
        assert asking.connect_ex(str(place)) in (errno.ECONNREFUSED, errno.ENOENT)
