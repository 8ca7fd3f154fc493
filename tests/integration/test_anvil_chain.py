"""The Ethereum adapter on a real node: anvil, with its pool, its blocks and its reorganisations."""

from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from tests.ethereum_world import ETHER, DevWorld, Follower, World, receipt_of, someone
from tests.tcp_proxy import TcpProxy
from tests.waiting import PATIENCE_S
from wallet.block_scan import BlockScan, TransferSeen
from wallet.errors import NodeLagging
from wallet.ethereum.chain import EthereumChain
from wallet.ethereum.heads import SubscribedHeads
from wallet.ethereum.rpc import Rpc
from wallet.types import BroadcastHint, InPool, Mined, NotSeen, SlotTaken, Token, WatchSet


@pytest.fixture
def world(ethereum_node: str) -> Iterator[World]:
    """Give a world where blocks are sealed when a test says so."""
    world = World(Rpc.http(ethereum_node))
    world.rpc.call("evm_setAutomine", False)
    world.rpc.call("anvil_dropAllTransactions")
    yield world
    world.rpc.call("evm_setAutomine", True)


def scan_tip(world: World, watch: WatchSet) -> BlockScan:
    return world.chain.scan(world.chain.tip(), watch)


def only(scan: BlockScan) -> TransferSeen:
    (seen,) = scan.transfers
    return seen


def test_coins_and_tokens_that_arrive_are_seen(world: World) -> None:
    token, payee = world.token(), someone().address
    world.force(payee, value=3, data=b"with a note")
    world.pay(payee, 4, token)
    world.mine()
    scan = scan_tip(world, WatchSet([payee], [Token(id=token)]))
    assert [(s.locator, s.amount, s.token) for s in scan.transfers] == [
        ("native", 3, None),
        ("log-0", 4, token),
    ]


def test_a_token_that_keeps_a_fee_is_measured(world: World) -> None:
    token, payee = world.token("fee_token"), someone().address
    world.pay(payee, 1000, token)
    world.mine()
    assert only(scan_tip(world, WatchSet([payee], [Token(id=token)]))).amount == 990


def test_a_deposit_mined_again_at_another_index_has_the_same_key(world: World) -> None:
    token, payee = world.token(), someone().address
    watch = WatchSet([payee], [Token(id=token)])
    world.pay(world.rival.address, 9, token)
    world.mine()
    world.pay(someone().address, 7, token)
    deposit = world.attempt(world.rival, world.payment(payee, 9, token))
    world.chain.broadcast(deposit.raw)
    world.mine()
    before, place = scan_tip(world, watch), receipt_of(world, deposit.txid)
    world.rpc.call("anvil_reorg", 1, [["0x" + deposit.raw.hex(), 0]])
    again = receipt_of(world, deposit.txid)
    assert (place["logs"][0]["logIndex"], again["logs"][0]["logIndex"]) == ("0x1", "0x0")
    assert place["transactionIndex"] != again["transactionIndex"]
    after = scan_tip(world, watch)
    assert after.ref.hash != before.ref.hash
    assert only(after) == only(before)
    with pytest.raises(NodeLagging):
        world.chain.scan(before.ref, watch)


def test_a_payment_lives_through_pool_block_and_reorganisation(world: World) -> None:
    payee = someone().address
    attempt = world.attempt(world.rich, world.payment(payee, 5))
    assert world.chain.outcome([attempt]) == NotSeen()
    assert world.chain.broadcast(attempt.raw) is BroadcastHint.ACCEPTED
    assert world.chain.broadcast(attempt.raw) is BroadcastHint.KNOWN
    assert world.chain.outcome([attempt]) == InPool(txid=attempt.txid)
    world.mine(2)
    mined = world.chain.outcome([attempt])
    assert isinstance(mined, Mined)
    assert (mined.ok, mined.moved, world.chain.confirmations(mined.block)) == (True, 5, 2)
    assert world.chain.broadcast(attempt.raw) in {BroadcastHint.SLOT_USED, BroadcastHint.KNOWN}
    world.rpc.call("anvil_reorg", 2, [])
    assert world.chain.confirmations(mined.block) is None
    assert world.chain.outcome([attempt]) == NotSeen()
    assert world.chain.broadcast(attempt.raw) is BroadcastHint.ACCEPTED
    world.mine()
    assert isinstance(world.chain.outcome([attempt]), Mined)


def test_a_replacement_is_taken_and_a_release_frees_the_slot(world: World) -> None:
    slot, intent = world.slot(world.rich), world.payment(someone().address, 5)
    first = world.attempt(world.rich, intent, slot)
    second = world.attempt(world.rich, intent, slot, [first])
    other = world.attempt(world.rich, world.payment(someone().address, 6), slot, [second])
    for attempt in (first, second, other):
        assert world.chain.broadcast(attempt.raw) is BroadcastHint.ACCEPTED
    world.mine()
    assert world.chain.outcome([first, second]) == SlotTaken(at=world.chain.tip())
    assert isinstance(world.chain.outcome([other]), Mined)


def test_a_gap_keeps_a_payment_waiting(world: World) -> None:
    slot = world.slot(world.rich)
    second = world.attempt(
        world.rich,
        world.payment(someone().address, 1),
        type(slot).numbered(slot.chain, slot.owner, slot.number + 1),
    )
    assert world.chain.broadcast(second.raw) is BroadcastHint.ACCEPTED
    world.mine()
    assert world.chain.outcome([second]) == InPool(txid=second.txid)
    world.pay(someone().address, 1)
    world.mine()
    assert isinstance(world.chain.outcome([second]), Mined)


def test_contracts_are_called_and_their_state_is_read_as_of_a_block(world: World) -> None:
    made, address = world.deploy("erc20", "Test", "TST", "6", str(10**30))
    before = world.chain.tip()
    payee = someone().address
    world.transact(made, address, "transfer", payee, "12")
    world.mine()
    call = world.contracts.call
    assert call(made, address, "balanceOf", [payee]) == 12
    assert call(made, address, "balanceOf", [payee], at=before) == 0
    assert call(made, address, "symbol", []) == "TST"


def test_balances_are_of_one_block(world: World) -> None:
    payee = someone().address
    world.pay(payee, ETHER)
    world.mine()
    paid = world.chain.tip()
    world.pay(payee, ETHER)
    world.mine()
    assert world.chain.balances([payee], None, paid) == {payee: ETHER}
    assert world.chain.balances([payee], None) == {payee: 2 * ETHER}


def test_a_node_without_receipts_of_blocks_is_asked_for_each_receipt(world: World) -> None:
    payee = someone().address
    world.pay(payee, 1)
    world.pay(payee, 2)
    world.mine()
    plain = scan_tip(world, WatchSet([payee]))

    class Old(Rpc):
        def batch(
            self, requests: Sequence[tuple[str, Sequence[Any]]], *, size: int = 1
        ) -> list[Any]:
            """Ask for what this node does not have."""
            return super().batch(
                [(m.replace("eth_getBlockReceipts", "eth_noSuchMethod"), p) for m, p in requests],
                size=size,
            )

    old = EthereumChain(Old(world.rpc.provider))
    assert old.scan(plain.ref, WatchSet([payee])) == plain


def test_new_blocks_are_heard_of_over_websocket(ethereum_node: str, world: World) -> None:
    """Long before it is time to look, however slow the machine is."""
    chain = EthereumChain.connect(ethereum_node, poll_s=600)
    with chain.heads() as heads:
        assert heads.wait(PATIENCE_S), "the connection itself is a hint"
        while heads.wait(0.5):
            pass
        world.mine()
        assert heads.wait(PATIENCE_S)


def test_blocks_sealed_while_the_connection_is_down_are_not_missed(
    ethereum_node: str, world: World
) -> None:
    first = world.chain.tip().height + 1
    with TcpProxy(ethereum_node) as proxy:
        websocket = proxy.url.replace("http", "ws")
        with SubscribedHeads(websocket, poll_s=60, pause_s=0.05) as heads:
            follower = Follower(world.chain, heads, first=first, count=9)
            follower.start()
            for _ in range(3):
                world.mine()
                proxy.cut_all()
                world.mine(2)
            follower.join()
    assert [ref.height for ref in follower.seen] == list(range(first, first + 9))


def test_our_own_node_answers_in_the_forms_of_a_real_one(world: World) -> None:
    """What our node says, anvil says too, in the same form: names, and kinds of values."""
    ours, theirs = (_answers(each) for each in (DevWorld(), world))
    for name, form in ours.items():
        assert form.items() <= theirs[name].items(), name


SIGNATURE = {"r", "s"}
"""Numbers as large as hashes, so of any length."""


def _answers(world: World) -> dict[str, dict[str, str]]:
    token = world.token()
    txid = world.pay(someone().address, 5, token)
    waiting = world.rpc.call("eth_getTransactionByHash", txid)
    world.mine()
    receipt = receipt_of(world, txid)
    block = world.rpc.call("eth_getBlockByHash", receipt["blockHash"], True)
    history = world.rpc.call("eth_feeHistory", "0x2", "latest", [50])
    answers = {
        "block": block,
        "transaction": block["transactions"][0],
        "waiting": waiting,
        "receipt": receipt,
        "log": receipt["logs"][0],
        "history": history,
    }
    return {
        name: {k: _kind(v) for k, v in answer.items() if k not in SIGNATURE}
        for name, answer in answers.items()
    }


def _kind(value: Any) -> str:
    """Return the kind of a value; the length of data counts, that of a number does not."""
    if isinstance(value, str) and value.startswith("0x") and len(value) >= 42:
        return f"data of {len(value)}"
    return type(value).__name__
