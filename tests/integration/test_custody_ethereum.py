"""Custody on a real EVM with the real signer in its own process: the model check, short."""

from contextlib import ExitStack
from pathlib import Path

import pytest

from api.demo_chain import DemoChain, start_chain
from api.settings import Settings
from tests.custody.ethereum_run import Anvil, EthereumRun, Own

ROUNDS = 40


def run_rounds(chain: DemoChain, node: Own | Anvil, data: Path, seed: int) -> None:
    run = EthereumRun(chain, node, data, seed)
    try:
        for _ in range(5):
            node.mine()
            run.work()
        for _ in range(ROUNDS):
            run.play()
        run.check()
    finally:
        run.stop()
    assert run.reorganisations >= 2
    assert run.starts >= 2
    assert len(run.payees) >= 3
    assert len(run.deployments) >= 2


@pytest.mark.parametrize("seed", [1, 2])
def test_books_equal_a_real_chain_with_the_real_signer(tmp_path: Path, seed: int) -> None:
    with ExitStack() as opened:
        chain = start_chain(Settings(data=tmp_path), opened, block_s=None)
        assert chain.node is not None
        run_rounds(chain, Own(chain.node), tmp_path, seed)


@pytest.mark.parametrize("seed", [3, 4])
def test_books_equal_anvil_with_the_real_signer(
    ethereum_node: str, tmp_path: Path, seed: int
) -> None:
    node = Anvil(ethereum_node)
    with ExitStack() as opened:
        settings = Settings(data=tmp_path, ethereum_url=ethereum_node)
        run_rounds(start_chain(settings, opened, block_s=None), node, tmp_path, seed)
