"""What is a deposit on Ethereum, how much of it counts, and that its key never changes."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from tests.ethereum_world import ETHER, WRAPPED, DevWorld, receipt_of, someone
from wallet.block_scan import BlockScan, ChangedByCall, TransferSeen
from wallet.chain import Chain, Contracts
from wallet.errors import NodeLagging
from wallet.types import Address, BlockHash, Credit, Token, TokenId, WatchSet


@pytest.fixture
def world() -> DevWorld:
    return DevWorld()


def scan_tip(world: DevWorld, watch: WatchSet) -> BlockScan:
    return world.chain.scan(world.chain.tip(), watch)


def only(scan: BlockScan) -> TransferSeen:
    (seen,) = scan.transfers
    return seen


def test_the_adapter_is_a_chain_with_contracts(world: DevWorld) -> None:
    chain: Chain = world.chain
    contracts: Contracts = world.contracts
    assert chain.id == "eip155:1337"
    assert contracts is not None


def test_coins_that_arrive_are_seen(world: DevWorld) -> None:
    payee = someone().address
    txid = world.pay(payee, 3 * ETHER)
    world.mine()
    seen = only(scan_tip(world, WatchSet([payee])))
    assert (seen.key, seen.amount, seen.token) == (
        f"eip155:1337:{txid}:native",
        3 * ETHER,
        None,
    )
    assert (seen.address, seen.sender, seen.own) == (payee, world.rich.address, False)


def test_coins_with_calldata_are_seen(world: DevWorld) -> None:
    payee = someone().address
    world.force(payee, value=5, data=b"thanks for the fish")
    world.mine()
    assert only(scan_tip(world, WatchSet([payee]))).amount == 5


def test_what_goes_to_others_is_not_seen(world: DevWorld) -> None:
    world.pay(someone().address, 1)
    world.mine()
    assert scan_tip(world, WatchSet([someone().address])).transfers == ()


def test_a_transfer_inside_a_reverted_transaction_is_not_credited(world: DevWorld) -> None:
    payer, address = world.deploy("payer")
    payee = someone().address
    intent = world.contracts.transact(
        world.payment(payee, 1).id, payer, address, "pay_and_revert", [payee]
    )
    txid = world.force(address, value=ETHER, data=intent.data)
    world.mine()
    assert receipt_of(world, txid)["status"] == "0x0"
    assert scan_tip(world, WatchSet([payee, address])).transfers == ()
    assert world.chain.balances([payee], None) == {payee: 0}


def test_a_failed_payment_of_ours_is_a_spend_that_moved_nothing(world: DevWorld) -> None:
    payer, address = world.deploy("payer")
    payee = someone().address
    call = world.contracts.transact(
        world.payment(payee, 1).id, payer, address, "pay_and_revert", [payee]
    )
    world.force(address, value=ETHER, data=call.data)
    world.mine()
    (spend,) = scan_tip(world, WatchSet([world.rich.address])).spends
    assert (spend.ok, spend.amount, spend.slot.number) == (False, 0, 1)
    assert spend.fee > 0


def test_a_token_transfer_is_known_by_the_number_of_its_log_in_the_receipt(
    world: DevWorld,
) -> None:
    token, payee = world.token(), someone().address
    world.pay(someone().address, 7, token)
    txid = world.pay(payee, 9, token)
    world.mine()
    assert receipt_of(world, txid)["logs"][0]["logIndex"] == "0x1", "block-wide on the node"
    seen = only(scan_tip(world, WatchSet([payee], [Token(id=token)])))
    assert seen.key == f"eip155:1337:{txid}:log-0"
    assert (seen.amount, seen.token) == (9, token)


def test_a_deposit_that_is_mined_again_elsewhere_keeps_its_key(world: DevWorld) -> None:
    token, payee = world.token(), someone().address
    watch = WatchSet([payee], [Token(id=token)])
    world.pay(world.rival.address, 9, token)
    world.mine()
    first = world.pay(someone().address, 7, token)
    second = world.send(world.rival, world.payment(payee, 9, token))
    world.mine()
    before = scan_tip(world, watch)
    assert receipt_of(world, second)["logs"][0]["logIndex"] == "0x1"
    world.node.reorg(1, blocks=1, lose=[bytes.fromhex(first[2:])])
    assert receipt_of(world, second)["logs"][0]["logIndex"] == "0x0"
    after = scan_tip(world, watch)
    assert only(after) == only(before)
    assert after.ref.hash != before.ref.hash


def test_two_transfers_in_one_transaction_are_two_deposits(world: DevWorld) -> None:
    token, payee = world.token(), someone().address
    payer, address = world.deploy("payer")
    world.pay(address, 10, token)
    world.mine()
    world.transact(payer, address, "pay_token_twice", token, payee, 4)
    world.mine()
    scan = scan_tip(world, WatchSet([payee], [Token(id=token)]))
    assert [(s.locator, s.amount) for s in scan.transfers] == [("log-0", 4), ("log-1", 4)]


def test_a_token_that_keeps_a_fee_credits_what_arrived(world: DevWorld) -> None:
    token, payee = world.token("fee_token"), someone().address
    for _ in range(2):
        world.pay(payee, 1000, token)
    world.mine()
    measured = scan_tip(world, WatchSet([payee], [Token(id=token)]))
    assert [seen.amount for seen in measured.transfers] == [1000, 980]
    strict = scan_tip(world, WatchSet([payee], [Token(id=token, credit=Credit.STRICT)]))
    assert [seen.amount for seen in strict.transfers] == [1000, 1000]


def test_what_leaves_in_the_same_block_does_not_shrink_a_measured_deposit(
    world: DevWorld,
) -> None:
    token, payee = world.token(), someone()
    world.pay(payee.address, ETHER)
    world.pay(payee.address, 50, token)
    world.mine()
    world.pay(payee.address, 100, token)
    world.send(payee, world.payment(someone().address, 50, token))
    world.mine()
    watch = WatchSet([payee.address], [Token(id=token)])
    assert only(scan_tip(world, watch)).amount == 100


def test_a_token_that_returns_nothing_is_credited(world: DevWorld) -> None:
    token, payee = world.token("silent_token"), someone().address
    world.pay(payee, 12, token)
    world.mine()
    assert only(scan_tip(world, WatchSet([payee], [Token(id=token)]))).amount == 12


def test_a_token_that_returns_false_credits_nothing(world: DevWorld) -> None:
    made, address = world.deploy("false_token", 10**6)
    payee = someone().address
    data = world.attempt(world.rich, world.payment(payee, 1, TokenId(address))).raw
    world.transact(made, address, "refuse", True)
    world.mine()
    txid = world.force(address, data=bytes.fromhex(_call_data(data)))
    world.mine()
    assert receipt_of(world, txid)["status"] == "0x1"
    assert scan_tip(world, WatchSet([payee], [Token(id=TokenId(address))])).transfers == ()


def _call_data(raw: bytes) -> str:
    start = raw.index(bytes.fromhex("a9059cbb"))
    return raw[start : start + 68].hex()


def test_a_copy_of_a_token_is_ignored_and_shown(world: DevWorld) -> None:
    real, fake, payee = world.token(), world.token(), someone().address
    world.pay(payee, 10**6, fake)
    world.mine()
    scan = scan_tip(world, WatchSet([payee], [Token(id=real)]))
    assert scan.transfers == ()
    (ignored,) = scan.ignored
    assert (ignored.contract, ignored.address, ignored.amount) == (fake, payee, 10**6)


def test_a_collectible_is_no_token_deposit(world: DevWorld) -> None:
    made, address = world.deploy("collectible")
    payee = someone().address
    world.transact(made, address, "mint", payee, 7)
    world.mine()
    watch = WatchSet([payee], [Token(id=TokenId(address))])
    assert scan_tip(world, watch) == BlockScan(ref=world.chain.tip())


def test_top_ups_and_payments_to_oneself_are_known_as_our_own(world: DevWorld) -> None:
    mine = world.rich.address
    world.pay(mine, 1)
    world.mine()
    scan = scan_tip(world, WatchSet([mine]))
    assert only(scan).own
    assert [(spend.ok, spend.amount) for spend in scan.spends] == [(True, 1)]


def test_coins_sent_on_by_a_contract_show_in_the_balance_only(world: DevWorld) -> None:
    payer, address = world.deploy("payer")
    payee = someone().address
    call = world.contracts.transact(world.payment(payee, 1).id, payer, address, "pay", [payee])
    world.force(address, value=3, data=call.data)
    world.mine()
    assert not world.chain.capabilities.internal_transfers
    assert scan_tip(world, WatchSet([payee])).transfers == ()
    assert world.chain.balances([payee], None) == {payee: 3}


def test_coins_that_a_contract_sends_back_to_its_caller_are_measured(world: DevWorld) -> None:
    payer, address = world.deploy("payer")
    mine = world.rich.address
    call = world.contracts.transact(world.payment(mine, 1).id, payer, address, "pay", [mine])
    world.force(address, value=30, data=call.data)
    world.force(address, value=12, data=call.data)
    world.pay(mine, 5)
    world.mine()
    scan = scan_tip(world, WatchSet([mine]))
    assert scan.changed == (ChangedByCall(address=mine, token=None, change=42),)
    assert [seen.amount for seen in scan.transfers] == [5]
    assert [spend.amount for spend in scan.spends] == [30, 12, 5]


def test_plain_payments_are_not_measured(world: DevWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    token = world.token()
    world.pay(someone().address, 1)
    world.pay(someone().address, 1, token)
    world.mine()
    refuse_balances(world, monkeypatch)
    scan = scan_tip(world, WatchSet([world.rich.address], [Token(id=token)]))
    assert (len(scan.spends), len(scan.left), scan.changed) == (2, 1, ())


def test_without_the_state_of_old_blocks_what_came_back_is_not_known_and_nothing_waits(
    world: DevWorld, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    payer, address = world.deploy("payer")
    mine = world.rich.address
    call = world.contracts.transact(world.payment(mine, 1).id, payer, address, "pay", [mine])
    world.force(address, value=30, data=call.data)
    world.mine()
    refuse_balances(world, monkeypatch)
    scan = scan_tip(world, WatchSet([mine]))
    assert (len(scan.spends), scan.changed) == (1, ())
    assert "what calls changed for us in block 2 is not known" in caplog.text
    gone = world.chain.tip()
    monkeypatch.undo()
    world.node.reorg(1)
    with pytest.raises(NodeLagging):
        world.chain.scan(gone, WatchSet([mine]))


def test_tokens_that_their_contract_gives_and_takes_without_a_log_are_measured(
    world: DevWorld,
) -> None:
    """Wrapped ether tells of a deposit and of a withdrawal, but of no transfer then."""
    mine, wrapped = world.rich.address, world.running(WRAPPED)
    token = TokenId(wrapped)
    watch = WatchSet([mine], [Token(id=token)])
    world.force(wrapped, value=50, data=bytes.fromhex("d0e30db0"))
    world.mine()
    assert [(e.token, e.change) for e in scan_tip(world, watch).changed] == [(token, 50)]
    world.force(wrapped, data=bytes.fromhex("2e1a7d4d") + (20).to_bytes(32, "big"))
    world.mine()
    scan = scan_tip(world, watch)
    assert {(e.token, e.change) for e in scan.changed} == {(token, -20), (None, 20)}
    assert (scan.transfers, scan.left) == ((), ())
    world.force(wrapped, value=1, data=bytes.fromhex("d0e30db0"))
    world.mine()
    assert scan_tip(world, WatchSet([mine])).changed == (), "it is not registered"


def refuse_balances(world: DevWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the node say that it has no state any more, as one does that is no archive."""
    real = world.rpc.batch

    def batch(requests: Sequence[Any], **options: Any) -> list[Any]:
        if any(method == "eth_getBalance" for method, _ in requests):
            raise NodeLagging("missing trie node")
        return real(requests, **options)

    monkeypatch.setattr(world.rpc, "batch", batch)


def test_tokens_that_leave_are_seen_by_their_logs_whoever_sent_the_transaction(
    world: DevWorld,
) -> None:
    made, address = world.deploy("erc20", "Test", "TST", 6, 10**12)
    token, owner = TokenId(address), someone()
    world.pay(owner.address, ETHER)
    world.pay(owner.address, 100, token)
    world.mine()
    approval = world.contracts.transact(
        world.payment(owner.address, 1).id, made, address, "approve", [world.rich.address, "60"]
    )
    world.send(owner, approval)
    world.mine()
    own = world.send(owner, world.payment(someone().address, 30, token))
    others = world.transact(made, address, "transferFrom", owner.address, someone().address, "60")
    world.mine()
    scan = scan_tip(world, WatchSet([owner.address], [Token(id=token)]))
    assert {(e.txid, e.locator, e.address, e.token, e.amount, e.own) for e in scan.left} == {
        (own, "log-0", owner.address, token, 30, True),
        (others, "log-0", owner.address, token, 60, False),
    }
    assert scan_tip(world, WatchSet([owner.address])).left == (), "it is not registered"


def test_zero_amounts_are_no_deposits(world: DevWorld) -> None:
    token, payee = world.token(), someone().address
    data = world.attempt(world.rich, world.payment(payee, 1, token)).raw
    nothing = bytes.fromhex(_call_data(data))[:-1] + b"\0"
    world.force(payee, value=0)
    world.force(Address(token), data=nothing)
    world.mine()
    scan = scan_tip(world, WatchSet([payee], [Token(id=token)]))
    assert (scan.transfers, scan.ignored) == ((), ())


def test_addresses_are_found_in_any_case() -> None:
    payee = someone().address
    watch = WatchSet([payee])
    assert watch.find(payee.lower()) == watch.find(payee.upper().replace("0X", "0x")) == payee
    assert watch.find(someone().address) is None


def test_a_scan_is_of_the_block_with_this_hash_not_of_its_height(world: DevWorld) -> None:
    payee = someone().address
    world.pay(payee, 1)
    world.mine()
    gone = world.chain.tip()
    world.node.reorg(1)
    with pytest.raises(NodeLagging):
        world.chain.scan(gone, WatchSet([payee]))
    with pytest.raises(NodeLagging):
        world.chain.scan(replace(gone, hash=BlockHash("0x" + "12" * 32)), WatchSet([payee]))


def test_many_blocks_are_scanned_as_one_by_one(world: DevWorld) -> None:
    payee = someone().address
    for amount in (1, 2, 3):
        world.pay(payee, amount)
        world.mine(2)
    watch = WatchSet([payee])
    together = world.chain.scan_range(1, 100, watch)
    assert [scan.ref.height for scan in together] == [1, 2, 3, 4, 5, 6]
    assert together == [world.chain.scan(scan.ref, watch) for scan in together]
    assert [seen.amount for scan in together for seen in scan.transfers] == [1, 2, 3]
