"""How far each partition of the topic is in the views of markets, kept in the views' database."""

from collections.abc import Mapping
from typing import Final

import msgspec
from kafka import TopicPartition
from kafka.admin import OffsetSpec

from eventstore.kafka_brokers import Brokers
from eventstore.kafka_errors import RecordsLost, TopicUnusable
from eventstore.kafka_topics import administrator, find_topic
from projections.database import Database, Insert, Overtaken, Reading, ViewsBroken
from projections.view_set import CHECKPOINTS, KAFKA_OFFSETS, MARKETS


class Reached(msgspec.Struct, frozen=True):
    """How far a partition is: every event of it up to `position` is in the views.

    time_ms: of the last event or marker. commit, seal: of the last marker.
    """

    next_offset: int
    position: int
    time_ms: int
    commit: int
    seal: str


class Source(msgspec.Struct, frozen=True):
    """A topic, by its brokers and name; its id is looked up whenever the views are opened."""

    brokers: Brokers
    topic: str


def load(db: Reading, topic_id: str) -> dict[int, Reached]:
    """Return how far each partition is; empty while the views are folded from the store.

    Raises: RecordsLost: the views were folded from a topic that is no longer there.
    """
    found: dict[int, Reached] = {}
    for feed, stored_id, next_offset, position, time_ms, commit, seal in db.rows(
        "SELECT o.feed, o.topic_id, o.next_offset, c.position, c.time_ms, c.commit_number, c.seal"
        " FROM kafka_offsets o JOIN checkpoints c ON c.feed = o.feed"
    ):
        if stored_id != topic_id:
            raise RecordsLost(
                f"the views were folded from topic {stored_id}, and the topic is {topic_id} now:"
                " it was deleted and made anew; rebuild the views from the store"
            )
        partition = int(feed.rpartition("/")[2])
        found[partition] = Reached(next_offset, position, time_ms, commit, seal)
    return found


def take_over(db: Database, source: Source) -> None:
    """Let the views of markets go on from the topic instead of from the store.

    Events and markers carry the time of their event or commit, which never goes back along the
    log: so each partition is entered at the first record of the time that the views have reached,
    and what they have already is passed over by its position.
    Raises: Overtaken: another worker did it, or a runner is at it; BusUnavailable, TopicUnusable.
    """
    row = db.row(
        "SELECT position, time_ms, commit_number, seal FROM checkpoints WHERE feed = ?", (MARKETS,)
    )
    if row is None:
        raise Overtaken
    found = find_topic(source.brokers, source.topic)
    offsets = _offsets_at(source, found.partitions, row[1])
    feeds = [(feed_of(partition), offset) for partition, offset in offsets.items()]
    with db.transaction():
        gone = db.update(
            "DELETE FROM checkpoints WHERE feed = ? AND position = ?", (MARKETS, row[0])
        )
        if gone != 1:
            raise Overtaken
        db.write(Insert(CHECKPOINTS, [(feed, *row) for feed, _ in feeds]))
        db.write(Insert(KAFKA_OFFSETS, [(feed, found.id, offset) for feed, offset in feeds]))


def move(db: Database, partition: int, old: Reached, new: Reached) -> None:
    """Move a partition on, inside the transaction that writes what was folded from it.

    Raises: Overtaken: it is not where this worker left it.
    """
    feed = feed_of(partition)
    moved = db.update(
        "UPDATE kafka_offsets SET next_offset = ? WHERE feed = ? AND next_offset = ?",
        (new.next_offset, feed, old.next_offset),
    )
    if moved != 1:
        raise Overtaken
    moved = db.update(
        "UPDATE checkpoints SET position = ?, time_ms = ?, commit_number = ?, seal = ?"
        " WHERE feed = ? AND position = ?",
        (new.position, new.time_ms, new.commit, new.seal, feed, old.position),
    )
    if moved != 1:
        raise ViewsBroken(f"the offset and the position of {feed} do not agree")


def feed_of(partition: int) -> str:
    """Return the name of a partition's checkpoint."""
    return f"{MARKETS}/{partition}"


_NONE: Final = -1
"""What brokers answer when no record is of that time or later."""


def _offsets_at(source: Source, partitions: int, time_ms: int) -> Mapping[int, int]:
    """Return, for each partition, where the first record of a time or later is."""
    places = [TopicPartition(source.topic, number) for number in range(partitions)]
    with administrator(source.brokers) as admin:
        # The ends first: a record that comes between the two questions is then not passed over.
        ends = admin.list_partition_offsets(dict.fromkeys(places, OffsetSpec.LATEST))
        found = admin.list_partition_offsets(dict.fromkeys(places, time_ms))
    if len(ends) != partitions:
        raise TopicUnusable(f"the topic {source.topic} has changed while it was looked at")
    return {
        each.partition: ends[each].offset if found[each].offset == _NONE else found[each].offset
        for each in places
    }
