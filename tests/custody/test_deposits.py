"""Deposits: credited once when deep enough, reversed when their block is gone."""

from dataclasses import replace

import pytest

from tests.custody.world import POLICY, RICH, TOKEN, UNIT, WEI, World
from wallet.errors import BadRequest, DeepReorg, WrongChain
from wallet.records.deposit import Deposit
from wallet.types import Address, BlockHash, DepositKey, deposit_key

ONE = WEI // UNIT
"""One ETH in ledger units."""
PAUSING = replace(POLICY, pause_on_reversal=True)


@pytest.fixture
def world() -> World:
    return World()


def step(world: World, blocks: int = 1) -> None:
    """Mine blocks and let custody do what it can after each."""
    for _ in range(blocks):
        world.chain.mine()
        world.rest()


def the_deposit(world: World) -> Deposit:
    [found] = [r for r in world.custody.book.records.values() if isinstance(r, Deposit)]
    return found


def test_a_deposit_is_credited_when_it_is_deep_enough_and_not_before(world: World) -> None:
    world.deposit("ann", WEI)
    step(world)
    assert world.free("ann") == 0
    step(world)
    assert world.free("ann") == ONE


def test_a_large_deposit_waits_for_more_blocks(world: World) -> None:
    world.deposit("ann", 60 * WEI)
    step(world, 3)
    assert world.free("ann") == 0
    step(world)
    assert world.free("ann") == 60 * ONE


def test_a_deposit_mined_again_in_another_block_is_credited_once(world: World) -> None:
    world.deposit("ann", WEI)
    step(world)
    world.chain.reorganise(1)
    step(world, 4)
    assert world.free("ann") == ONE
    assert len(world.exchange.ledger.deposits) == 1
    assert the_deposit(world).epoch == 0


def test_a_credited_deposit_whose_block_goes_is_reversed_and_the_chain_pauses() -> None:
    world = World(policy=PAUSING)
    world.deposit("ann", WEI)
    step(world, 2)
    world.chain.reorganise(3, drop=1)
    step(world)
    assert world.free("ann") == 0
    assert "is gone" in world.custody.book.chain_record.paused


def test_while_paused_nothing_is_credited_or_paid_and_reversals_go_on() -> None:
    world = World(policy=PAUSING)
    world.deposit("ann", 3 * WEI)
    step(world, 2)
    world.custody.pause("a drill")
    number = world.withdraw("ann", ONE)
    world.deposit("bob", WEI)
    step(world, 5)
    assert (world.free("bob"), world.paid("0xpayee1")) == (0, 0)
    world.custody.resume("op")
    step(world, 5)
    assert (world.free("bob"), world.paid("0xpayee1")) == (ONE, 1)
    assert world.exchange.ledger.withdrawals[number].status == "completed"


def test_a_reversed_deposit_that_is_mined_again_is_credited_under_its_next_epoch(
    world: World,
) -> None:
    tx = world.deposit("ann", WEI)
    step(world, 2)
    world.chain.reorganise(3)
    step(world, 4)
    key = deposit_key(world.chain.id, tx.txid, "native")
    assert list(world.exchange.ledger.deposits) == [key, f"{key}#1"]
    assert list(world.exchange.ledger.reversals) == [key]
    assert world.free("ann") == ONE


def test_what_was_spent_of_a_reversed_deposit_is_owed(world: World) -> None:
    world.deposit("ann", WEI)
    step(world, 2)
    world.withdraw("ann", ONE)
    step(world)
    world.chain.reorganise(4, drop=1)
    world.settle(4)
    assert world.exchange.ledger.accounts["ann"].debts == {"ETH": ONE}


def test_what_is_below_a_ledger_unit_goes_to_dust_and_reconciles(world: World) -> None:
    world.deposit("ann", WEI + 7)
    world.settle(4)
    assert world.free("ann") == ONE
    total = world.reconcile().totals[0]
    assert (total.credited, total.dust) == (WEI, 7)


def test_small_deposits_wait_until_they_are_enough_together(world: World) -> None:
    for _ in range(9):
        world.deposit("ann", WEI // 1_000)
    step(world, 4)
    assert world.free("ann") == 0
    world.deposit("ann", WEI // 1_000)
    step(world, 3)
    assert world.free("ann") == ONE // 100
    assert len(world.exchange.ledger.deposits) == 10


def test_a_token_of_fewer_decimals_than_the_ledger_is_credited_exactly(world: World) -> None:
    world.deposit("ann", 123, TOKEN)
    step(world, 3)
    assert world.free("ann", "TOK") == 12_300


def test_a_deposit_that_the_exchange_refuses_is_quarantined_until_it_is_released(
    world: World,
) -> None:
    tx = world.deposit("nobody", WEI)
    step(world, 3)
    key = deposit_key(world.chain.id, tx.txid, "native")
    deposit = the_deposit(world)
    assert (deposit.status, deposit.reason) == ("quarantined", "unknown_account")
    world.custody.deposits.release(key, "op")
    step(world)
    assert the_deposit(world).status == "quarantined"
    with pytest.raises(BadRequest, match="not in quarantine"):
        world.custody.deposits.release(DepositKey("unheard"), "op")


def test_coins_between_our_own_addresses_are_no_deposits(world: World) -> None:
    world.deposit("ann", 3 * WEI)
    world.settle(12)
    swept = world.custody.book.holding(world.keys.hot, None)
    assert swept > 1_502 * WEI
    assert len(world.exchange.ledger.deposits) == 1
    assert world.reconcile().differences == []


def test_a_node_that_lags_proves_no_reorganisation(world: World) -> None:
    world.deposit("ann", WEI)
    step(world, 3)
    ahead = world.chain.blocks.pop()
    world.rest()
    assert world.custody.book.chain_record.tip == ahead.ref
    world.chain.blocks.append(ahead)
    step(world)
    assert world.free("ann") == ONE


def test_a_reorganisation_deeper_than_is_remembered_stops_everything() -> None:
    world = World(policy=replace(POLICY, reorg_max=3))
    world.settle(12)
    world.chain.reorganise(9)
    with pytest.raises(DeepReorg):
        world.custody.scanner.follow()
    assert world.custody.book.chain_record.paused


def test_another_chain_under_the_same_books_is_refused(world: World) -> None:
    step(world)
    genesis = world.chain.blocks[0]
    genesis.ref = replace(genesis.ref, hash=BlockHash("other"))
    with pytest.raises(WrongChain):
        world.start()


def test_another_public_key_under_the_same_books_is_refused(world: World) -> None:
    world.keys.deposit_address = lambda index: Address(f"0xthief{index}")  # type: ignore[method-assign]
    with pytest.raises(WrongChain, match="public key"):
        world.start()


def test_after_downtime_it_catches_up_with_progress_and_finds_what_came_meanwhile(
    world: World,
) -> None:
    world.deposit("ann", WEI)
    for _ in range(600):
        world.chain.mine()
    told: list[tuple[int, int]] = []
    while world.custody.step(lambda height, tip: told.append((height, tip))):
        pass
    assert told[0] == (7, 601)
    assert told[-1] == (601, 601)
    assert world.free("ann") == ONE
    assert len(world.custody.book.blocks) <= 2 * POLICY.reorg_max


def test_an_account_gets_the_same_address_whenever_it_asks(world: World) -> None:
    first = world.custody.addresses.of("ann")
    other = world.custody.addresses.of("bob")
    world.start()
    assert world.custody.addresses.of("ann") == first != other


def test_reconciliation_names_what_nobody_can_explain(world: World) -> None:
    world.deposit("ann", WEI)
    world.settle(8)
    assert world.reconcile().differences == []
    address = world.custody.book.address_of["ann"]
    world.chain.state.move(address, "", 5)
    world.chain.state.move(RICH, "", -5)
    [difference] = world.reconcile().differences
    assert difference.what == f"ETH at {address}"
    assert int(difference.other) - int(difference.books) == 5
