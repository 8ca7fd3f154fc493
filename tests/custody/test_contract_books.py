"""What contracts move is in the books: coins that go along or come back, and tokens."""

from dataclasses import replace

import pytest

from tests.custody.fast_chain import Move
from tests.custody.test_adversity import crash_at
from tests.custody.test_deposits import step
from tests.custody.world import POLICY, RICH, TOK, TOKEN, WEI, World
from wallet.records.chain_record import REASONS_CHARS_MAX, ChainRecord
from wallet.records.payment import Payment, payment_record_id
from wallet.types import IntentId

HOT = "0xhot"
CALLS: dict[str, tuple[int, tuple[Move, ...], tuple[int, int]]] = {
    "coins go along": (WEI, (), (-WEI, 0)),
    "coins come back": (3 * WEI, (("", "it", HOT, WEI),), (-2 * WEI, 0)),
    "tokens leave": (0, ((TOKEN, HOT, "0xpool", 70),), (0, -70)),
    "tokens leave and others come": (
        WEI,
        ((TOKEN, HOT, "0xpool", 70), (TOKEN, "0xpool", HOT, 30)),
        (-WEI, -40),
    ),
    "tokens leave in two transfers": (
        0,
        ((TOKEN, HOT, "0xpool", 70), (TOKEN, HOT, "0xfees", 5)),
        (0, -75),
    ),
    "it reverts": (WEI, (("", "it", HOT, 2 * WEI),), (0, 0)),
}


@pytest.fixture
def world() -> World:
    found = World()
    step(found, 3)
    assert found.reconcile().differences == []
    return found


def payment(world: World, intent_id: IntentId) -> Payment:
    return world.custody.book.get(Payment, payment_record_id(intent_id))


def held(world: World) -> tuple[int, int]:
    """Return what the hot wallet holds by the books, without the fees of its transactions."""
    book = world.custody.book
    records = [each for each in book.records.values() if isinstance(each, Payment)]
    fees = sum(each.final.fee for each in records if each.final and each.owner == HOT)
    return book.holding(world.keys.hot, None) + fees, book.holding(world.keys.hot, TOKEN)


def moved(world: World, before: tuple[int, int]) -> tuple[int, int]:
    after = held(world)
    return after[0] - before[0], after[1] - before[1]


@pytest.mark.parametrize("deploys", [False, True])
@pytest.mark.parametrize("what", CALLS)
def test_what_a_contract_moves_is_in_the_books(world: World, what: str, *, deploys: bool) -> None:
    value, moves, expected = CALLS[what]
    if deploys:
        made = f"0xmade-by-{HOT}-{world.chain.state.nonces.get(HOT, 0)}"
        moves = tuple((m[0], made if m[1] == "it" else m[1], m[2], m[3]) for m in moves)
    before = held(world)
    called = world.call(value, *moves, deploys=deploys)
    step(world, 5)
    status = "failed" if what == "it reverts" else "paid"
    assert (payment(world, called).status, moved(world, before)) == (status, expected)
    assert world.reconcile().differences == []
    assert not world.custody.book.chain_record.paused


@pytest.mark.parametrize("what", CALLS)
def test_what_a_reorganisation_undoes_is_undone_in_the_books(world: World, what: str) -> None:
    value, moves, expected = CALLS[what]
    before = held(world)
    called = world.call(value, *moves)
    step(world, 2)
    assert world.chain.blocks[-1].txs
    world.step()
    world.chain.reorganise(1, drop=1)
    world.step()
    assert (payment(world, called).status, moved(world, before)) == ("signed", (0, 0))
    assert world.reconcile().differences == []
    step(world, 5)
    assert moved(world, before) == expected
    assert world.reconcile().differences == []


@pytest.mark.parametrize("number", range(1, 12))
def test_a_crash_between_any_two_steps_of_a_call_changes_nothing(
    world: World, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = held(world)
    value, moves, expected = CALLS["tokens leave and others come"]
    world.call(value, *moves)
    left = crash_at(world, number, monkeypatch)
    step(world, 6)
    assert left[0] < 0, "the crash never came"
    assert moved(world, before) == expected
    assert world.reconcile().differences == []


def test_tokens_that_a_call_sends_to_an_account_of_ours_are_no_deposit(world: World) -> None:
    address = world.custody.addresses.of("ann")
    world.call(0, (TOKEN, HOT, address, 55))
    step(world, 5)
    assert world.custody.book.holding(address, TOKEN) == 55
    assert world.free("ann", "TOK") == 0
    assert world.reconcile().differences == []


def test_tokens_that_somebody_else_takes_are_in_the_books_and_pause_the_chain(
    world: World,
) -> None:
    before = held(world)
    taking = world.chain.send(RICH, "0xpool", 0, moves=[(TOKEN, HOT, "0xthief", 9)])
    step(world)
    paused = world.custody.book.chain_record.paused
    assert paused == (
        f"TOKENS_TAKEN: 9 of {TOKEN} left {HOT} in {taking.txid}, which is no transaction of ours"
    )
    assert moved(world, before) == (0, -9)
    assert world.reconcile().differences == []
    world.custody.resume("op", "the pool may take them")
    step(world, 3)
    assert not world.custody.book.chain_record.paused


def test_what_happens_while_the_chain_is_paused_is_told_with_the_rest(world: World) -> None:
    world.custody.pause("a drill", "op")
    first = world.chain.send(RICH, "0xpool", 0, moves=[(TOKEN, HOT, "0xthief", 9)])
    step(world)
    second = world.chain.send(RICH, "0xpool", 0, moves=[(TOKEN, HOT, "0xthief", 1)])
    step(world)
    record = world.custody.book.chain_record
    drill, *taken = record.paused.split("; ")
    assert (drill, record.paused_by) == ("a drill", "op")
    assert [each.split(",")[0].rpartition(" ")[2] for each in taken] == [first.txid, second.txid]
    many = [(TOKEN, HOT, "0xthief", amount) for amount in range(1, 100)]
    world.chain.send(RICH, "0xpool", 0, moves=many)
    step(world)
    assert len(world.custody.book.chain_record.paused) < REASONS_CHARS_MAX


def test_nothing_taken_pauses_nothing(world: World) -> None:
    """Anyone can have a token's contract say that nothing left us."""
    world.chain.send(RICH, "0xpool", 0, moves=[(TOKEN, HOT, "0xthief", 0)])
    step(world, 2)
    assert not world.custody.book.chain_record.paused


def test_what_a_call_moved_before_its_token_was_registered_is_found_by_a_rescan() -> None:
    world = World(tokens=(), policy=replace(POLICY, blocks_per_step=100))
    step(world, 2)
    world.call(0, (TOKEN, HOT, "0xpool", 70))
    step(world, 3)
    world.custody.tokens.register(TOK, "op")
    world.custody.rescans.request("all", 0, None, "op")
    world.custody.rescans.request("all again", 0, None, "op")
    step(world, 3)
    assert world.custody.book.holding(world.keys.hot, TOKEN) == 10**9 - 70
    report = world.reconcile()
    assert (report.differences, report.unscanned) == ([], [])
    assert len([e for e in events(world) if isinstance(e, ChainRecord.Paused)]) == 0


def events(world: World) -> list[object]:
    return [event for _, event in world.custody.books.events_after(0)]
