"""What strangers, nodes and power cuts do to custody: dust, lag, and crashes between any steps."""

from typing import TypeVar

import pytest

from tests.custody.test_deposits import ONE, step
from tests.custody.world import COIN, TOKEN, WEI, Crash, World, status
from wallet.records.deposit import Deposit
from wallet.records.payment import Payment
from wallet.types import IntentKind

DUST = 200
Record = TypeVar("Record", Deposit, Payment)


@pytest.fixture
def world() -> World:
    return World()


def crash_at(world: World, number: int, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Have the process crash at its n-th step from now on; the list counts down below zero."""
    left = [number]

    def point() -> None:
        left[0] -= 1
        if left[0] == 0:
            raise Crash

    monkeypatch.setattr(world.chaos, "point", point)
    return left


@pytest.mark.parametrize("number", range(1, 9))
def test_a_crash_between_any_two_steps_of_a_deposit_changes_nothing(
    world: World, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.deposit("ann", 3 * WEI)
    left = crash_at(world, number, monkeypatch)
    step(world, 6)
    assert left[0] < 0, "the crash never came"
    assert world.free("ann") == 3 * ONE
    assert len(world.exchange.ledger.deposits) == 1
    assert world.reconcile().differences == []


@pytest.mark.parametrize("number", range(1, 9))
def test_a_crash_between_any_two_steps_of_a_reversal_changes_nothing(
    world: World, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.deposit("ann", 3 * WEI)
    step(world, 2)
    assert world.free("ann") == 3 * ONE
    world.chain.reorganise(2, drop=1)
    world.deposit("bob", WEI)
    left = crash_at(world, number, monkeypatch)
    step(world, 5)
    assert left[0] < 0, "the crash never came"
    assert (world.free("ann"), world.free("bob")) == (0, ONE)
    assert len(world.exchange.ledger.reversals) == 1
    assert world.reconcile().differences == []


def test_dust_spam_is_neither_credited_nor_swept_and_holds_up_nobody(world: World) -> None:
    for _ in range(DUST):
        world.deposit("ann", 7)
        world.deposit("bob", 1, TOKEN)
    world.deposit("cid", 3 * WEI)
    step(world, 4)
    number = world.withdraw("cid", ONE)
    world.settle(8)
    assert (status(world, number), world.paid("0xpayee1")) == ("completed", 1)
    assert [world.free("ann"), world.free("bob", "TOK")] == [0, DUST * 100]
    spam = [each for each in records(world, Deposit) if each.account == "ann"]
    assert {each.status for each in spam} == {"small"}
    address = world.custody.addresses.of("ann")
    assert world.custody.book.holding(address, None) == 7 * DUST
    assert not [each for each in records(world, Payment) if each.owner == address]
    assert world.reconcile().differences == []


def test_tokens_too_few_to_be_worth_their_gas_are_not_topped_up(world: World) -> None:
    for _ in range(DUST):
        world.deposit("bob", 1, TOKEN)
    world.settle(6)
    kinds = {each.intent.kind for each in records(world, Payment)}
    assert IntentKind.TOP_UP not in kinds
    assert world.custody.book.holding(world.custody.addresses.of("bob"), TOKEN) == DUST


def records(world: World, kind: type[Record]) -> list[Record]:
    return [each for each in world.custody.book.records.values() if isinstance(each, kind)]


def test_a_node_that_lags_behind_a_payment_gets_no_second_one(world: World) -> None:
    """It does not know the block that the payment is in, and says that its nonce is free."""
    world.deposit("ann", 3 * WEI)
    step(world, 3)
    number = world.withdraw("ann", ONE)
    world.step()
    step(world)
    assert world.paid("0xpayee1") == 1
    ahead = world.chain.blocks.pop()
    pool = dict(world.chain.pool)
    for _ in range(5):
        world.step()
    signed = [each for each in records(world, Payment) if each.withdrawal_id == number]
    assert [len(each.signed) for each in signed] == [1]
    world.chain.blocks.append(ahead)
    world.chain.pool = pool
    world.settle(5)
    assert (status(world, number), world.paid("0xpayee1")) == ("completed", 1)
    assert world.reconcile().differences == []


def test_an_answer_that_comes_twice_or_not_at_all_pays_once(world: World) -> None:
    world.deposit("ann", 9 * WEI)
    step(world, 3)
    numbers = [world.withdraw("ann", ONE) for _ in range(5)]
    world.chaos.loss_chance, world.chaos.crash_chance, world.chaos.on = 0.5, 0.0, True
    for _ in range(60):
        world.chain.mine()
        world.step()
    assert world.chaos.lost > 20
    world.settle(8)
    assert [status(world, each) for each in numbers] == ["completed"] * 5
    assert [world.paid(f"0xpayee{each}") for each in range(1, 6)] == [1] * 5
    assert world.free("ann", COIN) == 4 * ONE
