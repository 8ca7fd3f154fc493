"""A node that starts answers before it knows anything: custody waits for it."""

from typing import Any

import pytest
from web3.types import RPCEndpoint, RPCResponse

from tests.ethereum_world import DevWorld, someone
from wallet.errors import NodeLagging
from wallet.ethereum.devnode.provider import DevNodeProvider


class Starting(DevNodeProvider):
    """Answers already, and has no newest block yet."""

    def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:
        if method == "eth_getBlockByNumber" and params[0] == "latest":
            return {"jsonrpc": "2.0", "id": 1, "result": None}
        return super().make_request(method, params)

    def make_batch_request(self, batch_requests: Any) -> Any:
        return [self.make_request(method, params) for method, params in batch_requests]


def test_a_node_that_starts_is_asked_again() -> None:
    world = DevWorld()
    attempt = world.attempt(world.rich, world.payment(someone().address, 1))
    tip = world.chain.tip()
    world.chain.rpc.provider = Starting(world.node)
    for ask in (
        world.chain.tip,
        lambda: world.chain.confirmations(tip),
        lambda: world.chain.outcome([attempt]),
    ):
        with pytest.raises(NodeLagging) as error:
            ask()
        assert error.value.retryable
