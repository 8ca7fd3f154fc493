"""Cancelling: while nothing is signed the hold comes back, once; afterwards it is refused."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.custody.test_deposits import ONE, step
from tests.custody.world import POLICY, WEI, Crash, World, status
from wallet.desk import Desk
from wallet.desk_views import PaymentView
from wallet.errors import AlreadyEnded, AlreadySigned, BadRequest, LimitExceeded, SignerUnavailable
from wallet.ports import ApprovedWithdrawal
from wallet.records.payment import Payment, payment_record_id
from wallet.types import FeePolicy
from wallet.withdrawals import withdrawal_intent_id

HAS = 10 * ONE


@pytest.fixture
def world() -> World:
    """Ann has ten ETH."""
    world = World()
    world.deposit("ann", 10 * WEI)
    world.settle(10)
    return world


def approved(world: World, number: int) -> ApprovedWithdrawal:
    [found] = [w for w in world.exchange.approved(0)[0] if w.withdrawal_id == number]
    return found


def cancel(world: World, number: int, reason: str = "the client asked") -> PaymentView:
    """Cancel from another process, with its own copy of the books."""
    return Desk(world.another_process()).cancel(approved(world, number), reason)


def payment_of(world: World, number: int) -> Payment:
    world.custody.book.catch_up()
    return world.custody.book.get(Payment, payment_record_id(withdrawal_intent_id(number)))


def refunds(world: World, number: int) -> int:
    kinds = [type(e).__name__ for e in world.exchange.events
             if getattr(e, "withdrawal_id", None) == number]  # fmt: skip
    return kinds.count("WithdrawalFailed")


def check(world: World, number: int, *, paid: bool) -> None:
    """It was either paid or given back, and that once."""
    wanted = ("completed", 1, 0, HAS - ONE) if paid else ("failed", 0, 1, HAS)
    found = (
        status(world, number), world.paid(f"0xpayee{number}"), refunds(world, number),
        world.free("ann"),
    )  # fmt: skip
    assert found == wanted
    assert world.reconcile().differences == []


def test_a_withdrawal_that_custody_has_not_seen_yet_is_cancelled(world: World) -> None:
    number = world.withdraw("ann", ONE)
    assert cancel(world, number).status == "failed"
    world.settle(4)
    check(world, number, paid=False)
    assert payment_of(world, number).failure == "CANCELLED: the client asked"


def test_one_that_waits_for_its_officers_is_cancelled_and_holds_no_slot(world: World) -> None:
    world.policy = replace(POLICY, approvals=1)
    world.start()
    number = world.withdraw("ann", ONE)
    step(world)
    assert payment_of(world, number).status == "planned"
    before = payment_of(world, number).version
    for _ in range(3):
        assert cancel(world, number).reason == "CANCELLED: the client asked"
    assert payment_of(world, number).version == before + 1
    step(world)
    check(world, number, paid=False)
    assert payment_of(world, number).anchor == ""


def deaf(world: World, monkeypatch: pytest.MonkeyPatch, *, signs: bool) -> Callable[[], None]:
    """Let no answer of the signer arrive, though it may have signed; return what ends that."""
    asked = world.signer._sign

    def sign(*request: object) -> None:
        if signs:
            asked(*request)  # type: ignore[arg-type]
        raise SignerUnavailable("no answer")

    monkeypatch.setattr(world.signer, "_sign", sign)
    return monkeypatch.undo


@pytest.mark.parametrize("signs", [False, True])
def test_a_slot_of_a_cancelled_withdrawal_is_used_up_before_the_hold_comes_back(
    world: World, monkeypatch: pytest.MonkeyPatch, *, signs: bool
) -> None:
    number = world.withdraw("ann", ONE)
    hear_again = deaf(world, monkeypatch, signs=signs)
    for _ in range(3):
        world.step()
    assert payment_of(world, number).status == "slotted"
    assert cancel(world, number).status == "slotted"
    world.step()
    assert (status(world, number), refunds(world, number)) == ("approved", 0)
    hear_again()
    next_one = world.withdraw("ann", ONE)
    world.settle(8)
    assert (status(world, number), world.paid("0xpayee1")) == ("failed", 0)
    assert (status(world, next_one), world.paid("0xpayee2")) == ("completed", 1)
    cancelled = payment_of(world, number)
    assert [attempt.release for attempt in cancelled.signed] == [True]
    assert cancelled.anchor == str(int(payment_of(world, next_one).anchor) - 1)
    assert refunds(world, number) == 1
    assert world.free("ann") == HAS - ONE


def test_a_slot_is_used_up_also_when_no_higher_fee_may_be_paid(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.policy = replace(POLICY, fee=FeePolicy(price_max=2, total_max=10**12))
    world.start()
    number = world.withdraw("ann", ONE)
    hear_again = deaf(world, monkeypatch, signs=False)
    world.step()
    assert payment_of(world, number).built is not None
    cancel(world, number)
    hear_again()
    world.settle(4)
    check(world, number, paid=False)


def test_what_the_signer_denied_need_not_be_outbid(world: World) -> None:
    """It was never signed: the release is made at the price of the day."""
    world.signer.denial = LimitExceeded
    world.signer.denies.add("withdrawal-1")
    number = world.withdraw("ann", ONE)
    world.settle(4)
    [release] = payment_of(world, number).attempts
    assert world.chain.parse(release.raw).price == world.chain.price
    check(world, number, paid=False)


def test_what_is_signed_is_not_cancelled(world: World) -> None:
    number = world.withdraw("ann", ONE)
    world.step()
    assert payment_of(world, number).status == "signed"
    before = payment_of(world, number).version
    with pytest.raises(AlreadySigned) as refused:
        cancel(world, number)
    assert refused.value.code == "ALREADY_SIGNED"
    assert payment_of(world, number).version == before
    world.settle(4)
    check(world, number, paid=True)
    with pytest.raises(AlreadyEnded):
        cancel(world, number)


def test_a_paused_chain_gives_back_what_has_no_slot(world: World) -> None:
    number = world.withdraw("ann", ONE)
    world.custody.pause("a drill")
    world.settle(2)
    cancel(world, number)
    world.settle(1)
    check(world, number, paid=False)


def test_one_that_cannot_be_paid_keeps_its_own_reason(world: World) -> None:
    number = world.withdraw("ann", ONE, address="bc1q")
    assert cancel(world, number).reason.startswith("BAD_ADDRESS")
    world.settle(2)
    assert (status(world, number), refunds(world, number)) == ("failed", 1)
    with pytest.raises(AlreadyEnded):
        cancel(world, number)


def test_what_is_not_on_the_chain_is_not_ours_to_cancel(world: World) -> None:
    other = ApprovedWithdrawal(withdrawal_id=9, account="ann", asset="BTC", amount=1, address="x")
    with pytest.raises(BadRequest, match="BTC is not on"):
        Desk(world.custody).cancel(other, "why")


def test_one_whose_slot_is_released_anyway_stays_as_it_is(world: World) -> None:
    world.signer.denial = LimitExceeded
    world.signer.denies.add("withdrawal-1")
    number = world.withdraw("ann", ONE)
    world.step()
    version = payment_of(world, number).version
    assert cancel(world, number).reason.startswith("LIMIT_EXCEEDED")
    assert payment_of(world, number).version == version
    world.settle(6)
    check(world, number, paid=False)


LAST_TO_CANCEL = 11
"""The signer has answered, and its answer is about to be recorded."""


@pytest.mark.parametrize("crash", [False, True])
@pytest.mark.parametrize("number", range(1, 16))
def test_a_cancellation_between_any_two_steps_ends_one_way(
    world: World, number: int, monkeypatch: pytest.MonkeyPatch, *, crash: bool
) -> None:
    """Another process cancels right there; with `crash` ours is killed at that very moment."""
    left, refused = [number], [False]
    withdrawal = world.withdraw("ann", ONE)
    other = Desk(world.another_process())

    def point() -> None:
        left[0] -= 1
        if left[0] == 0:
            try:
                other.cancel(approved(world, withdrawal), "the client asked")
            except (AlreadySigned, AlreadyEnded):
                refused[0] = True
            if crash:
                raise Crash

    monkeypatch.setattr(world.chaos, "point", point)
    for _ in range(10):
        world.chain.mine()
        for _ in range(5):
            world.step()
    assert left[0] < 0, "it never came to this step"
    assert refused[0] == (number > LAST_TO_CANCEL)
    check(world, withdrawal, paid=refused[0])
