"""Our own Ethereum node keeps a real node's rules, in geth's words."""

import re
from dataclasses import replace
from typing import Any

import pytest

from api import faucet
from tests.ethereum_world import ETHER, GWEI, DevWorld, Person, someone
from wallet.ethereum.devnode.methods import Methods
from wallet.ethereum.devnode.node import TRANSACTIONS_PER_BLOCK_MAX, DevNode
from wallet.ethereum.devnode.provider import DevNodeProvider, answer
from wallet.ethereum.rpc import RpcError
from wallet.ethereum.transaction import Fields
from wallet.types import IntentId, Slot, Unsigned


@pytest.fixture
def world() -> DevWorld:
    return DevWorld()


PLAIN = Fields(
    chain_id=1337,
    nonce=0,
    tip=GWEI,
    price=10 * GWEI,
    gas=21_000,
    to=b"\x22" * 20,
    value=1,
    data=b"",
)


def signed(world: DevWorld, owner: Person, fields: Fields) -> str:
    slot = Slot.numbered(world.chain.id, owner.address, fields.nonce)
    unsigned = Unsigned(intent_id=IntentId("x"), slot=slot, raw=fields.encode(), fee_max=0)
    return "0x" + owner.sign(unsigned).raw.hex()


def send(world: DevWorld, owner: Person, fields: Fields) -> Any:
    return world.rpc.call("eth_sendRawTransaction", signed(world, owner, fields))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"chain_id": 1}, "invalid chain id for signer: have 1 want 1337"),
        ({"gas": 20_999}, "intrinsic gas too low: gas 20999, minimum needed 21000"),
        ({"gas": 30_000_001}, "exceeds block gas limit"),
        ({"tip": 11 * GWEI}, "max priority fee per gas higher than max fee per gas"),
        ({"value": 10**30}, "insufficient funds for gas * price + value: balance"),
    ],
)
def test_what_a_node_does_not_take(world: DevWorld, change: dict[str, int], words: str) -> None:
    with pytest.raises(RpcError, match=re.escape(words)):
        send(world, world.rich, replace(PLAIN, **change))  # type: ignore[arg-type]
    assert len(world.node.pool) == 0


def test_a_used_nonce_is_too_low(world: DevWorld) -> None:
    send(world, world.rich, PLAIN)
    world.mine()
    with pytest.raises(RpcError, match="nonce too low: next nonce 1, tx nonce 0"):
        send(world, world.rich, replace(PLAIN, value=2))


def test_a_transaction_that_waits_is_known(world: DevWorld) -> None:
    send(world, world.rich, PLAIN)
    with pytest.raises(RpcError, match="already known"):
        send(world, world.rich, PLAIN)


@pytest.mark.parametrize(("percent", "taken"), [(109, False), (110, True)])
def test_a_replacement_pays_ten_percent_more(world: DevWorld, percent: int, taken: bool) -> None:
    send(world, world.rich, PLAIN)
    more = replace(
        PLAIN, tip=PLAIN.tip * percent // 100, price=PLAIN.price * percent // 100, value=2
    )
    if taken:
        send(world, world.rich, more)
        assert len(world.node.pool) == 1
    else:
        with pytest.raises(RpcError, match="replacement transaction underpriced"):
            send(world, world.rich, more)


def test_transactions_behind_a_gap_wait_for_it(world: DevWorld) -> None:
    for nonce in (2, 1):
        send(world, world.rich, replace(PLAIN, nonce=nonce))
    assert len(world.node.mine().transactions) == 0
    assert world.node.nonce(bytes.fromhex(world.rich.address[2:]), pending=True) == 0
    send(world, world.rich, PLAIN)
    assert world.node.nonce(bytes.fromhex(world.rich.address[2:]), pending=True) == 3
    assert [tx.nonce for tx in world.node.mine().transactions] == [0, 1, 2]


def test_an_offer_below_the_base_fee_waits(world: DevWorld) -> None:
    send(world, world.rich, replace(PLAIN, price=10**8, tip=1))
    assert len(world.node.mine().transactions) == 0
    world.mine(30)
    assert len(world.node.pool) == 0, "empty blocks have made gas cheaper"


def test_the_best_tip_comes_first_and_a_block_has_room_for_so_many(world: DevWorld) -> None:
    for nonce in range(TRANSACTIONS_PER_BLOCK_MAX):
        send(world, world.rich, replace(PLAIN, nonce=nonce))
    send(world, world.rival, replace(PLAIN, tip=2 * GWEI))
    first, second = world.node.mine(), world.node.mine()
    assert len(first.transactions) == TRANSACTIONS_PER_BLOCK_MAX
    assert first.transactions[0].max_priority_fee_per_gas == 2 * GWEI
    assert len(second.transactions) == 1


def test_replaced_blocks_are_gone_and_their_transactions_wait_or_are_mined_again(
    world: DevWorld,
) -> None:
    txid = send(world, world.rich, PLAIN)
    old = world.node.mine()
    world.node.reorg(1, blocks=0)
    assert world.rpc.call("eth_getBlockByHash", "0x" + old.hash.hex(), False) is None
    assert world.rpc.call("eth_getTransactionReceipt", txid) is None
    assert world.rpc.call("eth_getTransactionByHash", txid)["blockHash"] is None
    new = world.node.mine()
    assert (new.height, new.hash != old.hash) == (old.height, True)
    assert world.rpc.call("eth_getTransactionReceipt", txid)["blockHash"] == "0x" + new.hash.hex()


def test_heads_go_back_and_grow_again(world: DevWorld) -> None:
    heights: list[int] = []
    world.node.listen(lambda block: heights.append(block.height))
    world.mine(3)
    world.node.reorg(2)
    assert heights == [1, 2, 3, 2, 3, 4]
    with pytest.raises(ValueError, match="cannot replace"):
        world.node.reorg(5)


def test_states_of_left_branches_do_not_mix(world: DevWorld) -> None:
    payee = someone().address
    world.pay(payee, ETHER)
    world.mine(2)
    world.node.reorg(2, lose=[tx.hash for tx in world.node._chain[1].transactions])
    assert world.chain.balances([payee], None) == {payee: 0}
    world.pay(payee, 3)
    world.mine()
    assert world.chain.balances([payee], None) == {payee: 3}


def test_logs_are_numbered_through_the_block(world: DevWorld) -> None:
    token = world.token()
    for _ in range(3):
        world.pay(someone().address, 1, token)
    world.mine()
    tip = world.rpc.call("eth_blockNumber")
    logs = world.rpc.call("eth_getLogs", {"address": token, "fromBlock": tip, "toBlock": tip})
    assert [log["logIndex"] for log in logs] == ["0x0", "0x1", "0x2"]


def test_automine_seals_a_block_for_each_transaction() -> None:
    world = DevWorld()
    world.node.automine = True
    world.pay(someone().address, 1)
    assert world.node.tip.height == 1


def test_requests_that_are_none_are_answered_with_errors(world: DevWorld) -> None:
    methods = Methods(world.node)
    codes = [
        answer(methods, request)["error"]["code"]
        for request in (
            None,
            {"method": 1},
            {"id": 1, "method": "eth_noSuchMethod"},
            {"id": 1, "method": "eth_getBalance", "params": ["nonsense"]},
            {"id": 1, "method": "eth_getBalance", "params": ["0x" + "11" * 20, "0xffff"]},
            {"id": 1, "method": "eth_sendRawTransaction", "params": ["0x1234"]},
        )
    ]
    assert codes == [-32600, -32600, -32601, -32602, -32000, -32602]


def test_accounts_are_those_of_anvil() -> None:
    world = DevWorld()
    assert world.rich.address == "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
    assert world.rich.key.hex() == faucet.KEY
    assert world.chain.balances([world.rich.address], None)[world.rich.address] == 10_000 * ETHER


def test_blocks_are_the_same_when_time_is() -> None:
    nodes = [DevNode(clock=lambda: 1_700_000_000.0) for _ in range(2)]
    assert nodes[0].mine(3).hash == nodes[1].mine(3).hash
    assert DevNodeProvider(nodes[0]).is_connected()
