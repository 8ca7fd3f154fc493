"""Custody's books on every store: atomic saves, one winner, the same events in the same order."""

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from threading import Event, Timer
from typing import Any

import psycopg
import pytest

from tests.beside import beside
from tests.custody.test_config import huge_payment
from tests.waiting import until
from wallet.book import Book
from wallet.policy import Band
from wallet.records.addresses import AddressBook
from wallet.records.chain_record import ChainRecord
from wallet.records.rescan import Rescan
from wallet.records.review import Review
from wallet.records.token_list import RegisteredToken, Terms, TokenList
from wallet.store import (
    FILE,
    SCHEMA,
    Books,
    BooksUnavailable,
    RecordChanged,
    migrate,
    open_memory,
    open_postgres,
    open_sqlite,
)
from wallet.types import Address, BlockHash, BlockRef, ChainId, IntentId, TokenId

CHAIN = ChainId("fast:1")
START = BlockRef(height=0, hash=BlockHash("g"), parent=BlockHash("none"))


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def books(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Books]:
    if request.param == "memory":
        opened = open_memory()
    elif request.param == "sqlite":
        opened = open_sqlite(tmp_path)
    else:
        url = request.getfixturevalue("postgres_database")
        migrate(url)
        migrate(url)
        opened = open_postgres(url)
    yield opened
    opened.close()


def test_what_is_saved_together_is_read_in_order(books: Books) -> None:
    addresses = AddressBook.open(CHAIN, Address("0x0"))
    addresses.assign("ann", Address("0x1"))
    books.put(addresses, Review.open(IntentId("w")))
    found = [(position, type(event).TOPIC) for position, event in books.events_after(0)]
    assert found == [
        (1, "address_book_opened.v1"),
        (2, "deposit_address_assigned.v1"),
        (3, "review_opened.v1"),
    ]
    assert [position for position, _ in books.events_after(2)] == [3]


def test_of_two_that_change_the_same_record_one_is_refused_and_nothing_of_it_is_kept(
    books: Books,
) -> None:
    books.put(AddressBook.open(CHAIN, Address("0x0")))
    first, second = Book(CHAIN, books), Book(CHAIN, books)
    first.catch_up()
    second.catch_up()
    mine, theirs = first.addresses, second.addresses
    assert mine is not None
    assert theirs is not None
    winner, loser = first.copy(mine), second.copy(theirs)
    winner.assign("ann", Address("0x1"))
    loser.assign("bob", Address("0x1"))
    first.save(winner)
    with pytest.raises(RecordChanged):
        second.save(Review.open(IntentId("w")), loser)
    second.catch_up()
    assert second.address_of == {"ann": "0x1"}
    assert [type(event).__name__ for _, event in books.events_after(0)] == ["Created", "Assigned"]


def test_amounts_beyond_64_bits_are_kept_exactly(books: Books) -> None:
    payment = huge_payment()
    books.put(payment)
    book = Book(CHAIN, books)
    book.catch_up()
    kept = book.payment(payment.intent.id)
    assert kept is not None
    assert kept.intent == payment.intent


def test_a_database_that_does_not_answer_is_tried_again_later(tmp_path: Path) -> None:
    books = open_sqlite(tmp_path)
    books.put(AddressBook.open(CHAIN, Address("0x0")))
    with sqlite3.connect(tmp_path / FILE) as other:
        other.execute("ALTER TABLE stored_events RENAME TO gone")
    with pytest.raises(BooksUnavailable):
        books.put(Review.open(IntentId("w")))
    with pytest.raises(BooksUnavailable):
        list(books.events_after(0))
    books.close()


def test_a_save_whose_answer_was_lost_is_a_save(
    books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The library saves again when a connection was cut, and finds its own events there."""
    insert = books.recorder.insert_events

    def lose_the_answer(events: Any, **more: Any) -> Any:
        insert(events, **more)
        return insert(events, **more)

    addresses = AddressBook.open(CHAIN, Address("0x0"))
    addresses.assign("ann", Address("0x1"))
    monkeypatch.setattr(books.recorder, "insert_events", lose_the_answer)
    books.put(addresses, Review.open(IntentId("w")))
    assert [position for position, _ in books.events_after(0)] == [1, 2, 3]
    with pytest.raises(RecordChanged):
        books.put(Review.open(IntentId("v")), AddressBook.open(CHAIN, Address("0x0")))
    assert [position for position, _ in books.events_after(0)] == [1, 2, 3]


def test_books_are_closed_when_nobody_reads_them(
    books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite ends the whole process when a connection is closed in the midst of a statement."""
    reading, go_on, done = Event(), Event(), list[str]()
    select = books.recorder.select_notifications

    def slowly(start: int, limit: int) -> Any:
        reading.set()
        assert go_on.wait(30)
        found = select(start, limit)
        done.append("read")
        return found

    def close() -> None:
        books.close()
        done.append("closed")

    monkeypatch.setattr(books.recorder, "select_notifications", slowly)
    with beside(lambda: list(books.events_after(0)), close_when(reading, close)):
        assert reading.wait(30)
        go_on.set()
    assert done == ["read", "closed"]


def close_when(reading: Event, close: Callable[[], None]) -> Callable[[], None]:
    def wait_and_close() -> None:
        assert reading.wait(30)
        close()

    return wait_and_close


@pytest.mark.parametrize("store", ["sqlite", "postgres"])
def test_books_that_are_closed_are_not_there(
    store: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if store == "sqlite":
        books = open_sqlite(tmp_path)
    else:
        url = request.getfixturevalue("postgres_database")
        migrate(url)
        books = open_postgres(url)
    books.close()
    with pytest.raises(BooksUnavailable, match="closed"):
        list(books.events_after(0))
    with pytest.raises(BooksUnavailable, match="closed"):
        books.put(Review.open(IntentId("w")))


def test_books_that_another_process_makes_at_this_moment_are_waited_for(tmp_path: Path) -> None:
    """SQLite refuses to change its mode at once while another process is about to write."""
    file = tmp_path / FILE
    with closing(sqlite3.connect(file, check_same_thread=False, isolation_level=None)) as other:
        other.execute("CREATE TABLE something (of_another_process)")
        other.execute("BEGIN IMMEDIATE")
        over = Timer(0.3, other.rollback)
        over.start()
        books = open_sqlite(tmp_path)
        over.join()
    books.put(Review.open(IntentId("w")))
    books.close()


def test_who_migrates_waits_for_another_who_does(postgres_database: str) -> None:
    waiting = "SELECT FROM pg_locks WHERE NOT granted AND pid <> pg_backend_pid()"
    with psycopg.connect(postgres_database) as other:
        other.execute("SELECT pg_advisory_xact_lock(hashtextextended('foldex migrate', 0))")
        other.execute(f"CREATE SCHEMA {SCHEMA}")
        with beside(lambda: migrate(postgres_database)):
            until(lambda: other.execute(waiting).fetchone() is not None)
            other.commit()
    books = open_postgres(postgres_database)
    books.put(Review.open(IntentId("w")))
    books.close()


def test_tokens_and_rescans_are_kept_with_amounts_of_any_size(books: Books) -> None:
    terms = Terms(
        minimum=2**200,
        band=Band(low=0, target=2**201, high=2**202, sweep_from=2**100),
        review=True,
        measured=False,
    )
    token = RegisteredToken(
        contract=TokenId("0xToken"), asset="TOK", decimals=18, ledger_decimals=8, terms=terms
    )
    tokens = TokenList.open(CHAIN)
    tokens.register(token, "op")
    rescan = Rescan.request(CHAIN, "r", 3, None, "op")
    rescan.begin(9)
    rescan.scanned(9, 1, [[5, "b5", [["0x1", "0xToken", 2**200]]]])
    books.put(tokens, rescan)
    tokens.watch(token.contract, 4)
    tokens.disable(token.contract, "a drill", "op")
    books.put(tokens)
    book = Book(CHAIN, books)
    book.catch_up()
    assert book.tokens == [replace(token, watched_after=4, disabled="a drill")]
    assert book.holding(Address("0x1"), TokenId("0xToken")) == 2**200
    assert (book.is_covered("0xTOKEN", 4), book.is_covered("0xTOKEN", 5)) == (False, True)
    topics = [type(event).TOPIC for _, event in books.events_after(0)]
    assert topics == [
        "token_list_opened.v1", "token_registered.v1", "rescan_requested.v1", "rescan_begun.v1",
        "blocks_rescanned.v1", "token_watched.v1", "token_disabled.v1",
    ]  # fmt: skip


def test_pauses_that_were_stored_without_who_and_why_are_still_read() -> None:
    books = open_memory()
    chain = ChainRecord.open(CHAIN, BlockHash("g"), START)
    chain.pause("a drill", "ann")
    chain.resume("ben", "over")
    books.put(chain)
    _, paused, resumed = books.recorder.select_notifications(1, 10)
    for stored, name, field in ((paused, "ann", "paused_by"), (resumed, "over", "reason")):
        state = json.loads(stored.state)
        assert state.pop(field) == name
        older = replace(stored, state=json.dumps(state).encode())
        assert getattr(books.mapper.to_domain_event(older), field) == ""
