"""Reads the records of one partition: what is new in them, and proof that nothing is missing."""

import logging
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from domain.events import Event, MarketEvent
from eventstore.kafka_brokers import Brokers
from eventstore.kafka_errors import BusError, PoisonRecord, RecordsLost
from eventstore.kafka_writer import TopicWriter
from eventstore.messages import (
    POSITION,
    PREVIOUS,
    REACHED,
    BadMessage,
    Marker,
    decode_event,
    decode_marker,
    number_in,
    partition_of,
)
from projections.kafka_offsets import Reached

REPORTED_CHARACTERS_MAX: Final = 100_000
"""Of a bad record's value in the topic `errors`."""

_log = logging.getLogger(__name__)


class BadRecord(Exception):
    """A record that stops the worker. error: what it stops with. record: as the client read it."""

    def __init__(self, error: PoisonRecord | RecordsLost, record: Any) -> None:
        super().__init__(error.detail)
        self.error = error
        self.record = record


class ErrorMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A message of the topic `errors`: what was asked, in `request`, and why it was not done."""

    type: str
    request: Any
    error_code: str
    error_message: str


class ReportedRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A record as it is reported; what is not UTF-8 in it is escaped."""

    topic: str
    partition: int
    offset: int
    key: str | None
    headers: dict[str, str]
    value: str | None


def read_records(
    records: Sequence[Any], reached: Reached
) -> tuple[list[tuple[int, Event]], Reached]:
    """Return the events of markets that are new, with their positions, and how far it is then.

    records: of one partition, in order. Repeats, which every restart of a publisher may bring,
    are known by their position and passed over.
    Raises: BadRecord: one is not a publisher's, or something is missing before it.
    """
    events: list[tuple[int, Event]] = []
    offset, position, time_ms, commit, seal = msgspec.structs.astuple(reached)
    for record in records:
        if record.offset != offset:
            raise _lost(record, f"the records from offset {offset} on are gone")
        offset += 1
        try:
            at, previous, content = _read(record)
        except BadMessage as error:
            raise _poison(record, str(error)) from error
        if at <= position:
            continue
        if previous > position:
            raise _lost(record, f"event {previous} is missing; event {position} is the last there")
        position, time_ms = at, content.time_ms
        if isinstance(content, MarketEvent):
            events.append((at, content))
        elif isinstance(content, Marker):
            commit, seal = content.commit, content.seal
    return events, Reached(offset, position, time_ms, commit, seal)


def _read(record: Any) -> tuple[int, int, Event | Marker]:
    """Return a record's position, the one before it in its partition, and what it says."""
    headers = dict(record.headers)
    content: Event | Marker
    if REACHED in headers:
        content = decode_marker(record.value)
        said, at = content.reached, number_in(headers, REACHED)
    else:
        said, content = decode_event(record.value)
        at = number_in(headers, POSITION)
    if said != at:
        raise BadMessage("header and value do not agree on the position")
    return at, number_in(headers, PREVIOUS), content


def report(brokers: Brokers, topic: str, bad: BadRecord) -> None:
    """Write a bad record and what is wrong with it to the topic `errors`."""
    record, error = bad.record, bad.error
    message = ErrorMessage(
        type="event",
        request=ReportedRecord(
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            key=_text(record.key),
            headers={name: _text(value) or "" for name, value in record.headers},
            value=_text(record.value),
        ),
        error_code=error.code,
        error_message=error.detail,
    )
    key = f"{record.topic}/{record.partition}/{record.offset}"
    try:
        writer = TopicWriter(brokers, topic)
        try:
            partition = partition_of(key, writer.partitions)
            value = msgspec.json.encode(message)
            writer.add(partition, key.encode(), value, (), record.timestamp)
            writer.flush()
        finally:
            writer.close()
    except BusError as unreported:
        _log.error("%s could not be reported to %s: %s", key, topic, unreported)


def _text(raw: bytes | None) -> str | None:
    if raw is None:
        return None
    return raw.decode("utf-8", "backslashreplace")[:REPORTED_CHARACTERS_MAX]


def _poison(record: Any, reason: str) -> BadRecord:
    return BadRecord(PoisonRecord(record.topic, record.partition, record.offset, reason), record)


def _lost(record: Any, reason: str) -> BadRecord:
    detail = (
        f"{record.topic}, partition {record.partition}, offset {record.offset}: {reason}; rebuild"
        " the views from the store"
    )
    return BadRecord(RecordsLost(detail), record)
