"""A command of the bus: what was asked under a key, and the answer it got, for ever."""

from uuid import NAMESPACE_URL, UUID, uuid5

from eventsourcing.domain import Aggregate


def command_record_id(chain: str, key: str) -> UUID:
    """Return the id of a command's record."""
    return uuid5(NAMESPACE_URL, f"foldex:command:{chain}:{key}")


class CommandRecord(Aggregate):
    """digest: of what was asked. topic, body: the answer, JSON."""

    TOPIC = "command"

    class Created(Aggregate.Created):
        TOPIC = "command_answered.v1"
        key: str
        digest: str
        topic: str
        body: str

    def __init__(self, *, key: str, digest: str, topic: str, body: str) -> None:
        self.key = key
        self.digest = digest
        self.topic = topic
        self.body = body

    @classmethod
    def answer(cls, chain: str, *, key: str, digest: str, topic: str, body: str) -> "CommandRecord":
        """Return the record of a command and its answer."""
        return cls._create(
            cls.Created,
            id=command_record_id(chain, key),
            key=key,
            digest=digest,
            topic=topic,
            body=body,
        )
