"""The stored form of a commit, and how old forms are read. Pinned by tests/golden.

A record is a msgpack array: format version, number, first position, time in ms, previous seal,
content, seal. The content is compressed msgpack: an array of events, each an array that starts with
its stored name (`order_placed.v1`). Compressed with zlib in format 1 and as an LZ4 frame in format
2 (ADR 10). What is stored is never rewritten: an old version of an event is decoded as the struct
it was and made into today's by its upcaster.
"""

import hashlib
import struct
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Union, cast, get_args

import lz4.frame
import msgspec

from domain.events import AnyEvent, Event
from eventstore.commit import Commit, Head
from eventstore.errors import StoreTooNew

FORMAT_VERSION: Final = 2
TOPIC: Final = "commit.v1"

_UNPACK: Final[Mapping[int, Callable[[bytes], bytes]]] = {
    1: zlib.decompress,
    2: lz4.frame.decompress,
}
"""By format version: what makes content msgpack again."""

Upcaster = Callable[[Any], Event]
UPCASTERS: Final[Mapping[type[Event], Upcaster]] = {}
"""Old version of an event -> what makes the next version of it. Read by every decoder.

To change an event's meaning: keep the old struct (with its tag) beside the new one, add
`OldStruct: function` here, and pin both in tests/golden.
"""

_HEADER = struct.Struct(">QQQQ")
_UPGRADE = "a newer Foldex wrote it; upgrade Foldex to the version that did"


class BadRecord(ValueError):
    """A stored record is not what an encoder wrote; the log says where."""


class Record(msgspec.Struct, frozen=True, array_like=True, gc=False, forbid_unknown_fields=True):
    """A commit as it is stored, its events still packed in `content`."""

    format_version: int
    number: int
    first_position: int
    time_ms: int
    previous_seal: bytes
    content: bytes
    seal: bytes


class _AnyRecord(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What every format version, past or to come, starts with."""

    format_version: int


_encode = msgspec.msgpack.Encoder().encode
_decode_record = msgspec.msgpack.Decoder(Record).decode
_decode_any_record = msgspec.msgpack.Decoder(_AnyRecord).decode


def stored_name(event_class: type[Event]) -> str:
    """Return the name under which events of a class are stored, as `order_placed.v1`."""
    tag = event_class.__struct_config__.tag
    if not isinstance(tag, str):
        raise TypeError(f"{event_class.__name__} has no stored name")
    return tag


def seal_of(header: tuple[int, int, int, int], previous_seal: bytes, content: bytes) -> bytes:
    """Return the SHA-256 that a commit with this header and content carries.

    header: format version, number, first position, time in ms; eight bytes each.
    """
    digest = hashlib.sha256(previous_seal)
    digest.update(_HEADER.pack(*header))
    digest.update(content)
    return digest.digest()


class Codec:
    """Encodes and decodes commits. Holds no state; share one between threads freely."""

    def __init__(self, upcasters: Mapping[type[Event], Upcaster] = UPCASTERS) -> None:
        self._upcasters = dict(upcasters)
        known = (*get_args(AnyEvent), *self._upcasters)
        self._fields = {stored_name(cls): len(cls.__struct_fields__) + 1 for cls in known}
        any_event = cast("type[Event]", Union[known])  # noqa: UP007 (built from a tuple)
        self._decode_events = msgspec.msgpack.Decoder(list[any_event]).decode  # type: ignore[valid-type]

    def encode(self, after: Head, events: Sequence[Event], time_ms: int) -> tuple[Commit, bytes]:
        """Return the commit that follows `after`, and its stored form."""
        content = lz4.frame.compress(_encode(events))
        header = (FORMAT_VERSION, after.number + 1, after.position + 1, time_ms)
        seal = seal_of(header, after.seal, content)
        commit = Commit(
            number=after.number + 1,
            first_position=after.position + 1,
            time_ms=time_ms,
            previous_seal=after.seal,
            seal=seal,
            events=list(events),
        )
        return commit, _encode(Record(*header, after.seal, content, seal))

    def decode_record(self, state: object) -> Record:
        """Return a record whose own seal holds; its place in the chain is the log's to check.

        Raises: BadRecord: not what an encoder wrote; StoreTooNew: of a newer format.
        """
        if not isinstance(state, bytes):  # SQLite lets any column hold anything.
            raise BadRecord(f"the record is of type {type(state).__name__}, not bytes")
        try:
            record = _decode_record(state)
        except msgspec.DecodeError as error:
            raise _unreadable(state, error) from error
        # Msgpack can say one number in several ways: only the encoder's own bytes are accepted.
        if _encode(record) != state:
            raise BadRecord("the record is not in its canonical form")
        if _seal_of_record(record) != record.seal:
            raise BadRecord("the seal does not match the content")
        if record.format_version > FORMAT_VERSION:
            raise _too_new(record.format_version)
        return record

    def decode_events(self, record: Record) -> list[Event]:
        """Return the events of a record, old versions made into today's.

        Raises: StoreTooNew: an event this version does not know; BadRecord: not events.
        """
        try:
            packed = _UNPACK[record.format_version](record.content)
            events: list[Event] = self._decode_events(packed)
        except (zlib.error, RuntimeError) as error:  # LZ4's own errors have no narrower type.
            raise BadRecord(f"the content cannot be decompressed: {error}") from error
        except KeyError:
            raise BadRecord(f"there never was a format {record.format_version}") from None
        except msgspec.DecodeError as error:
            self._refuse_newer_events(packed)
            raise BadRecord(f"the content is not events: {error}") from error
        if not events:
            raise BadRecord("the commit has no events")
        return self._upcast(events) if self._upcasters else events

    def upcast(self, event: Event) -> Event:
        """Return an event as today's version of it."""
        while (upcaster := self._upcasters.get(type(event))) is not None:
            event = upcaster(event)
        return event

    def _upcast(self, events: list[Event]) -> list[Event]:
        upcasters = self._upcasters
        if not any(type(event) in upcasters for event in events):
            return events
        return [self.upcast(event) for event in events]

    def _refuse_newer_events(self, packed: bytes) -> None:
        """Raise StoreTooNew if an event has a name, or more fields, than this version knows."""
        try:
            events = msgspec.msgpack.decode(packed, type=list[list[Any]])
        except msgspec.DecodeError:
            return
        for fields in events:
            name = fields[0] if fields else None
            if isinstance(name, str) and len(fields) > self._fields.get(name, 0):
                raise StoreTooNew(
                    f"the log holds {name!r} as this version does not know it: {_UPGRADE}"
                )


CODEC: Final = Codec()
"""The codec of the running version."""


def _seal_of_record(record: Record) -> bytes:
    header = (record.format_version, record.number, record.first_position, record.time_ms)
    try:
        return seal_of(header, record.previous_seal, record.content)
    except struct.error as error:
        raise BadRecord(f"a number in the header is out of range: {header}") from error


def _unreadable(state: bytes, error: Exception) -> Exception:
    """Return why a record cannot be decoded: a newer format, or damage."""
    try:
        version = _decode_any_record(state).format_version
    except msgspec.DecodeError:
        version = FORMAT_VERSION
    if version > FORMAT_VERSION:
        return _too_new(version)
    return BadRecord(f"the record cannot be decoded: {error}")


def _too_new(version: int) -> StoreTooNew:
    return StoreTooNew(f"the log holds a record of format {version}: {_UPGRADE}")
