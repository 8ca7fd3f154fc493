"""What can go wrong between the log and Kafka. Each error has a stable code and says what to do."""

from typing import ClassVar


class BusError(Exception):
    """Kafka cannot be used as asked. `code` never changes; `detail` is for people."""

    code: ClassVar[str] = "bus_error"

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class BusUnavailable(BusError):
    """No broker answered in time, or none could store what was sent. Trying again may work."""

    code = "bus_unavailable"


class BusRefused(BusUnavailable):
    """The brokers do not take our user or password, or we not their certificate.

    Trying again may work: whoever changed one side may still change the other.
    """

    code = "bus_refused"


class TopicUnusable(BusError):
    """A topic is missing, or was made otherwise than Foldex needs it."""

    code = "topic_unusable"


class OtherLog(BusError):
    """What was published before is not in this log: it is another log, or one that lost events."""

    code = "other_log"


class PublisherOvertaken(BusError):
    """Another publisher has moved the stored position; this one begins again from there."""

    code = "publisher_overtaken"


class RecordsLost(BusError):
    """Events that were published can no longer be read from the topic: rebuild from the store."""

    code = "records_lost"


class PoisonRecord(BusError):
    """A record in a topic is not what a publisher of Foldex writes, or is of a newer version."""

    code = "poison_record"

    def __init__(self, topic: str, partition: int, offset: int, reason: str) -> None:
        super().__init__(f"{topic}, partition {partition}, offset {offset}: {reason}")
        self.topic = topic
        self.partition = partition
        self.offset = offset
        self.reason = reason
