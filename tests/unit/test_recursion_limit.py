"""No library may let a nested document overflow the stack of the process that parses it."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize("imports", ["wallet.ethereum.rpc, eth_account", "eth, wallet.ethereum"])
def test_a_deeply_nested_document_is_refused_whatever_was_imported(imports: str) -> None:
    code = (
        f"import json, {imports}\n"
        "try: json.loads('[' * 1_000_000)\n"
        "except RecursionError: print('refused')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60
    )
    assert done.stdout == "refused\n"
