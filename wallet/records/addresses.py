"""Deposit addresses: each account has one on each chain, by an index that is never used again."""

from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from eventsourcing.domain import Aggregate

from wallet.types import Address, ChainId


def address_book_id(chain: ChainId) -> UUID:
    """Return the id of a chain's address book: there is one."""
    return uuid5(NAMESPACE_URL, f"foldex:addresses:{chain}")


class AddressBook(Aggregate):
    """next_index: of the next address; an address is derived from it and a public key."""

    TOPIC = "address_book"

    class Created(Aggregate.Created):
        TOPIC = "address_book_opened.v1"
        chain: str
        first_address: str

    class Assigned(Aggregate.Event):
        """An account was given an address. label: of whoever asked, `account` when it is one."""

        TOPIC = "deposit_address_assigned.v1"
        account: str
        address: str
        index: int

        def apply(self, aggregate: Any) -> None:
            aggregate.next_index = self.index + 1

    def __init__(self, chain: str, first_address: str) -> None:
        self.chain = ChainId(chain)
        self.first_address = Address(first_address)
        self.next_index = 0

    @classmethod
    def open(cls, chain: ChainId, first_address: Address) -> "AddressBook":
        """Return an empty book. first_address: at index 0, so that a swapped key is noticed."""
        return cls._create(
            cls.Created, id=address_book_id(chain), chain=chain, first_address=first_address
        )

    def assign(self, account: str, address: Address) -> None:
        """Give the account the address of the next index."""
        self.trigger_event(self.Assigned, account=account, address=address, index=self.next_index)
