"""Opens stored rows as commits, checking that each is whole and follows the one before it."""

from eventsourcing.persistence import StoredEvent

from eventstore.codec import TOPIC, BadRecord, Codec, Record
from eventstore.commit import Commit, Head
from eventstore.errors import StoreDamaged, StoreTooNew


def open_next(codec: Codec, row: StoredEvent, previous: Head) -> Commit:
    """Return the commit in a row that must follow `previous`.

    Raises: StoreDamaged: it does not follow, or is not what was written; StoreTooNew.
    """
    position = previous.position + 1
    number = previous.number + 1
    if row.originator_version != number:
        detail = f"commit {number} is missing; commit {row.originator_version} comes next"
        raise StoreDamaged(position, detail)
    record = open_record(codec, row, position)
    if record.first_position != position:
        detail = f"commit {number} says it starts at event {record.first_position}"
        raise StoreDamaged(position, detail)
    if record.previous_seal != previous.seal:
        detail = f"commit {number} does not carry the seal of commit {previous.number}"
        raise StoreDamaged(position, detail)
    return _commit(codec, record, position)


def open_alone(codec: Codec, row: StoredEvent) -> Commit:
    """Return the commit in a row, without the one before it. Raises: as `open_next`."""
    record = open_record(codec, row, 1)
    return _commit(codec, record, record.first_position)


def open_record(codec: Codec, row: StoredEvent, position: int) -> Record:
    """Return a row's record, its own seal checked. `position`: what to name when it is bad."""
    number = row.originator_version
    if row.topic != TOPIC:
        raise StoreTooNew(f"commit {number} is stored as {row.topic!r}: upgrade Foldex to read it")
    try:
        record = codec.decode_record(row.state)
    except BadRecord as error:
        raise StoreDamaged(position, f"commit {number}: {error}") from error
    if record.number != number:
        detail = f"in the place of commit {number} there is commit {record.number}"
        raise StoreDamaged(position, detail)
    return record


def _commit(codec: Codec, record: Record, position: int) -> Commit:
    try:
        events = codec.decode_events(record)
    except BadRecord as error:
        raise StoreDamaged(position, f"commit {record.number}: {error}") from error
    return Commit(
        number=record.number,
        first_position=record.first_position,
        time_ms=record.time_ms,
        previous_seal=record.previous_seal,
        seal=record.seal,
        events=events,
    )
