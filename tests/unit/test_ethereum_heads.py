"""Hints of new blocks: late, lost or silent, no block is ever missed."""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from types import SimpleNamespace

import pytest
from websockets.sync.server import ServerConnection, serve

from tests.beside import beside
from tests.ethereum_world import DevWorld, Follower
from tests.waiting import PATIENCE_S, until
from wallet.ethereum.chain import EthereumChain
from wallet.ethereum.devnode.server import DevNodeServer
from wallet.ethereum.heads import PolledHeads, SubscribedHeads
from wallet.ethereum.rpc import Rpc


@contextmanager
def nobody() -> Iterator[str]:
    """Give an address where nobody answers, and nobody else can begin to."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"ws://127.0.0.1:{taken.getsockname()[1]}"


@pytest.fixture
def world() -> DevWorld:
    return DevWorld()


@pytest.fixture
def server(world: DevWorld) -> Iterator[DevNodeServer]:
    with DevNodeServer(world.node) as server:
        yield server


def test_blocks_sealed_while_the_connection_is_down_are_not_missed(
    world: DevWorld, server: DevNodeServer
) -> None:
    chain = EthereumChain.connect(server.url)
    websocket = server.url.replace("http", "ws")
    with SubscribedHeads(websocket, poll_s=60, pause_s=0.05) as heads:
        follower = Follower(chain, heads, count=9)
        follower.start()
        for _ in range(3):
            world.node.mine()
            server.drop_sockets()
            world.node.mine(2)
        follower.join()
    assert [ref.height for ref in follower.seen] == list(range(1, 10))


def test_a_new_head_is_a_hint_at_once(world: DevWorld, server: DevNodeServer) -> None:
    """Long before it is time to look, however slow the machine is."""
    with SubscribedHeads(server.url.replace("http", "ws"), poll_s=600) as heads:
        assert heads.wait(PATIENCE_S)
        while heads.wait(0.3):
            pass
        world.node.mine()
        assert heads.wait(PATIENCE_S)


def test_a_subscription_that_falls_silent_is_made_anew() -> None:
    connections: list[ServerConnection] = []

    def accept_and_say_nothing(connection: ServerConnection) -> None:
        connections.append(connection)
        for _ in connection:
            pass

    with serve(accept_and_say_nothing, "127.0.0.1", 0) as silent, beside(silent.serve_forever):
        url = f"ws://127.0.0.1:{silent.socket.getsockname()[1]}"
        with SubscribedHeads(url, poll_s=60, silence_s_max=0.1, pause_s=0.05):
            until(lambda: len(connections) >= 3)
        silent.shutdown()


def test_a_node_without_websocket_is_looked_at_now_and_then() -> None:
    troubles: list[Exception] = []
    with (
        nobody() as url,
        SubscribedHeads(url, poll_s=0.2, pause_s=60, on_trouble=troubles.append) as heads,
    ):
        hints = [heads.wait(1) for _ in range(4)]
        until(lambda: troubles)
    assert hints == [True] * 4
    assert len(troubles) == 1


def test_a_node_that_cannot_be_reached_is_tried_less_and_less_often() -> None:
    times: list[float] = []
    with (
        nobody() as url,
        SubscribedHeads(url, pause_s=0.05, on_trouble=lambda _: times.append(time.monotonic())),
    ):
        until(lambda: len(times) >= 4)
    pauses = [later - earlier for earlier, later in pairwise(times)]
    assert pauses[0] >= 0.1
    assert pauses[2] >= 0.4


def test_polling_says_when_it_is_time_to_look(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = [0.0]
    clock = SimpleNamespace(monotonic=lambda: now_s[0])
    monkeypatch.setattr("wallet.ethereum.heads.time", clock)
    with PolledHeads(poll_s=5.0) as heads:
        assert not heads.wait(0.01)
        now_s[0] = 4.995
        assert heads.wait(0.01)
        assert not heads.wait(0.01)
        now_s[0] = 9.9
        assert not heads.wait(0.01)
        now_s[0] = 20.0
        assert heads.wait(0.01)


def test_the_node_serves_requests_and_batches_over_http(
    world: DevWorld, server: DevNodeServer
) -> None:
    world.node.mine()
    rpc = Rpc.http(server.url)
    assert rpc.call("eth_blockNumber") == "0x1"
    assert rpc.batch([("eth_chainId", []), ("eth_blockNumber", [])]) == ["0x539", "0x1"]


def test_the_node_seals_blocks_by_itself(world: DevWorld) -> None:
    with DevNodeServer(world.node, interval_s=0.05):
        until(lambda: world.node.tip.height >= 3)


def test_a_port_that_is_taken_is_an_error(world: DevWorld, server: DevNodeServer) -> None:
    with pytest.raises(OSError, match="cannot be served"):
        DevNodeServer(world.node, port=int(server.url.rpartition(":")[2]))
