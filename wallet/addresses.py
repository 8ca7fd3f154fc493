"""Gives each account its deposit address: the same one whenever it asks."""

from wallet.book import Book
from wallet.errors import WrongChain
from wallet.ports import Keys
from wallet.records.addresses import AddressBook
from wallet.store import RecordChanged
from wallet.types import Address, ChainId

ATTEMPTS = 20
"""How often an index is asked for when other processes take it first."""


class Addresses:
    """One chain's. Any process may have one: no index is ever given twice."""

    def __init__(self, *, chain: ChainId, book: Book, keys: Keys) -> None:
        self._chain = chain
        self._book = book
        self._keys = keys

    def open(self) -> None:
        """Begin the book, or check that it was made with the same public key.

        Raises: WrongChain: the key of the settings gives other addresses than it did.
        """
        self._book.catch_up()
        first = self._keys.deposit_address(0)
        addresses = self._book.addresses
        if addresses is None:
            self._book.save(AddressBook.open(self._chain, first))
        elif addresses.first_address != first:
            raise WrongChain(
                f"deposit addresses began with {addresses.first_address}, the public key in the"
                f" settings gives {first}"
            )

    def of(self, account: str) -> Address:
        """Return the account's address, with a new one on first sight.

        Raises: RecordChanged: many processes are at it; try again.
        """
        for _ in range(ATTEMPTS):
            self._book.catch_up()
            known = self._book.address_of.get(account)
            if known is not None:
                return known
            try:
                self._assign(account)
            except RecordChanged:
                continue
        raise RecordChanged(f"no address for {account} after {ATTEMPTS} attempts")

    def _assign(self, account: str) -> None:
        addresses = self._book.addresses
        if addresses is None:
            raise LookupError(f"the address book of {self._chain} is not open")
        changed = self._book.copy(addresses)
        changed.assign(account, self._keys.deposit_address(changed.next_index))
        self._book.save(changed)
