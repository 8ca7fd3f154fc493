"""Refills from cold: asked for, written out, signed by people elsewhere, taken in, followed."""

from dataclasses import replace
from typing import Any

import pytest
from msgspec.structs import replace as changed

from tests.custody.fast_chain import Tx, sign
from tests.custody.test_deposits import step
from tests.custody.world import COIN, COINS, RICH, TOK, TOKEN, WEI, World
from wallet.errors import BadRequest, InsufficientHotFunds
from wallet.policy import Band
from wallet.records.payment import Payment
from wallet.refill_file import RefillFile, RefillItem, SignedFile, SignedItem
from wallet.types import IntentId

COIN_LOW = Band(low=1_600 * WEI, target=1_700 * WEI, high=2_000 * WEI, sweep_from=WEI)
TOKEN_LOW = changed(TOK, hot_low="2000", hot_target="2000", hot_high="2000")


@pytest.fixture
def world() -> World:
    """The hot wallet is below both of its bands, and the cold one is rich."""
    world = World(coins=[replace(COINS[0], band=COIN_LOW)], tokens=[TOKEN_LOW])
    world.chain.send(RICH, world.keys.cold, 1_000 * WEI)
    world.chain.send(RICH, world.keys.cold, 10**10, TOKEN)
    world.settle(2)
    return world


def signed_item(item: RefillItem, **changes: Any) -> SignedItem:
    """Sign as the cold wallet's machine does, perhaps something else."""
    tx = replace(sign(bytes.fromhex(item.unsigned[2:])), **changes)
    return SignedItem(id=item.id, txid=tx.txid, raw="0x" + tx.raw.hex())


def signed(file: RefillFile) -> SignedFile:
    return SignedFile(chain=file.chain, transactions=[signed_item(e) for e in file.transactions])


def refill(world: World, number: int = 1) -> Payment:
    found = world.custody.book.payment(IntentId(f"refill-{number}"))
    assert found is not None
    return found


def test_what_is_asked_for_is_written_out_with_nonces_in_order_and_the_same_again(
    world: World,
) -> None:
    file = world.custody.refills.export()
    first, other = file.transactions
    assert (first.asset, first.amount, first.nonce) == (COIN, str(200 * WEI), "0")
    assert (other.asset, other.amount, other.nonce) == ("TOK", str(10**9), "1")
    assert (first.sender, first.to) == (world.keys.cold, world.keys.hot)
    assert first.summary.startswith("200 ETH from the cold wallet 0xcold to the hot wallet 0xhot")
    assert other.summary.startswith("1000 TOK from")
    world.start()
    assert world.custody.refills.export() == file
    world.settle(3)
    assert refill(world).status == "slotted"


def test_a_signed_refill_is_broadcast_followed_and_ends_the_request(world: World) -> None:
    file = world.custody.refills.export()
    world.custody.refills.take(signed(file))
    assert [refill(world, number).status for number in (1, 2)] == ["signed", "signed"]
    step(world)
    assert world.custody.book.chain_record.refills == {}
    assert refill(world).status == "signed"
    step(world)
    assert [refill(world, number).status for number in (1, 2)] == ["paid", "paid"]
    hot = world.keys.hot
    assert world.chain.balances([hot], None)[hot] == 1_700 * WEI
    assert world.custody.refills.export().transactions == []
    assert world.reconcile().differences == []
    assert not any("0xcold" in slot for slot in world.signer.slots)


def test_a_file_taken_twice_changes_nothing(world: World) -> None:
    file = signed(world.custody.refills.export())
    world.custody.refills.take(file)
    position = world.custody.book.position
    assert [each.status for each in world.custody.refills.take(file)] == ["signed", "signed"]
    assert world.custody.book.position == position
    step(world, 3)
    assert [each.status for each in world.custody.refills.take(file)] == ["paid", "paid"]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"to": "0xthief"}, "not the transaction"),
        ({"amount": 201 * WEI}, "not the transaction"),
        ({"price": 3}, "not the transaction"),
        ({"nonce": 5}, "not the transaction"),
        ({"token": TOKEN}, "not the transaction"),
        ({"sender": "0xthief"}, "not signed by the cold wallet"),
    ],
)
def test_what_is_not_exactly_what_was_exported_is_refused_whole(
    world: World, changes: dict[str, Any], why: str
) -> None:
    first, other = world.custody.refills.export().transactions
    position = world.custody.book.position
    file = SignedFile(
        chain=world.chain.id, transactions=[signed_item(other), signed_item(first, **changes)]
    )
    with pytest.raises(BadRequest, match=why):
        world.custody.refills.take(file)
    assert (world.custody.book.position, world.chain.pool) == (position, {})


def test_what_nobody_exported_is_refused(world: World) -> None:
    file = signed(world.custody.refills.export())
    for wrong in (
        replace_item(file, id="refill-9"),
        replace_item(file, id="withdrawal-1"),
        replace_item(file, raw="nonsense"),
        SignedFile(chain="eip155:999", transactions=file.transactions),
    ):
        with pytest.raises(BadRequest):
            world.custody.refills.take(wrong)


def replace_item(file: SignedFile, **changes: str) -> SignedFile:
    item = file.transactions[0]
    fields = {"id": item.id, "txid": item.txid, "raw": item.raw, **changes}
    return SignedFile(chain=file.chain, transactions=[SignedItem(**fields)])


def test_a_refill_that_waits_too_long_is_signed_again_with_todays_fees(world: World) -> None:
    old = world.custody.refills.export()
    world.custody.refills.take(signed(old))
    assert world.custody.refills.export().transactions == []
    world.chain.price = 20
    new = world.custody.refills.export(again=True)
    assert [each.nonce for each in new.transactions] == ["0", "1"]
    world.custody.refills.take(signed(new))
    assert len({attempt.slot for attempt in refill(world).attempts}) == 1
    step(world, 3)
    assert refill(world).status == "paid"
    assert world.reconcile().differences == []


def test_a_nonce_that_the_cold_wallet_used_otherwise_ends_the_refill_without_alarm(
    world: World,
) -> None:
    file = world.custody.refills.export()
    other = Tx(sender=world.keys.cold, nonce=0, to="0xelsewhere", amount=WEI)
    world.chain.pool[other.txid] = other
    step(world)
    assert refill(world).failure == "the cold wallet sent its transaction 0 without custody"
    assert world.custody.book.chain_record.paused == ""
    with pytest.raises(BadRequest, match="waits for no signature"):
        world.custody.refills.take(signed(file))
    again = world.custody.refills.export()
    assert [(each.id, each.nonce) for each in again.transactions] == [
        ("refill-2", "1"), ("refill-3", "2"),
    ]  # fmt: skip
    assert world.reconcile().differences == []


def test_a_refill_that_a_reorganisation_takes_back_is_broadcast_again(world: World) -> None:
    world.custody.refills.take(signed(world.custody.refills.export()))
    step(world)
    world.chain.reorganise(1, drop=1)
    assert world.chain.pool == {}
    world.settle(6)
    assert refill(world).status == "paid"


def test_more_than_cold_holds_is_not_planned(world: World) -> None:
    rest = world.chain.balances([world.keys.cold], None)[world.keys.cold]
    tx = Tx(sender=world.keys.cold, nonce=0, to="0xelsewhere", amount=rest - WEI)
    world.chain.pool[tx.txid] = tx
    step(world)
    with pytest.raises(InsufficientHotFunds):
        world.custody.refills.export()
    assert world.custody.refills.open() == []


def test_nothing_is_written_out_while_nothing_is_asked_for() -> None:
    world = World()
    world.settle(2)
    assert world.custody.refills.export().transactions == []
