"""python -m benchmarks.ethereum: how fast blocks of a real node are scanned, on an own anvil.

With 100,000 watched addresses: blocks full of payments, of which half are tokens, once as their
logs say and once measured (two balances asked for each); and catching up from 10,000 blocks behind,
most of them empty as on a quiet chain.
"""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from deploy.services.anvil import install
from deploy.services.process import accepts_connections, wait_until
from wallet.ethereum.chain import EthereumChain
from wallet.ethereum.compiled import own_artefact
from wallet.ethereum.contracts import EthereumContracts
from wallet.ethereum.rpc import Rpc
from wallet.ethereum.tokens import transfer_call
from wallet.keys.ethereum import checksummed
from wallet.types import Address, Credit, IntentId, Token, TokenId, WatchSet

WATCHED = 100_000
BUSY_BLOCKS = 100
PAYMENTS_PER_BLOCK = 100
BEHIND_BLOCKS = 10_000
RANGE_BLOCKS = 100
MINED_AT_ONCE = 100
# Few: anvil is slow to answer for states of old blocks.
MEASURED_BLOCKS = 10
GAS = 100_000
START_TIMEOUT_S = 30


def main() -> None:
    """Measure and print."""
    addresses = [Address(checksummed(os.urandom(20))) for _ in range(WATCHED)]
    with _anvil() as url:
        rpc = Rpc.http(url)
        chain = EthereumChain(rpc)
        token = _deploy_token(chain)
        watch = WatchSet(addresses, [Token(id=token, credit=Credit.STRICT)])
        measured = WatchSet(addresses, [Token(id=token, credit=Credit.MEASURED)])
        # The empty ones first: anvil copies its whole state for each block.
        for _ in range(0, BEHIND_BLOCKS - BUSY_BLOCKS, MINED_AT_ONCE):
            rpc.call("anvil_mine", hex(MINED_AT_ONCE))
        first = chain.tip().height + 1
        _mine_busy(rpc, token, addresses)
        _report("full blocks", chain, watch, first)
        _report("full blocks, measured", chain, measured, chain.tip().height - MEASURED_BLOCKS + 1)
        _report("catch-up", chain, watch, 1)


def _report(name: str, chain: EthereumChain, watch: WatchSet, first: int) -> None:
    """Scan from `first` to the tip, and print how fast that was."""
    tip, height, found = chain.tip().height, first, 0
    started = time.perf_counter()
    while height <= tip:
        scans = chain.scan_range(height, min(RANGE_BLOCKS, tip - height + 1), watch)
        found += sum(len(scan.transfers) for scan in scans)
        height += len(scans)
        print(f"\r{name}: block {height - 1:,} of {tip:,}", end="", file=sys.stderr)
    seconds, blocks = time.perf_counter() - started, tip - first + 1
    print(file=sys.stderr)
    print(
        f"{name}: {blocks:,} blocks with {found:,} deposits in {seconds:.1f} s,"
        f" {blocks / seconds:,.0f} blocks/s, {found / seconds:,.0f} deposits/s,"
        f" {len(watch):,} addresses watched"
    )


@contextmanager
def _anvil() -> Iterator[str]:
    """Give the URL of a node that keeps nothing on disk: writing thousands of states takes long."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with subprocess.Popen([install(), "--silent", "--port", str(port)]) as process:
        try:
            if not wait_until(lambda: accepts_connections("127.0.0.1", port), START_TIMEOUT_S):
                raise TimeoutError("anvil does not start")
            yield f"http://127.0.0.1:{port}"
        finally:
            process.kill()


def _deploy_token(chain: EthereumChain) -> TokenId:
    supply = ["Bench", "BNC", 6, 10**18]
    intent = EthereumContracts(chain).deploy(IntentId("bench"), own_artefact("erc20"), supply)
    sender = chain.rpc.call("eth_accounts")[0]
    deployment = {"from": sender, "data": "0x" + intent.data.hex()}
    chain.rpc.call("evm_setAutomine", False)
    txid = chain.rpc.call("eth_sendTransaction", deployment)
    chain.rpc.call("evm_mine")
    contract = chain.rpc.call("eth_getTransactionReceipt", txid)["contractAddress"]
    return TokenId(chain.validate_address(contract))


def _mine_busy(rpc: Rpc, token: TokenId, addresses: list[Address]) -> None:
    """Seal blocks that are full of payments to watched addresses."""
    sender = rpc.call("eth_accounts")[0]
    for block in range(BUSY_BLOCKS):
        payees = addresses[block * PAYMENTS_PER_BLOCK :][:PAYMENTS_PER_BLOCK]
        payments = [
            {"to": payee, "value": "0x1"}
            if number % 2
            else {"to": token, "data": "0x" + transfer_call(payee, 1).hex()}
            for number, payee in enumerate(payees)
        ]
        common = {"from": sender, "gas": hex(GAS)}
        rpc.batch([("eth_sendTransaction", [common | payment]) for payment in payments])
        rpc.call("evm_mine")


if __name__ == "__main__":
    main()
