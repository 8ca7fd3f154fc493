"""Officers' approvals online: genuine ones count once and for a time; all others change nothing."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.custody.test_cancel import approved, check, payment_of
from tests.custody.test_deposits import ONE, step
from tests.custody.world import APPROVAL_AGE_S_MAX, POLICY, WEI, World, status
from tests.signer_world import OFFICERS
from wallet.approvals import Approval, approve, format_approval
from wallet.desk import Desk
from wallet.desk_views import ReviewView
from wallet.errors import (
    ApprovalExpired,
    ApprovalRequired,
    BadApproval,
    DuplicateApproval,
    PolicyDenied,
    WalletError,
)
from wallet.records.review import Review, review_id
from wallet.types import Intent, IntentKind


@pytest.fixture
def world() -> World:
    """Ann has ten ETH, and a withdrawal of one waits for two officers."""
    world = World(policy=replace(POLICY, approvals=2))
    world.deposit("ann", 10 * WEI)
    world.settle(10)
    world.withdraw("ann", ONE)
    step(world)
    assert payment_of(world, 1).status == "planned"
    return world


def intent_of(world: World) -> Intent:
    return payment_of(world, 1).intent


def hand_in(world: World, text: str) -> ReviewView:
    return Desk(world.another_process()).approve(approved(world, 1), text)


def recorded(world: World) -> int:
    """Return how many events the review has."""
    world.custody.book.catch_up()
    review = world.custody.book.find(Review, review_id(intent_of(world).id))
    return 0 if review is None else review.version


def test_with_its_last_approval_a_withdrawal_is_paid(world: World) -> None:
    first = hand_in(world, world.approval("ann", intent_of(world)))
    assert (first.approvals, first.expired, first.needed) == (["ann"], [], 2)
    step(world)
    assert payment_of(world, 1).status == "planned"
    assert hand_in(world, world.approval("ben", intent_of(world))).approvals == ["ann", "ben"]
    world.settle(4)
    check(world, 1, paid=True)


def forged(world: World) -> str:
    """Ben's key under Ann's name."""
    intent = intent_of(world)
    made = approve(OFFICERS["ben"], "ann", intent, approved_ms=world.now_ms)
    return format_approval(made)


def dated_back(world: World) -> str:
    """Ann's approval with another time on it than she signed."""
    [made] = [approve(OFFICERS["ann"], "ann", intent_of(world), approved_ms=world.now_ms)]
    return format_approval(Approval(made.officer, made.approved_ms - 1, made.signature))


def of_another(world: World) -> str:
    return world.approval("ann", replace(intent_of(world), amount=WEI + 1))


BAD: dict[str, tuple[type[WalletError], Callable[[World], str]]] = {
    "nonsense": (BadApproval, lambda world: "ann"),
    "not base64": (BadApproval, lambda world: "ann:1:*"),
    "too short": (BadApproval, lambda world: "ann:1:c2ln"),
    "of the form before": (BadApproval, lambda world: "ann:" + "A" * 86 + "=="),
    "of a stranger": (BadApproval, lambda world: forged(world).replace("ann", "eve")),
    "forged": (BadApproval, forged),
    "dated back": (BadApproval, dated_back),
    "of another payment": (BadApproval, of_another),
    "of the future": (
        BadApproval,
        lambda world: world.approval("ann", intent_of(world), age_s=-301),
    ),
    "too old": (
        ApprovalExpired,
        lambda world: world.approval("ann", intent_of(world), age_s=APPROVAL_AGE_S_MAX),
    ),
}


@pytest.mark.parametrize("what", BAD)
def test_what_is_no_approval_is_refused_and_changes_nothing(world: World, what: str) -> None:
    error, make = BAD[what]
    with pytest.raises(error) as refused:
        hand_in(world, make(world))
    assert refused.value.code in ("BAD_APPROVAL", "APPROVAL_EXPIRED")
    assert recorded(world) == 0
    for name in ("ann", "ben"):
        hand_in(world, world.approval(name, intent_of(world)))
    world.settle(4)
    check(world, 1, paid=True)


def test_an_officer_counts_once(world: World) -> None:
    first = world.approval("ann", intent_of(world))
    hand_in(world, first)
    with pytest.raises(DuplicateApproval, match="'ann' has approved it already"):
        hand_in(world, world.approval("ann", intent_of(world), age_s=1))
    assert hand_in(world, first).approvals == ["ann"]
    assert recorded(world) == 2
    step(world, 2)
    assert payment_of(world, 1).status == "planned"


def test_an_approval_that_is_too_old_counts_no_more_and_can_be_given_anew(world: World) -> None:
    hand_in(world, world.approval("ann", intent_of(world)))
    world.now_ms += APPROVAL_AGE_S_MAX * 1000
    late = hand_in(world, world.approval("ben", intent_of(world)))
    assert (late.approvals, late.expired) == (["ben"], ["ann"])
    step(world, 2)
    assert payment_of(world, 1).status == "planned"
    assert hand_in(world, world.approval("ann", intent_of(world))).expired == []
    world.settle(4)
    check(world, 1, paid=True)


def test_the_signer_may_need_more_officers_than_custody(world: World) -> None:
    world.signer.needed = 3
    for name in ("ann", "ben"):
        assert hand_in(world, world.approval(name, intent_of(world))).needed == 3
    step(world, 3)
    assert (payment_of(world, 1).status, status(world, 1)) == ("planned", "approved")
    hand_in(world, world.approval("cat", intent_of(world)))
    world.settle(4)
    check(world, 1, paid=True)


def test_one_who_is_no_officer_any_more_does_not_count(world: World) -> None:
    for name in ("ann", "ben"):
        hand_in(world, world.approval(name, intent_of(world)))
    world.signer.officers = ("ben", "cat")
    step(world, 2)
    assert payment_of(world, 1).status == "planned"
    hand_in(world, world.approval("cat", intent_of(world)))
    world.settle(4)
    check(world, 1, paid=True)


def test_what_no_rule_of_the_signer_allows_is_given_back_with_the_reason(world: World) -> None:
    for name in ("ann", "ben"):
        hand_in(world, world.approval(name, intent_of(world)))
    world.signer.forbids.add(IntentKind.WITHDRAWAL)
    with pytest.raises(PolicyDenied):
        Desk(world.custody).review(approved(world, 1))
    world.settle(2)
    check(world, 1, paid=False)
    assert payment_of(world, 1).failure.startswith("POLICY_DENIED: no_rule")
    assert payment_of(world, 1).anchor == ""


def test_what_no_rule_allows_is_not_left_waiting_for_its_officers(world: World) -> None:
    world.signer.forbids.add(IntentKind.WITHDRAWAL)
    world.start()
    world.settle(2)
    check(world, 1, paid=False)


def test_what_the_signer_still_denies_is_given_back_once_its_slot_is_used_up(world: World) -> None:
    world.signer.denies.add("withdrawal-1")
    world.signer.denial = ApprovalRequired
    for name in ("ann", "ben"):
        hand_in(world, world.approval(name, intent_of(world)))
    world.settle(6)
    check(world, 1, paid=False)
    assert payment_of(world, 1).failure.startswith("APPROVAL_REQUIRED")
