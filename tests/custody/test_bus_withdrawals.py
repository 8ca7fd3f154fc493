"""`withdraw`, `cancel_withdrawal` and `bump_fee` over the bus: once for each key."""

from typing import Any

import pytest

from tests.custody.test_bus import Bus
from tests.custody.test_cancel import payment_of, refunds
from tests.custody.test_deposits import ONE
from tests.custody.world import UNIT, WEI, Crash, World, status
from wallet.bus import ERRORS, TRANSACTION
from wallet.desk import Desk
from wallet.errors import ExchangeAway

WITHDRAW = {
    "type": "withdraw",
    "idempotency_key": "w-1",
    "account": "ann",
    "asset": "ETH",
    "to": "0xpayee1",
    "value": str(WEI),
}


@pytest.fixture
def bus() -> Bus:
    """Ann has ten ETH."""
    world = World()
    world.deposit("ann", 10 * WEI)
    world.settle(10)
    return Bus(world)


def test_a_withdrawal_is_requested_and_paid_when_it_is_approved(bus: Bus) -> None:
    answer = bus.ask(WITHDRAW)
    assert answer.topic == TRANSACTION
    assert {
        "txid": "", "value": str(WEI), "to": "0xpayee1", "from": "0xhot", "status": "requested",
        "withdrawal_id": 1, "key": "withdrawal-1", "asset": "ETH", "direction": "out",
    }.items() <= answer.body.items()  # fmt: skip
    assert (status(bus.world, 1), bus.world.free("ann")) == ("requested", 9 * ONE)
    bus.world.approve(1)
    bus.world.settle(4)
    assert (status(bus.world, 1), bus.world.paid("0xpayee1")) == ("completed", 1)


def test_the_same_key_gets_the_same_answer_and_one_withdrawal(bus: Bus) -> None:
    first = bus.ask(WITHDRAW)
    bus.restart()
    assert bus.ask(WITHDRAW, "command/0/7") == first
    other = bus.ask({**WITHDRAW, "value": str(2 * WEI)}, "command/0/8")
    assert (other.topic, other.body["error_code"]) == (ERRORS, "DUPLICATE_MISMATCH")
    assert bus.ask({**WITHDRAW, "idempotency_key": "w-2"}).body["withdrawal_id"] == 2
    assert bus.world.free("ann") == 8 * ONE


@pytest.mark.parametrize("same_account", [True, False])
def test_a_crash_before_the_answer_is_recorded_makes_no_second_withdrawal(
    bus: Bus, monkeypatch: pytest.MonkeyPatch, *, same_account: bool
) -> None:
    bus.world.deposit("bob", 10 * WEI)
    bus.world.settle(4)

    def crash() -> None:
        raise Crash

    monkeypatch.setattr(bus.commands._books, "put", lambda *records: crash())
    with pytest.raises(Crash):
        bus.ask(WITHDRAW)
    bus.restart()
    change = {"value": str(2 * WEI)} if same_account else {"account": "bob"}
    other = bus.ask({**WITHDRAW, **change})
    assert other.body["error_code"] == "DUPLICATE_MISMATCH"
    assert (bus.world.free("ann"), bus.world.free("bob")) == (9 * ONE, 10 * ONE)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"idempotency_key": None}, "BAD_REQUEST"),
        ({"idempotency_key": ""}, "BAD_REQUEST"),
        ({"account": 7}, "BAD_REQUEST"),
        ({"asset": "BTC"}, "BAD_REQUEST"),
        ({"value": 1.5}, "BAD_REQUEST"),
        ({"value": "1.5"}, "BAD_REQUEST"),
        ({"value": "0"}, "BAD_REQUEST"),
        ({"value": str(UNIT + 1)}, "BAD_REQUEST"),
        ({"to": "bc1q"}, "BAD_ADDRESS"),
        ({"to": "0xhot"}, "BAD_ADDRESS"),
        ({"tag": 5}, "BAD_REQUEST"),
        ({"max_fee": "1"}, "BAD_REQUEST"),
        ({"approvals": ["ann:x"]}, "BAD_REQUEST"),
        ({"account": "nobody"}, "EXCHANGE_REFUSED"),
        ({"value": str(11 * WEI)}, "EXCHANGE_REFUSED"),
    ],
)
def test_what_cannot_be_withdrawn_goes_to_errors_and_holds_nothing(
    bus: Bus, change: dict[str, Any], code: str
) -> None:
    answer = bus.ask({**WITHDRAW, **change})
    assert (answer.topic, answer.body["error_code"]) == (ERRORS, code)
    assert "approvals" not in answer.body["request"]
    assert bus.world.free("ann") == 10 * ONE
    assert bus.ask(WITHDRAW | {"idempotency_key": "w-9"}).topic == TRANSACTION


def test_a_key_of_the_envelope_is_not_enough_for_a_withdrawal(bus: Bus) -> None:
    command = {name: each for name, each in WITHDRAW.items() if name != "idempotency_key"}
    answer = bus.ask({**command, "_env": {"id": "e1"}})
    assert answer.body["error_code"] == "BAD_REQUEST"
    assert "idempotency_key" in answer.body["error_message"]


def test_an_exchange_that_does_not_answer_is_asked_again(bus: Bus) -> None:
    bus.world.chaos.loss_chance, bus.world.chaos.crash_chance = 1.0, 0.0
    bus.world.chaos.on = True
    for _ in range(4):
        with pytest.raises(ExchangeAway):
            bus.ask(WITHDRAW)
    bus.world.chaos.on = False
    assert bus.ask(WITHDRAW).body["withdrawal_id"] == 1
    assert bus.world.free("ann") == 9 * ONE


@pytest.mark.parametrize("approved", [False, True])
def test_a_withdrawal_is_cancelled_before_and_after_its_approval(
    bus: Bus, *, approved: bool
) -> None:
    bus.ask(WITHDRAW)
    if approved:
        bus.world.approve(1)
    command = {"type": "cancel_withdrawal", "withdrawal_id": 1, "reason": "a mistake"}
    first = bus.ask(command, "command/0/1")
    assert (first.topic, first.body["status"]) == (TRANSACTION, "cancelled")
    assert bus.ask(command, "command/0/2").body["status"] == "cancelled"
    bus.world.settle(3)
    assert bus.world.free("ann") == 10 * ONE
    assert bus.world.paid("0xpayee1") == 0
    assert (status(bus.world, 1), refunds(bus.world, 1)) == (
        ("failed", 1) if approved else ("rejected", 0)
    )


def test_what_is_signed_is_not_cancelled_but_can_be_bumped(bus: Bus) -> None:
    bus.ask(WITHDRAW)
    bus.world.approve(1)
    bus.world.step()
    refused = bus.ask({"type": "cancel_withdrawal", "withdrawal_id": 1})
    assert (refused.topic, refused.body["error_code"]) == (ERRORS, "ALREADY_SIGNED")
    [txid] = Desk(bus.world.custody).payment(payment_of(bus.world, 1).intent.id).txids
    told = bus.ask({"type": "bump_fee", "withdrawal_id": 1}, "command/0/1").body
    assert (told["status"], told["txid"], told["key"]) == ("replacing", txid, "withdrawal-1")
    bus.world.step()
    assert len(payment_of(bus.world, 1).signed) == 2
    assert bus.ask({"type": "bump_fee", "withdrawal_id": 1}, "command/0/1").body == told
    bus.world.step()
    assert len(payment_of(bus.world, 1).signed) == 2
    bus.ask({"type": "bump_fee", "key": "withdrawal-1"}, "command/0/2")
    bus.world.settle(4)
    assert (status(bus.world, 1), bus.world.paid("0xpayee1")) == ("completed", 1)
    late = bus.ask({"type": "bump_fee", "withdrawal_id": 1}, "command/0/3")
    assert late.body["error_code"] == "ALREADY_ENDED"


@pytest.mark.parametrize(
    "poison",
    [
        {"type": "cancel_withdrawal"},
        {"type": "cancel_withdrawal", "withdrawal_id": "1"},
        {"type": "cancel_withdrawal", "withdrawal_id": True},
        {"type": "cancel_withdrawal", "withdrawal_id": 99},
        {"type": "bump_fee"},
        {"type": "bump_fee", "withdrawal_id": 1, "key": "withdrawal-1"},
        {"type": "bump_fee", "withdrawal_id": 99},
    ],
)
def test_poison_goes_to_errors(bus: Bus, poison: dict[str, Any]) -> None:
    answer = bus.ask(poison)
    assert (answer.topic, answer.body["error_code"]) == (ERRORS, "BAD_REQUEST")
    assert bus.ask(WITHDRAW).topic == TRANSACTION
