"""What the signer allows, and each reason why it refuses."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.signer_world import (
    CHAIN,
    CONTRACT,
    ETHER,
    GAS,
    GWEI,
    HOT,
    NOON_MS,
    OFFICERS,
    OTHER,
    PAYEE,
    SELECTOR,
    TOKEN,
    World,
    approvals,
    withdrawal,
)
from wallet.approvals import Approval
from wallet.keys.ethereum import message_digest, parse_address, recover_address
from wallet.signer import records
from wallet.signer.denials import Denial, Denied
from wallet.signer.journal import records as journal_records
from wallet.signer.rules import KeyRef, Request
from wallet.signer.transaction import transfer_data
from wallet.types import Address, ChainId, Intent, IntentId, IntentKind, TokenId
from wallet.vault.document import Role

HOUR_MS = 3_600_000
DEPOSIT_5 = KeyRef(role=Role.DEPOSIT, index=5)
ZERO = Address("0x" + "0" * 40)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    yield world
    world.journal.close()


def denied(world: World, request: Request) -> Denial:
    """Return why a request is denied; the journal says the same."""
    with pytest.raises(Denied) as refused:
        world.signer.sign(request)
    *_, (record, _) = journal_records(world.directory)
    assert isinstance(record, records.Refused)
    assert record.code == refused.value.code
    return refused.value.code


def small(name: str = "w1", amount: int = ETHER // 10) -> Intent:
    """Return a withdrawal that needs no officer."""
    return withdrawal(name, amount)


def kind(kind: IntentKind, name: str = "i1", **parts: object) -> Intent:
    return Intent(id=IntentId(name), kind=kind, chain=CHAIN, **parts)  # type: ignore[arg-type]


def test_an_approved_withdrawal_is_signed_by_the_hot_key(world: World) -> None:
    request = world.request(withdrawal(), "ann", "cat")
    signed = world.signer.sign(request)
    assert signed.txid.startswith("0x")
    *_, (record, _) = journal_records(world.directory)
    assert isinstance(record, records.SignedPayment)
    assert (record.txid, record.approved_by) == (signed.txid, ("ann", "cat"))
    assert record.intent.intent() == request.intent


def test_every_kind_that_a_rule_allows_is_signed(world: World) -> None:
    hot = Address(world.keyring.address(Role.HOT, 0))
    ours = Address(world.keyring.address(Role.DEPOSIT, 5))
    code = b"\x60\x80" * 20
    for number, request in enumerate(
        (
            world.request(withdrawal("t", 900, token=TOKEN), "ben", nonce=0, key=HOT),
            world.request(kind(IntentKind.SWEEP, "s", to=OTHER, amount=9), key=DEPOSIT_5),
            world.request(
                kind(IntentKind.SWEEP, "s2", to=hot, amount=9),
                key=DEPOSIT_5,
                nonce=1,
                destination=HOT,
            ),
            world.request(
                kind(IntentKind.TOP_UP, "g", to=ours, amount=9), key=GAS, destination=DEPOSIT_5
            ),
            world.request(kind(IntentKind.RELEASE, "r"), nonce=7),
            world.request(kind(IntentKind.DEPLOY, "d", data=code), "ann", nonce=8),
            world.request(
                kind(IntentKind.CALL, "c", to=CONTRACT, data=SELECTOR + bytes(32)), "ann", nonce=9
            ),
        )
    ):
        assert world.signer.sign(request).raw, number


def test_the_same_request_has_the_same_answer_and_counts_once(world: World) -> None:
    request = world.request(withdrawal(), "ann", "ben")
    first = world.signer.sign(request)
    position = world.signer.position
    assert world.signer.sign(request) == first
    world.restart()
    opened = world.signer.position
    assert opened.count == position.count + 1
    assert world.signer.sign(request) == first
    assert world.signer.position == opened


def test_a_replacement_offers_more_and_changes_nothing_else(world: World) -> None:
    intent = withdrawal()
    world.signer.sign(world.request(intent, "ann", "ben"))
    dearer: dict[str, Any] = {"price": 40 * GWEI, "tip": 2 * GWEI}
    assert world.signer.sign(world.request(intent, "ann", "ben", **dearer)).raw
    lower: tuple[dict[str, Any], ...] = (
        {"price": 35 * GWEI, "tip": 3 * GWEI},
        {"price": 50 * GWEI, "tip": 2 * GWEI},
    )
    for parts in lower:
        request = world.request(intent, "ann", "ben", **parts)
        assert denied(world, request) is Denial.FEE_NOT_HIGHER


@pytest.mark.parametrize(
    "other", [{"to": OTHER}, {"amount": ETHER - 1}, {"amount": 900, "token": TOKEN}]
)
def test_a_payment_is_never_changed_into_another(world: World, other: dict[str, object]) -> None:
    world.signer.sign(world.request(withdrawal(), "ann", "ben"))
    changed = withdrawal(**other)  # type: ignore[arg-type]
    dearer: dict[str, Any] = {"price": 40 * GWEI, "tip": 2 * GWEI}
    for nonce in (0, 1):
        request = world.request(changed, "ann", "ben", nonce=nonce, **dearer)
        assert denied(world, request) is Denial.OTHER_INTENT


def test_a_withdrawal_has_one_slot(world: World) -> None:
    world.signer.sign(world.request(withdrawal(), "ann", "ben"))
    assert denied(world, world.request(withdrawal(), "ann", "ben", nonce=1)) is Denial.SECOND_SLOT
    world.restart()
    assert denied(world, world.request(withdrawal(), "ann", "ben", nonce=1)) is Denial.SECOND_SLOT


def test_a_slot_has_one_payment(world: World) -> None:
    world.signer.sign(world.request(small("w1")))
    dearer: dict[str, Any] = {"price": 40 * GWEI, "tip": 2 * GWEI}
    assert denied(world, world.request(small("w2"), **dearer)) is Denial.SLOT_TAKEN


def test_a_release_ends_the_payment_in_its_slot_for_good(world: World) -> None:
    world.signer.sign(world.request(small("w1")))
    release = kind(IntentKind.RELEASE, "w1")
    assert denied(world, world.request(release)) is Denial.FEE_NOT_HIGHER
    world.signer.sign(world.request(release, price=40 * GWEI, tip=2 * GWEI))
    world.signer.sign(world.request(release, price=50 * GWEI, tip=3 * GWEI))
    dearest: dict[str, Any] = {"price": 60 * GWEI, "tip": 4 * GWEI}
    assert denied(world, world.request(small("w1"), **dearest)) is Denial.SLOT_RELEASED
    assert denied(world, world.request(small("w1"), nonce=1)) is Denial.SECOND_SLOT
    assert denied(world, world.request(small("w2"), **dearest)) is Denial.SLOT_RELEASED
    other = kind(IntentKind.RELEASE, "r1")
    assert denied(world, world.request(other, **dearest)) is Denial.SLOT_TAKEN


Change = Callable[[World], Request]

WRONG_EFFECT: dict[str, Change] = {
    "another payee": lambda w: w.request(small(), to=parse_address(OTHER)),
    "a higher value": lambda w: w.request(small(), value=ETHER),
    "a lower value": lambda w: w.request(small(), value=1),
    "with data": lambda w: w.request(small(), data=b"\x00"),
    "no payee": lambda w: w.request(small(), to=b""),
    "coins for a token": lambda w: w.request(withdrawal("t", 9, token=TOKEN), "ann", value=9),
    "another token": lambda w: w.request(
        withdrawal("t", 9, token=TOKEN), "ann", to=parse_address(CONTRACT)
    ),
    "more of a token": lambda w: w.request(
        withdrawal("t", 9, token=TOKEN), "ann", data=transfer_data(parse_address(PAYEE), 10)
    ),
    "a token to another": lambda w: w.request(
        withdrawal("t", 9, token=TOKEN), "ann", data=transfer_data(parse_address(OTHER), 9)
    ),
    "dirty padding": lambda w: w.request(
        withdrawal("t", 9, token=TOKEN),
        "ann",
        data=transfer_data(parse_address(PAYEE), 9).replace(bytes(12), b"\x01" * 12, 1),
    ),
    "trailing bytes": lambda w: w.request(
        withdrawal("t", 9, token=TOKEN), "ann", data=transfer_data(parse_address(PAYEE), 9) + b"x"
    ),
    "a release that pays": lambda w: w.request(kind(IntentKind.RELEASE), value=1),
    "a release to another": lambda w: w.request(kind(IntentKind.RELEASE), to=parse_address(OTHER)),
    "other arguments": lambda w: w.request(
        kind(IntentKind.CALL, to=CONTRACT, data=SELECTOR), "ann", data=SELECTOR + bytes(32)
    ),
    "other code": lambda w: w.request(kind(IntentKind.DEPLOY, data=b"code"), "ann", data=b"evil"),
    "a deployment that calls": lambda w: w.request(
        kind(IntentKind.DEPLOY, data=b"code"), "ann", to=parse_address(OTHER)
    ),
}


@pytest.mark.parametrize("what", WRONG_EFFECT)
def test_a_transaction_that_does_something_else_is_refused(world: World, what: str) -> None:
    assert denied(world, WRONG_EFFECT[what](world)) is Denial.WRONG_EFFECT


def own(world: World, key: KeyRef = HOT) -> Address:
    return Address(world.keyring.address(key.role, key.index))


OTHERS: dict[str, tuple[Denial, Change]] = {
    "another chain id": (Denial.WRONG_CHAIN, lambda w: w.request(small(), chain_id=1)),
    "another chain": (
        Denial.UNKNOWN_CHAIN,
        lambda w: replace(
            w.request(withdrawal(chain=ChainId("eip155:1")), chain_id=1),
            slot=replace(w.slot(), chain=ChainId("eip155:1")),
        ),
    ),
    "a slot of another chain": (
        Denial.WRONG_CHAIN,
        lambda w: replace(w.request(small()), slot=replace(w.slot(), chain=ChainId("eip155:1"))),
    ),
    "another nonce": (
        Denial.WRONG_NONCE,
        lambda w: replace(w.request(small()), slot=w.slot(nonce=1)),
    ),
    "another key": (Denial.WRONG_KEY, lambda w: replace(w.request(small()), key=GAS)),
    "no such key": (
        Denial.WRONG_KEY,
        lambda w: replace(w.request(small()), key=KeyRef(role=Role.HOT, index=-1)),
    ),
    "a role without rights": (Denial.WRONG_ROLE, lambda w: w.request(small(), key=GAS)),
    "a watched key": (
        Denial.WRONG_ROLE,
        lambda w: w.request(small(), key=KeyRef(role=Role.COLD, index=0)),
    ),
    "a tag": (Denial.BAD_INTENT, lambda w: w.request(withdrawal(tag=7))),
    "to nobody": (Denial.BAD_INTENT, lambda w: w.request(withdrawal(to=ZERO))),
    "to itself": (Denial.BAD_INTENT, lambda w: w.request(withdrawal(to=own(w)))),
    "no address": (
        Denial.BAD_INTENT,
        lambda w: replace(w.request(small()), intent=withdrawal(to=Address("0x12"))),
    ),
    "a token to its contract": (
        Denial.BAD_INTENT,
        lambda w: w.request(withdrawal("t", 9, token=TOKEN, to=Address(TOKEN)), "ann"),
    ),
    "a long id": (Denial.BAD_INTENT, lambda w: w.request(small("w" * 201))),
    "an unknown token": (
        Denial.NO_RULE,
        lambda w: w.request(withdrawal("t", 9, token=TokenId(CONTRACT)), "ann", "ben"),
    ),
    "an unknown kind": (
        Denial.NO_RULE,
        lambda w: w.request(kind(IntentKind.REFILL, to=OTHER, amount=1)),
    ),
    "a sweep to a stranger": (
        Denial.DESTINATION,
        lambda w: w.request(kind(IntentKind.SWEEP, to=PAYEE, amount=1), key=DEPOSIT_5),
    ),
    "a sweep that lies about the payee": (
        Denial.DESTINATION,
        lambda w: w.request(
            kind(IntentKind.SWEEP, to=PAYEE, amount=1), key=DEPOSIT_5, destination=HOT
        ),
    ),
    "a top-up to the wrong role": (
        Denial.DESTINATION,
        lambda w: w.request(kind(IntentKind.TOP_UP, to=own(w), amount=1), key=GAS, destination=HOT),
    ),
    "another contract": (
        Denial.DESTINATION,
        lambda w: w.request(kind(IntentKind.CALL, to=OTHER, data=SELECTOR), "ann"),
    ),
    "another method": (
        Denial.SELECTOR,
        lambda w: w.request(kind(IntentKind.CALL, to=CONTRACT, data=b"\xa9\x05\x9c\xbb"), "ann"),
    ),
    "a call without a method": (
        Denial.SELECTOR,
        lambda w: w.request(kind(IntentKind.CALL, to=CONTRACT, data=SELECTOR[:3]), "ann"),
    ),
    "too much gas": (Denial.GAS, lambda w: w.request(small(), gas=1_000_001)),
    "gas too dear": (Denial.FEE_PRICE, lambda w: w.request(small(), price=200 * GWEI + 1)),
    "a huge fee": (Denial.FEE, lambda w: w.request(small(), gas=1_000_000, price=51 * GWEI)),
    "a fee like the amount": (Denial.FEE_SHARE, lambda w: w.request(small(amount=10**15))),
    "too much at once": (
        Denial.AMOUNT,
        lambda w: w.request(withdrawal(amount=5 * ETHER + 1), "ann", "ben"),
    ),
    "no officer": (Denial.APPROVALS, lambda w: w.request(withdrawal())),
    "one officer": (Denial.APPROVALS, lambda w: w.request(withdrawal(), "ann")),
    "one officer twice": (Denial.APPROVALS, lambda w: w.request(withdrawal(), "ann", "ann")),
    "just above the small amount": (
        Denial.APPROVALS,
        lambda w: w.request(small(amount=ETHER // 10 + 1)),
    ),
}


@pytest.mark.parametrize("what", OTHERS)
def test_what_the_policy_does_not_allow_is_refused(world: World, what: str) -> None:
    code, make = OTHERS[what]
    before = world.signer.position.count
    assert denied(world, make(world)) is code
    assert world.signer.position.count == before + 1


def test_an_approval_is_for_one_payment_only(world: World) -> None:
    intent = withdrawal()
    others = (
        withdrawal("w2"),
        withdrawal(amount=ETHER + 1),
        withdrawal(to=OTHER),
        withdrawal(token=TOKEN),
        withdrawal(chain=ChainId("eip155:1")),
        replace(intent, kind=IntentKind.SWEEP),
    )
    for other in others:
        stolen = approvals(other, "ann", "ben")
        request = replace(world.request(intent), approvals=stolen)
        assert denied(world, request) is Denial.BAD_APPROVAL


AGE_MS_MAX = 24 * HOUR_MS


def test_an_approval_counts_until_it_is_too_old(world: World) -> None:
    made_ms = world.now_ms
    world.now_ms = made_ms + AGE_MS_MAX - 1
    assert world.signer.sign(at(world, withdrawal("w1"), 0, made_ms)).raw
    world.now_ms += 1
    assert denied(world, at(world, withdrawal("w2"), 1, made_ms)) is Denial.APPROVAL_EXPIRED
    fresh = approvals(withdrawal("w2"), "ann", "cat", approved_ms=world.now_ms)
    old = approvals(withdrawal("w2"), "ben", approved_ms=made_ms)
    request = replace(at(world, withdrawal("w2"), 1, made_ms), approvals=(*old, *fresh))
    assert world.signer.sign(request).raw
    *_, (record, _) = journal_records(world.directory)
    assert isinstance(record, records.SignedPayment)
    assert record.approved_by == ("ann", "cat")


def test_what_was_approved_in_time_is_replaced_later_with_the_same_approvals(world: World) -> None:
    made_ms = world.now_ms
    first = world.signer.sign(at(world, withdrawal(), 0, made_ms))
    world.now_ms += 10 * AGE_MS_MAX
    assert world.signer.sign(at(world, withdrawal(), 0, made_ms)) == first
    higher = at(world, withdrawal(), 0, made_ms, price=40 * GWEI, tip=2 * GWEI)
    assert world.signer.sign(higher).raw
    without = replace(at(world, withdrawal(), 0, 0, price=50 * GWEI, tip=3 * GWEI), approvals=())
    assert denied(world, without) is Denial.APPROVALS


def test_an_approval_from_the_future_is_refused(world: World) -> None:
    ahead_ms = 300_000
    late = at(world, withdrawal(), 0, world.now_ms + ahead_ms + 1)
    assert denied(world, late) is Denial.BAD_APPROVAL
    assert world.signer.sign(at(world, withdrawal(), 0, world.now_ms + ahead_ms)).raw


def at(world: World, intent: Intent, nonce: int, approved_ms: int, **parts: Any) -> Request:
    """Return a request whose approvals were made at a time."""
    given = approvals(intent, "ann", "ben", approved_ms=approved_ms)
    return replace(world.request(intent, nonce=nonce, **parts), approvals=given)


def test_an_approval_by_a_stranger_or_in_anothers_name_is_refused(world: World) -> None:
    intent = withdrawal()
    ann, ben = approvals(intent, "ann", "ben")
    for bad in (
        Approval("eve", NOON_MS, ann.signature),
        Approval("ben", NOON_MS, ann.signature),
        Approval("ben", NOON_MS, b""),
        Approval("ben", NOON_MS + 1, ben.signature),
    ):
        request = replace(world.request(intent), approvals=(ann, ben, bad))
        assert denied(world, request) is Denial.BAD_APPROVAL


def test_a_day_has_a_limit_that_rolls(world: World) -> None:
    for number in range(4):
        world.signer.sign(
            world.request(withdrawal(f"w{number}", 5 * ETHER), "ann", "ben", nonce=number)
        )
        world.now_ms += HOUR_MS
    last = world.request(withdrawal("w4", 5 * ETHER), "ann", "ben", nonce=4)
    assert denied(world, last) is Denial.AMOUNT_OF_DAY
    world.now_ms += 20 * HOUR_MS - 1
    assert denied(world, last) is Denial.AMOUNT_OF_DAY
    world.restart()
    assert denied(world, last) is Denial.AMOUNT_OF_DAY
    world.now_ms += 1
    assert world.signer.sign(last).raw
    another = world.request(withdrawal("w5", 5 * ETHER), "ann", "ben", nonce=5)
    assert denied(world, another) is Denial.AMOUNT_OF_DAY


def test_a_clock_that_is_set_back_gives_no_new_day(world: World) -> None:
    for number in range(4):
        world.signer.sign(
            world.request(withdrawal(f"w{number}", 5 * ETHER), "ann", "ben", nonce=number)
        )
    world.now_ms -= 48 * HOUR_MS
    last = world.request(withdrawal("w4", 5 * ETHER), "ann", "ben", nonce=4)
    assert denied(world, last) is Denial.AMOUNT_OF_DAY


def test_the_fees_of_a_day_have_a_limit_and_a_replacement_counts_its_rise(world: World) -> None:
    high: dict[str, Any] = {"gas": 1_000_000, "price": 50 * GWEI}
    for number in range(9):
        release = kind(IntentKind.RELEASE, f"r{number}")
        world.signer.sign(world.request(release, nonce=number, **high))
    low: dict[str, Any] = {"gas": 1_000_000, "price": 25 * GWEI, "tip": 1}
    world.signer.sign(world.request(kind(IntentKind.RELEASE, "r9"), nonce=9, **low))
    world.signer.sign(world.request(kind(IntentKind.RELEASE, "r9"), nonce=9, **high))
    request = world.request(kind(IntentKind.RELEASE, "r10"), nonce=10)
    assert denied(world, request) is Denial.FEES_OF_DAY


def test_nothing_is_signed_while_the_stop_file_is_there(world: World) -> None:
    request = world.request(small())
    world.signer.sign(request)
    stop = world.directory / "stop"
    stop.touch()
    assert denied(world, request) is Denial.STOPPED
    with pytest.raises(Denied, match="stopped"):
        world.signer.sign_message(HOT, "Foldex proof: 1")
    stop.unlink()
    assert world.signer.sign(request).raw


def test_a_message_proves_an_address_and_is_never_a_transaction(world: World) -> None:
    address, signature = world.signer.sign_message(HOT, "Foldex proof: 2026-11-21 0xabc")
    digest = message_digest(b"Foldex proof: 2026-11-21 0xabc")
    assert recover_address(digest, signature) == address == own(world)
    for text in (
        "hello",
        "foldex proof: x",
        "Foldex proof: a\nb",
        "Foldex proof: " + "x" * 1024,
        "",
    ):
        with pytest.raises(Denied, match="message"):
            world.signer.sign_message(HOT, text)
    with pytest.raises(Denied, match="wrong_key"):
        world.signer.sign_message(KeyRef(role=Role.COLD, index=0), "Foldex proof: x")


def test_officers_sign_text_that_no_payment_shares(world: World) -> None:
    """A newline or a quote in an id cannot make one payment's text look like another's."""
    tricky = withdrawal('w1","kind":"sweep')
    request = replace(world.request(withdrawal()), approvals=approvals(tricky, *OFFICERS))
    assert denied(world, request) is Denial.BAD_APPROVAL
