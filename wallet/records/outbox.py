"""How far the books were published."""

from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from eventsourcing.domain import Aggregate


def outbox_id(chain: str) -> UUID:
    """Return the id of a chain's outbox: there is one."""
    return uuid5(NAMESPACE_URL, f"foldex:outbox:{chain}")


class Outbox(Aggregate):
    """position: of the last event of the books whose messages are in Kafka for good."""

    TOPIC = "outbox"

    class Created(Aggregate.Created):
        TOPIC = "outbox_opened.v1"

    class Published(Aggregate.Event):
        TOPIC = "outbox_published.v1"
        position: int

        def apply(self, aggregate: Any) -> None:
            aggregate.position = self.position

    def __init__(self) -> None:
        self.position = 0

    @classmethod
    def open(cls, chain: str) -> "Outbox":
        """Return an outbox of which nothing was published."""
        return cls._create(cls.Created, id=outbox_id(chain))

    def publish(self, position: int) -> None:
        """Record how far the messages are in Kafka."""
        self.trigger_event(self.Published, position=position)
