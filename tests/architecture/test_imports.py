"""What is slow to import is imported only by those who need it."""

import subprocess
import sys

import pytest

SLOW = {"web3", "eth", "eth_account", "aiohttp", "hvac", "kafka"}
CHECK = "import sys, {}; print(*sorted({{m.partition('.')[0] for m in sys.modules}} & {}))"


@pytest.mark.parametrize(
    "module", ["api.__main__", "api.server", "api.engine_process", "api.follower"]
)
def test_a_process_does_not_wait_for_the_libraries_of_chains_and_brokers(module: str) -> None:
    command = [sys.executable, "-c", CHECK.format(module, SLOW)]
    found = subprocess.run(command, check=True, capture_output=True, text=True)
    assert found.stdout.strip() == ""
