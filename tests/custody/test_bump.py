"""Bumping: a stuck transaction is replaced in its slot at a higher fee, and within the policy."""

from dataclasses import replace

import pytest

from tests.custody.test_cancel import HAS, check, payment_of, refunds
from tests.custody.test_deposits import ONE
from tests.custody.world import POLICY, WEI, World
from wallet.desk import Desk
from wallet.errors import AlreadyEnded, BadRequest, FeeCapReached, LimitExceeded, NotSigned
from wallet.types import FeePolicy, IntentId

NAME = IntentId("withdrawal-1")


@pytest.fixture
def world() -> World:
    """Ann has ten ETH, and a withdrawal of one waits in the pool."""
    world = World(policy=replace(POLICY, replace_after=100))
    world.deposit("ann", 10 * WEI)
    world.settle(10)
    world.withdraw("ann", ONE)
    world.step()
    assert len(payment_of(world, 1).signed) == 1
    return world


def test_a_stuck_payment_is_replaced_once_for_each_time_it_is_asked(world: World) -> None:
    desk = Desk(world.another_process())
    for attempts in (2, 3):
        for _ in range(3):
            desk.bump(NAME, "op")
        for _ in range(5):
            world.step()
        payment = payment_of(world, 1)
        assert len(payment.signed) == attempts
        assert len({attempt.slot for attempt in payment.attempts}) == 1
    prices = [world.chain.parse(each.raw).price for each in payment_of(world, 1).attempts]
    assert prices == sorted(set(prices))
    world.settle(4)
    check(world, 1, paid=True)


def test_nothing_is_bumped_above_the_cap_of_the_policy(world: World) -> None:
    world.policy = replace(world.policy, fee=FeePolicy(price_max=2, total_max=10**12))
    version = payment_of(world, 1).version
    with pytest.raises(FeeCapReached) as refused:
        Desk(world.another_process()).bump(NAME, "op")
    assert (refused.value.code, refused.value.retryable) == ("FEE_CAP_REACHED", False)
    assert payment_of(world, 1).version == version


def test_only_what_is_signed_and_has_not_ended_is_bumped(world: World) -> None:
    desk = Desk(world.another_process())
    with pytest.raises(BadRequest, match="no payment"):
        desk.bump(IntentId("withdrawal-99"), "op")
    world.settle(4)
    with pytest.raises(AlreadyEnded):
        desk.bump(NAME, "op")
    world.policy = replace(POLICY, approvals=1)
    world.start()
    world.withdraw("ann", ONE)
    world.step()
    with pytest.raises(NotSigned):
        desk.bump(IntentId("withdrawal-2"), "op")


def test_what_the_signer_denies_is_asked_for_once_and_the_first_attempt_stands(
    world: World,
) -> None:
    world.signer.denial = LimitExceeded
    world.signer.denies.add(NAME)
    Desk(world.another_process()).bump(NAME, "op")
    for _ in range(4):
        world.step()
    payment = payment_of(world, 1)
    assert (len(payment.signed), payment.bumping, payment.releasing) == (1, False, "")
    assert payment.denied_height == world.chain.tip().height
    version = payment.version
    world.step()
    assert payment_of(world, 1).version == version
    world.settle(4)
    check(world, 1, paid=True)
    assert refunds(world, 1) == 0
    assert world.free("ann") == HAS - ONE


def test_a_paused_chain_replaces_when_it_goes_on(world: World) -> None:
    world.custody.pause("a drill")
    Desk(world.another_process()).bump(NAME, "op")
    world.step()
    assert len(payment_of(world, 1).signed) == 1
    world.custody.resume("op")
    world.step()
    assert len(payment_of(world, 1).signed) == 2
