"""Custody's books on every store: atomic saves, one winner, the same events in the same order."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.custody.test_config import huge_payment
from wallet.book import Book
from wallet.records.addresses import AddressBook
from wallet.records.review import Review
from wallet.store import (
    FILE,
    Books,
    BooksUnavailable,
    RecordChanged,
    migrate,
    open_memory,
    open_postgres,
    open_sqlite,
)
from wallet.types import Address, ChainId, IntentId

CHAIN = ChainId("fast:1")


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
