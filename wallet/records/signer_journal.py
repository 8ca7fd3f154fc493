"""How far custody saw the signer's journal: an older copy of it must never be believed again."""

from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from eventsourcing.domain import Aggregate


def signer_journal_id(chain: str) -> UUID:
    """Return the id of what custody of a chain remembers: there is one."""
    return uuid5(NAMESPACE_URL, f"foldex:journal:{chain}")


class SignerJournal(Aggregate):
    """count: of records that the journal had at least. seal: the hash of the last of them, in hex.

    count is 0 while nothing is known.
    """

    TOPIC = "signer_journal"

    class Created(Aggregate.Created):
        TOPIC = "signer_journal_known.v1"

    class Reached(Aggregate.Event):
        TOPIC = "signer_journal_reached.v1"
        count: int
        seal: str

        def apply(self, aggregate: Any) -> None:
            aggregate.count, aggregate.seal = self.count, self.seal

    class Accepted(Aggregate.Event):
        """People decided to go on with the journal as it is, whatever was known of it."""

        TOPIC = "signer_journal_accepted.v1"
        accepted_by: str
        reason: str

        def apply(self, aggregate: Any) -> None:
            aggregate.count, aggregate.seal = 0, ""

    def __init__(self) -> None:
        self.count = 0
        self.seal = ""

    @classmethod
    def open(cls, chain: str) -> "SignerJournal":
        """Return what is known before the signer has said anything."""
        return cls._create(cls.Created, id=signer_journal_id(chain))

    def reach(self, count: int, seal: str) -> None:
        """Record how far the journal is."""
        self.trigger_event(self.Reached, count=count, seal=seal)

    def accept(self, accepted_by: str, reason: str) -> None:
        """Record that it may be an older or another one from now on."""
        self.trigger_event(self.Accepted, accepted_by=accepted_by, reason=reason)
