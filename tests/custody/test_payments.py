"""Payments: one slot each, recorded before they are broadcast, paid or given back, never both."""

from dataclasses import replace

import pytest

from tests.custody.fast_chain import Tx
from tests.custody.test_deposits import ONE, step
from tests.custody.world import COIN, COINS, POLICY, RICH, TOKEN, WEI, Crash, World, status
from wallet.errors import ApprovalRequired, KeyUsedElsewhere, LimitExceeded
from wallet.policy import Band
from wallet.records.payment import Payment, payment_record_id
from wallet.types import IntentId, IntentKind
from wallet.withdrawals import withdrawal_intent_id


@pytest.fixture
def world() -> World:
    """Ann has ten ETH and some tokens."""
    world = World()
    world.deposit("ann", 10 * WEI)
    world.deposit("ann", 10**6, TOKEN)
    world.settle(10)
    return world


def payment_of(world: World, number: int) -> Payment:
    return world.custody.book.get(Payment, payment_record_id(withdrawal_intent_id(number)))


def test_a_withdrawal_is_paid_once_and_completed_when_it_is_deep_enough(world: World) -> None:
    number = world.withdraw("ann", ONE)
    step(world)
    assert (status(world, number), world.paid("0xpayee1")) == ("approved", 0)
    step(world)
    assert (status(world, number), world.paid("0xpayee1")) == ("approved", 1)
    step(world)
    assert (status(world, number), world.paid("0xpayee1")) == ("completed", 1)
    assert world.reconcile().differences == []


def test_a_token_that_says_no_in_its_block_is_refunded(world: World) -> None:
    world.chain.fails_for.add("0xpayee1")
    number = world.withdraw("ann", 100, "TOK")
    world.settle(6)
    assert (status(world, number), world.paid("0xpayee1", TOKEN)) == ("failed", 0)
    assert world.free("ann", "TOK") == 10**8
    assert world.reconcile().differences == []


def test_a_refunded_payment_that_a_reorganisation_un_mines_is_released_not_paid(
    world: World,
) -> None:
    world.chain.fails_for.add("0xpayee1")
    number = world.withdraw("ann", 100, "TOK")
    step(world, 4)
    assert status(world, number) == "failed"
    payment = payment_of(world, number)
    depth = world.chain.tip().height - (payment.final.height if payment.final else 0) + 1
    world.chain.reorganise(depth, drop=1)
    world.settle(6)
    assert payment_of(world, number).signed[-1].release
    assert world.paid("0xpayee1", TOKEN) == 0
    assert world.reconcile().differences == []


def test_a_deep_reorganisation_of_a_final_withdrawal_refills_its_slot(world: World) -> None:
    first = world.withdraw("ann", ONE)
    step(world, 4)
    assert status(world, first) == "completed"
    world.chain.reorganise(6, drop=1)
    assert world.paid("0xpayee1") == 0
    world.chain.send(RICH, world.keys.hot, 100 * WEI)
    world.deposit("ann", 10 * WEI)
    step(world, 6)
    assert world.paid("0xpayee1") == 1
    second = world.withdraw("ann", ONE)
    world.settle(6)
    assert (status(world, second), world.paid("0xpayee2")) == ("completed", 1)


def test_what_the_signer_denies_is_refunded_once_its_slot_is_used_up(world: World) -> None:
    world.signer.denial = LimitExceeded
    world.signer.denies.add("withdrawal-1")
    denied, next_one = world.withdraw("ann", ONE), world.withdraw("ann", ONE)
    step(world)
    assert status(world, denied) == "approved"
    world.settle(6)
    assert (status(world, denied), world.paid("0xpayee1")) == ("failed", 0)
    assert (status(world, next_one), world.paid("0xpayee2")) == ("completed", 1)
    assert payment_of(world, denied).is_release(payment_of(world, denied).signed[-1].txid)
    assert "LIMIT_EXCEEDED" in payment_of(world, denied).failure


def test_one_bad_address_holds_up_nobody(world: World) -> None:
    bad = world.withdraw("ann", ONE, address="bc1qsomewhere")
    good = world.withdraw("ann", ONE)
    world.settle(6)
    assert (status(world, bad), status(world, good)) == ("failed", "completed")
    assert payment_of(world, bad).failure.startswith("BAD_ADDRESS")


def test_nothing_is_paid_to_an_address_of_our_own(world: World) -> None:
    own = world.withdraw("ann", ONE, address=world.custody.addresses.of("bob"))
    hot = world.withdraw("ann", ONE, address=world.keys.hot)
    world.settle(6)
    assert [status(world, number) for number in (own, hot)] == ["failed", "failed"]
    assert world.free("ann") == 10 * ONE


def test_an_amount_finer_than_the_token_is_refunded(world: World) -> None:
    number = world.withdraw("ann", 101, "TOK")
    world.settle(2)
    assert status(world, number) == "failed"


def test_a_stuck_payment_is_replaced_in_its_slot_and_paid_once(world: World) -> None:
    world.withdraw("ann", ONE)
    world.step()
    for _ in range(4):
        world.chain.blocks.append(world.chain.mine(leave=1.0))
        world.chain.blocks.pop()
        world.step()
    payment = payment_of(world, 1)
    assert len(payment.signed) >= 2
    assert len({attempt.slot for attempt in payment.attempts}) == 1
    world.settle(6)
    assert world.paid("0xpayee1") == 1


def test_an_old_attempt_that_is_mined_after_all_counts(world: World) -> None:
    number = world.withdraw("ann", ONE)
    world.step()
    old = next(iter(world.chain.pool.values()))
    for _ in range(3):
        world.chain.mine(leave=1.0)
        world.step()
    assert len(payment_of(world, number).signed) >= 2
    world.chain.pool = {old.txid: old}
    world.settle(6)
    final = payment_of(world, number).final
    assert final is not None
    assert final.txid == old.txid
    assert (status(world, number), world.paid("0xpayee1")) == ("completed", 1)


def test_a_wiped_pool_is_filled_again(world: World) -> None:
    numbers = [world.withdraw("ann", ONE) for _ in range(3)]
    world.step()
    world.chain.wipe_pool()
    world.settle(6)
    assert [status(world, number) for number in numbers] == ["completed"] * 3


def test_two_wallets_on_one_key_raise_the_alarm_and_stop_payments(world: World) -> None:
    world.withdraw("ann", ONE)
    world.settle(4)
    nonce = world.chain.state.nonces[world.keys.hot]
    thief = Tx(sender=world.keys.hot, nonce=nonce, to="0xthief", amount=WEI)
    world.chain.pool[thief.txid] = thief
    world.chain.mine()
    with pytest.raises(KeyUsedElsewhere):
        world.custody.step()
    assert "someone else" in world.custody.book.chain_record.paused


def approve(world: World, number: int) -> None:
    intent = payment_of(world, number).intent
    world.custody.reviews.approve(intent, world.approval("ann", intent))


def test_a_withdrawal_waits_for_its_officers_without_holding_up_others(world: World) -> None:
    world.policy = replace(POLICY, approvals=1)
    world.start()
    waiting, approved = world.withdraw("ann", ONE), world.withdraw("ann", ONE)
    world.step()
    approve(world, approved)
    world.settle(5)
    assert (status(world, waiting), status(world, approved)) == ("approved", "completed")
    world.signer.denies.add(withdrawal_intent_id(waiting))
    world.signer.denial = ApprovalRequired
    approve(world, waiting)
    world.settle(5)
    assert status(world, waiting) == "failed"


def test_too_little_in_hot_waits_for_a_refill(world: World) -> None:
    rest = world.custody.book.holding(world.keys.hot, None)
    world.deposit("bob", 2 * rest)
    world.settle(8)
    number = world.withdraw("bob", (2 * rest) // 10**10)
    step(world, 4)
    assert status(world, number) == "approved"
    world.chain.send(RICH, world.keys.hot, 2 * rest)
    world.settle(6)
    assert status(world, number) == "completed"


def test_deposits_are_swept_to_hot_and_what_is_too_much_to_cold(world: World) -> None:
    world.deposit("bob", 800 * WEI)
    world.settle(16)
    book, band = world.custody.book, COINS[0].band
    assert band is not None
    assert book.holding(world.keys.cold, None) > 0
    assert book.holding(world.keys.hot, None) <= band.high
    assert world.reconcile().differences == []


def test_a_token_is_swept_after_gas_came_and_the_gas_is_no_deposit(world: World) -> None:
    kinds = [
        record.intent.kind
        for record in world.custody.book.records.values()
        if isinstance(record, Payment) and record.status == "paid"
    ]
    assert IntentKind.SWEEP in kinds
    address = world.custody.addresses.of("ann")
    assert world.custody.book.holding(address, TOKEN) == 0
    assert len(world.exchange.ledger.deposits) == 2


def test_a_hot_wallet_below_its_band_asks_for_a_refill_until_it_came() -> None:
    low, target = 1_600 * WEI, 1_700 * WEI
    band = Band(low=low, target=target, high=2_000 * WEI, sweep_from=WEI)
    world = World(coins=[replace(COINS[0], band=band)])
    world.settle(2)
    assert world.custody.book.chain_record.refills[COIN] == 200 * WEI
    world.chain.send(RICH, world.keys.hot, 300 * WEI)
    world.settle(3)
    assert world.custody.book.chain_record.refills == {}


STEPS = range(1, 14)


@pytest.mark.parametrize("number", STEPS)
def test_a_crash_between_any_two_steps_of_a_withdrawal_changes_nothing(
    world: World, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = [number]

    def point() -> None:
        left[0] -= 1
        if left[0] == 0:
            raise Crash

    world.withdraw("ann", ONE)
    monkeypatch.setattr(world.chaos, "point", point)
    for _ in range(8):
        world.chain.mine()
        world.rest()
    assert left[0] < 0, "the crash never came"
    assert (status(world, 1), world.paid("0xpayee1")) == ("completed", 1)
    assert world.reconcile().differences == []


def test_the_exchange_is_asked_again_when_its_answer_was_lost(world: World) -> None:
    number = world.withdraw("ann", ONE)
    world.chaos.loss_chance, world.chaos.crash_chance = 0.6, 0.0
    world.chaos.on = True
    for _ in range(60):
        world.chain.mine()
        world.step()
    assert world.chaos.lost > 5
    assert (status(world, number), world.paid("0xpayee1")) == ("completed", 1)


def test_a_payment_is_found_by_its_id(world: World) -> None:
    assert world.custody.book.payment(IntentId("withdrawal-99")) is None
