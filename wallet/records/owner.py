"""An address of ours that sends transactions: which slots it gave out, and to what."""

from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from eventsourcing.domain import Aggregate

from wallet.types import Address, ChainId, IntentId, Slot


def owner_record_id(chain: ChainId, address: Address) -> UUID:
    """Return the id of a sender's record."""
    return uuid5(NAMESPACE_URL, f"foldex:owner:{chain}:{address.lower()}")


class Owner(Aggregate):
    """next_slot: the number that the next payment gets. It comes from here, never from a node."""

    TOPIC = "owner"

    class Created(Aggregate.Created):
        """first_slot: by the chain when we began; nobody else may use the key after that."""

        TOPIC = "owner_opened.v1"
        chain: str
        address: str
        first_slot: int

    class SlotGiven(Aggregate.Event):
        TOPIC = "owner_slot_given.v1"
        slot: int
        intent_id: str

        def apply(self, aggregate: Any) -> None:
            aggregate.next_slot = self.slot + 1

    def __init__(self, chain: str, address: str, first_slot: int) -> None:
        self.chain = ChainId(chain)
        self.address = Address(address)
        self.next_slot = first_slot

    @classmethod
    def open(cls, chain: ChainId, address: Address, first_slot: int) -> "Owner":
        """Return the record of an address that begins to send."""
        return cls._create(
            cls.Created,
            id=owner_record_id(chain, address),
            chain=chain,
            address=address,
            first_slot=first_slot,
        )

    def give_slot(self, intent_id: IntentId) -> Slot:
        """Give the next slot to a payment; save both together."""
        number = self.next_slot
        self.trigger_event(self.SlotGiven, slot=number, intent_id=intent_id)
        return Slot.numbered(self.chain, self.address, number)
