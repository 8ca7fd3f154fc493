"""Two processes at the same books at the same moment: the second goes on with what is there."""

from collections.abc import Callable

import pytest

from tests.custody.world import COIN, RICH, UNIT, WEI, Chaos, ChaosBooks, World, new_store
from wallet.block_scan import BlockScan
from wallet.book import Book
from wallet.desk import Desk
from wallet.errors import DuplicateMismatch, SignerRolledBack
from wallet.journal_memory import JournalMemory
from wallet.records.addresses import AddressBook
from wallet.signer.messages import JournalMark
from wallet.store import RecordChanged, open_memory
from wallet.types import Address, ChainId, Intent, IntentId, IntentKind, WatchSet

CHAIN = ChainId("fast:1")


class Meanwhile(Chaos):
    """Before each save of one process, another does the next of these."""

    def __init__(self, *others: Callable[[], object]) -> None:
        super().__init__(0)
        self._others = list(others)

    def point(self) -> None:
        if self._others:
            self._others.pop(0)()


def test_books_that_two_processes_begin_at_once_are_those_of_both() -> None:
    world = World(tokens=())
    store = world._store = new_store()

    def begin_addresses() -> None:
        book = Book(world.chain.id, ChaosBooks(*store, Chaos(0)))
        book.save(AddressBook.open(world.chain.id, world.keys.deposit_address(0)))

    # Each save that is refused is one point: there is none after it.
    second = world._process(Meanwhile(begin_addresses, world.another_process))
    assert second.book.chain_record.tip.height == 0
    assert second.addresses.of("ann") == world.another_process().addresses.of("ann")


def marks(seen_by_another: int) -> JournalMemory:
    """Return a memory that knew of five records, since when another process saw more."""
    books = open_memory()
    mine, theirs = Book(CHAIN, books), Book(CHAIN, books)
    memory = JournalMemory(mine, writes=True)
    memory.saw(JournalMark(5, b"5" * 32))
    theirs.catch_up()
    JournalMemory(theirs, writes=True).saw(JournalMark(seen_by_another, b"7" * 32))
    return memory


def test_a_journal_that_another_process_saw_further_on_meanwhile_is_asked_again() -> None:
    memory = marks(seen_by_another=7)
    with pytest.raises(RecordChanged, match="7 meanwhile") as error:
        memory.saw(JournalMark(6, b"6" * 32))
    assert error.value.retryable
    # With the next question the signer is told of it, and a journal that is behind is refused.
    assert memory.known() == JournalMark(7, b"7" * 32)
    with pytest.raises(SignerRolledBack, match="has 6 records"):
        memory.saw(JournalMark(6, b"6" * 32))


def test_a_journal_that_another_process_saw_less_of_is_remembered() -> None:
    memory = marks(seen_by_another=7)
    memory.saw(JournalMark(8, b"8" * 32))
    assert memory.known() == JournalMark(8, b"8" * 32)


def test_two_journals_of_the_same_length_are_two_journals() -> None:
    memory = marks(seen_by_another=7)
    with pytest.raises(SignerRolledBack):
        memory.saw(JournalMark(7, b"x" * 32))


def test_what_two_processes_plan_at_once_is_planned_once() -> None:
    world = World(tokens=())
    intent = Intent(
        id=IntentId("contract-1"), kind=IntentKind.DEPLOY, chain=world.chain.id, to=None, amount=3,
        data=b"[]",
    )  # fmt: skip
    other = Desk(world.another_process())
    desk = Desk(world._process(Meanwhile(lambda: other.plan(intent))))
    desk.plan(intent)
    assert [(each.id, each.asset) for each in desk.payments()] == [("contract-1", COIN)]
    another = Intent(
        id=IntentId("contract-2"), kind=IntentKind.CALL, chain=world.chain.id,
        to=Address("0xcontract"), amount=3, data=b"[]",
    )  # fmt: skip
    changed = Intent(
        id=another.id, kind=another.kind, chain=another.chain, to=another.to, amount=4, data=b"[]"
    )
    desk = Desk(world._process(Meanwhile(lambda: other.plan(another))))
    with pytest.raises(DuplicateMismatch):
        desk.plan(changed)


def test_an_address_that_is_new_while_the_newest_block_is_replaced_is_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its block has the height that was asked for before anybody had the address."""
    world = World(tokens=())
    world.rest()
    world.chain.mine()
    world.chain.mine()
    read: Callable[[int, int, WatchSet], list[BlockScan]] = world.chain.scan_range

    def after_another_process(first: int, count: int, watch: WatchSet) -> list[BlockScan]:
        monkeypatch.undo()
        address = world.another_process().addresses.of("ann")
        world.chain.send(RICH, address, WEI)
        del world.chain.blocks[-1]
        world.chain.mine()
        return read(first, count, watch)

    monkeypatch.setattr(world.chain, "scan_range", after_another_process)
    world.rest()
    world.settle(4)
    assert world.free("ann") == WEI // UNIT
    assert world.reconcile().differences == []
