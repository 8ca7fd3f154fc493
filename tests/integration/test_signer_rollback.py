"""Both files of the signer's journal put back to an older copy: nothing is signed any more."""

import shutil
import signal
import socket
from collections.abc import Iterator
from contextlib import closing, suppress
from functools import partial
from pathlib import Path

import msgspec
import pytest

from tests.beside import beside
from tests.custody.test_cancel import check
from tests.custody.test_deposits import ONE, step
from tests.custody.world import WEI, Chaos, ChaosBooks, Crash, World, new_store
from tests.signer_process import SignerProcess, approved, unsigned
from tests.signer_world import CHAIN, PAYEE, withdrawal
from wallet.book import Book
from wallet.desk import Desk
from wallet.errors import SignerRolledBack
from wallet.journal_memory import JournalMemory
from wallet.signer import messages
from wallet.signer.client import SignerClient
from wallet.signer.messages import JournalMark
from wallet.store import Books, open_memory, open_sqlite
from wallet.types import IntentId, Slot, Unsigned

NOTHING = Unsigned(
    intent_id=IntentId("w1"), slot=Slot(chain=CHAIN, owner=PAYEE, anchor="0"), raw=b"", fee_max=0
)
NAMES = ("journal.jsonl", "journal.head")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SignerProcess]:
    """A signer with something in its journal already."""
    with SignerProcess(tmp_path_factory.mktemp("signer")) as signer:
        yield signer


@pytest.fixture
def books(tmp_path: Path) -> Iterator[Books]:
    books = open_sqlite(tmp_path)
    yield books
    books.close()


def client_of(signer: SignerProcess, books: Books) -> SignerClient:
    """Return a client as custody's process has it after a start: its memory is in the books."""
    book = Book(CHAIN, books)
    book.catch_up()
    client = SignerClient(signer.socket)
    client.memory = JournalMemory(book, writes=True)
    return client


def sign(client: SignerClient, signer: SignerProcess, name: str, nonce: int) -> str:
    intent = withdrawal(name, 10**17)
    return client.sign(intent, unsigned(signer, intent, nonce), approved(intent)).txid


def copy_journal(signer: SignerProcess, to: Path) -> Path:
    to.mkdir()
    for name in NAMES:
        shutil.copy(signer.journal / name, to / name)
    return to


def put_back(signer: SignerProcess, copy: Path) -> None:
    signer.end(signal.SIGKILL)
    for name in NAMES:
        shutil.copy(copy / name, signer.journal / name)
    signer.start()


def test_an_older_copy_is_refused_until_the_newest_is_back(
    running: SignerProcess, books: Books, tmp_path: Path
) -> None:
    with closing(client_of(running, books)) as client:
        sign(client, running, "r1", 0)
        older = copy_journal(running, tmp_path / "older")
        paid = sign(client, running, "r2", 1)
        newest = copy_journal(running, tmp_path / "newest")
        put_back(running, older)
        for _ in range(2):
            with pytest.raises(SignerRolledBack, match="bring back the newest copy") as refused:
                sign(client, running, "r2", 2)
            assert (refused.value.code, refused.value.retryable) == ("SIGNER_ROLLED_BACK", False)
    with closing(client_of(running, books)) as client, pytest.raises(SignerRolledBack):
        client.status()
    put_back(running, newest)
    with closing(client_of(running, books)) as client:
        assert sign(client, running, "r2", 1) == paid


def test_an_older_copy_that_went_on_is_refused_too(
    running: SignerProcess, books: Books, tmp_path: Path
) -> None:
    with closing(client_of(running, books)) as client:
        older = copy_journal(running, tmp_path / "older")
        sign(client, running, "f1", 10)
        newest = copy_journal(running, tmp_path / "newest")
        put_back(running, older)
        with closing(SignerClient(running.socket)) as forgetful:
            for number in range(4):
                sign(forgetful, running, f"g{number}", 20 + number)
        with pytest.raises(SignerRolledBack):
            sign(client, running, "f2", 11)
    put_back(running, newest)


def test_people_may_accept_the_journal_as_it_is(
    running: SignerProcess, books: Books, tmp_path: Path
) -> None:
    with closing(client_of(running, books)) as client:
        older = copy_journal(running, tmp_path / "older")
        sign(client, running, "a1", 30)
        put_back(running, older)
        with pytest.raises(SignerRolledBack):
            client.status()
    memory = JournalMemory(_book(books), writes=True)
    memory.accept("ann and ben", "the machine is gone; its last minute was compared")
    with closing(client_of(running, books)) as client:
        sign(client, running, "a2", 31)
        known = client.memory.known() if client.memory else None
        assert known is not None
        assert known.count == client.status().position


def test_who_only_asks_compares_but_writes_nothing(running: SignerProcess, books: Books) -> None:
    with closing(client_of(running, books)) as client:
        sign(client, running, "o1", 40)
        other = SignerClient(running.socket)
        other.memory = JournalMemory(_book(books), writes=False)
        before = len(list(books.events_after(0)))
        with closing(other):
            assert other.status().position > 0
            assert len(list(books.events_after(0))) == before


@pytest.mark.parametrize(
    "mark",
    [JournalMark(6, bytes(32)), JournalMark(7, b"x" * 32), None],
    ids=["behind", "another", "silent"],
)
def test_an_answer_that_goes_back_is_not_used(tmp_path: Path, mark: JournalMark | None) -> None:
    """A signer that does not compare, or that somebody replaced."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "liar"))
        listening.listen()
        asked: list[object] = []
        memory = JournalMemory(_book(open_memory()), writes=True)
        memory.saw(JournalMark(7, bytes(32)))
        client = SignerClient(tmp_path / "liar")
        client.memory = memory
        lying = beside(partial(_lie, listening, mark, asked))
        with lying, closing(client), pytest.raises(SignerRolledBack):
            client.sign(withdrawal(), NOTHING, ())
    [ask] = asked
    assert isinstance(ask, messages.AskSignature)
    assert ask.known == memory.known() == JournalMark(7, bytes(32))


def _lie(listening: socket.socket, mark: JournalMark | None, asked: list[object]) -> None:
    connection, _ = listening.accept()
    with connection:
        frame = messages.receive(connection)
        assert frame is not None
        asked.append(msgspec.msgpack.decode(frame, type=messages.Ask))
        messages.send(connection, messages.Signature(raw=b"paid twice", txid="0x1", at=mark))


@pytest.mark.parametrize("crash_at", range(1, 5))
def test_a_crash_of_custody_around_its_memory_loses_no_answer(
    running: SignerProcess, crash_at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before or after the memory is saved: asked again, the signer answers the same."""
    chaos, store = Chaos(0), new_store()
    left = [crash_at]

    def point() -> None:
        left[0] -= 1
        if left[0] == 0:
            raise Crash

    monkeypatch.setattr(chaos, "point", point)
    answers = set()
    for number in range(3):
        with closing(client_of(running, ChaosBooks(*store, chaos))) as client, suppress(Crash):
            answers.add(sign(client, running, f"c{crash_at}", 50 + crash_at))
            if number == 1:
                running.end(signal.SIGKILL)
                running.start()
    assert left[0] <= 0
    assert len(answers) == 1


def test_custody_pauses_and_goes_on_scanning_until_the_journal_is_back() -> None:
    world = World()
    world.deposit("ann", 10 * WEI)
    world.settle(10)
    number = world.withdraw("ann", ONE)
    world.signer.denies.add("withdrawal-1")
    world.signer.denial = SignerRolledBack
    with pytest.raises(SignerRolledBack):
        world.custody.step()
    assert Desk(world.custody).status().paused.startswith("SIGNER_ROLLED_BACK")
    height = world.custody.book.chain_record.tip.height
    step(world, 3)
    assert world.custody.book.chain_record.tip.height == height + 3
    assert world.paid("0xpayee1") == 0
    world.signer.denies.clear()
    world.custody.resume("op")
    world.settle(4)
    check(world, number, paid=True)


def _book(books: Books) -> Book:
    book = Book(CHAIN, books)
    book.catch_up()
    return book
