"""The messages of the topic `events`: one for each event, and progress markers between them.

An event's message has its stream as the key, JSON as the value (`EventMessage`) and two headers:
`position`, that of the event, and `previous`, that of the event before it in the same partition
(0: none), so that a reader can prove that nothing is missing. A marker has no key and the headers
`reached` and `previous`: every event of this partition up to `reached` stands before it.
Numbers in headers are decimal digits. Amounts are JSON integers, as in the view `events` and in
`GET /v1/events`: they may be beyond 2^53.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

import msgspec
from kafka.partitioner.default import murmur2

from domain.events import EVENTS, Event, stream_of
from eventstore.codec import CODEC, UPCASTERS, stored_name
from eventstore.commit import Head, Recorded

POSITION: Final = "position"
PREVIOUS: Final = "previous"
REACHED: Final = "reached"


class BadMessage(ValueError):
    """A message is not what this module encodes; the reader of the topic says where."""


class EventMessage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An event as it is published. data: its fields by name, in ledger units, ticks and lots."""

    position: int
    time_ms: int
    stream: str
    type: str
    data: msgspec.Raw


class Marker(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How far a partition is complete. seal: hex, of the commit that ends with event `reached`."""

    reached: int
    commit: int
    seal: str
    time_ms: int


class _Outgoing(msgspec.Struct, frozen=True, gc=False):
    """What `EventMessage` is before it is encoded."""

    position: int
    time_ms: int
    stream: str
    type: str
    data: dict[str, Any]


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(EventMessage).decode
_decode_marker = msgspec.json.Decoder(Marker).decode
_KINDS: Final[tuple[type[Event], ...]] = (*EVENTS, *UPCASTERS)
_SHAPES: Final = {kind: (stored_name(kind), kind.__struct_fields__) for kind in _KINDS}


def encode_event(position: int, stream: str, event: Event) -> bytes:
    """Return the value of an event's message. stream: as `stream_of` says."""
    name, fields = _SHAPES[type(event)]
    data = dict(zip(fields, msgspec.structs.astuple(event), strict=True))
    return _encode(_Outgoing(position, event.time_ms, stream, name, data))


def encode_marker(head: Head, time_ms: int) -> bytes:
    """Return the value of the marker that ends what was published up to a commit."""
    return _encode(
        Marker(reached=head.position, commit=head.number, seal=head.seal.hex(), time_ms=time_ms)
    )


def decode_event(value: bytes | None) -> Recorded:
    """Return the event in a message, old versions made into today's. Raises: BadMessage."""
    try:
        message = _decode(value or b"")
    except msgspec.DecodeError as error:
        raise BadMessage(f"the value is not an event's message: {error}") from error
    if (reader := _READERS.get(message.type)) is None:
        raise BadMessage(f"this version knows no event {message.type!r}; a newer one may")
    try:
        event = reader.read(message.data)
    except msgspec.DecodeError as error:
        raise BadMessage(f"{message.type} is not as this version knows it: {error}") from error
    if (stream_of(event), event.time_ms) != (message.stream, message.time_ms):
        raise BadMessage("stream or time_ms does not agree with data")
    return Recorded(message.position, CODEC.upcast(event))


def decode_marker(value: bytes | None) -> Marker:
    """Return a marker. Raises: BadMessage."""
    try:
        return _decode_marker(value or b"")
    except msgspec.DecodeError as error:
        raise BadMessage(f"the value is not a marker: {error}") from error


def number_in(headers: Mapping[str, bytes], name: str) -> int:
    """Return the number in a header. Raises: BadMessage: there is none, or it is no number."""
    digits = headers.get(name, b"")
    if not digits.isdigit():
        raise BadMessage(f"there is no header {name!r} with a number")
    return int(digits)


@lru_cache(maxsize=100_000)
def partition_of(stream: str, partitions: int) -> int:
    """Return a stream's partition, as every Kafka client's default partitioner chooses it."""
    return int(murmur2(stream.encode()) & 0x7FFFFFFF) % partitions


def data_type(kind: type[Event]) -> type[msgspec.Struct]:
    """Return the type of `data` in the messages of a kind of event: its fields by name."""
    fields: list[Any] = []
    for field in msgspec.structs.fields(kind):
        default = () if field.default is msgspec.NODEFAULT else (field.default,)
        fields.append((field.name, field.type, *default))
    return msgspec.defstruct(kind.__name__, fields, gc=False, forbid_unknown_fields=True)


class _Reader:
    """Reads the fields of one kind of event from a JSON object, checking every type."""

    def __init__(self, kind: type[Event]) -> None:
        self._kind = kind
        self._decode = msgspec.json.Decoder(data_type(kind)).decode

    def read(self, data: msgspec.Raw) -> Event:
        return self._kind(*msgspec.structs.astuple(self._decode(data)))


_READERS: Final = {stored_name(kind): _Reader(kind) for kind in _KINDS}
