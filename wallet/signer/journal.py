"""The signer's memory: an append-only file of records, each chained to the one before by its hash.

A line is the record's hash, a space and the record as JSON. Beside it the head file says how many
records there are and the last one's hash, authenticated with a key of the vault: who can write
these files but has not the vault can neither change a record nor cut off the end.

Order of writing: the record, fsync, the head, fsync; only then does a signature leave. A crash in
between leaves one record that the head does not know: nobody has seen its signature.
"""

import fcntl
import hmac
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

import msgspec

from wallet.signer.records import Record

FILE: Final = "journal.jsonl"
HEAD: Final = "journal.head"
SEAL_BYTES: Final = 32
GENESIS: Final = bytes(SEAL_BYTES)
HEAD_BYTES: Final = 256
"""Each of the two places that the head is written to in turn: a torn write spoils one."""
LINE_BYTES_MAX: Final = 1024 * 1024

Authenticate = Callable[[bytes], bytes]


class JournalError(Exception):
    """The journal cannot be trusted or written: nothing may be signed."""


class NoJournal(JournalError):
    """There is none. A signer without memory could pay twice, so it does not start by itself."""


class JournalInUse(JournalError):
    """Another signer has it."""


class JournalDamaged(JournalError):
    """It was changed or cut short."""


@dataclass(frozen=True, slots=True)
class Position:
    """How many records there are, and the hash of the last one."""

    count: int
    hash: bytes

    def following(self, data: bytes) -> "Position":
        """Return the position after one more record."""
        return Position(self.count + 1, sha256(self.hash + data).digest())


START: Final = Position(0, GENESIS)


class Journal:
    """The open journal; one process at a time has it."""

    def __init__(self, directory: Path, authenticate: Authenticate) -> None:
        self._authenticate = authenticate
        self._file = _locked(directory)
        self._head = -1
        try:
            self._head = os.open(directory / HEAD, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            self.close()
            raise damaged(directory, "its head file is missing") from None
        self._directory = directory
        self._broken = False
        self._seals = bytearray()
        self.position = START

    @classmethod
    def create(cls, directory: Path, authenticate: Authenticate) -> None:
        """Make an empty journal. Raises: JournalError: there is one."""
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        try:
            for name, data in ((FILE, b""), (HEAD, _head_line(START, authenticate))):
                descriptor = os.open(directory / name, flags, 0o600)
                os.write(descriptor, data)
                os.fsync(descriptor)
                os.close(descriptor)
        except FileExistsError:
            raise JournalError(f"there is a journal in {directory} already") from None
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        os.fsync(descriptor)
        os.close(descriptor)

    def replay(self) -> Iterator[Record]:
        """Yield every record, checking each; afterwards the journal can be written.

        Raises: JournalDamaged: what is wrong, at which record, and what to do.
        """
        head = read_head(self._directory, self._authenticate)
        reached_head = head == START
        for record, position in records(self._directory):
            self._move_to(position)
            reached_head = reached_head or position == head
            yield record
        if not reached_head:
            raise damaged(
                self._directory,
                f"it has {self.position.count} records, and not the ones that its head names"
                f" ({head.count})",
            )
        if self.position.count > head.count + 1:
            raise damaged(
                self._directory, f"records after {head.count + 1} are not from the signer"
            )
        self._drop_torn_end()
        self._write_head()

    def append(self, record: Record) -> None:
        """Make a record durable. Raises: JournalError: it may not be; the signer must stop."""
        if self._broken:
            raise JournalError("the journal could not be written before: restart the signer")
        self._broken = True
        data = msgspec.json.encode(record)
        position = self.position.following(data)
        try:
            _write_all(self._file, position.hash.hex().encode() + b" " + data + b"\n")
            os.fdatasync(self._file)
            self._move_to(position)
            self._write_head()
        except OSError as error:
            raise JournalError(f"the journal cannot be written: {error.strerror}") from None
        self._broken = False

    def has(self, position: Position) -> bool:
        """Return whether this journal once ended there: else it is an older copy, or another."""
        if not 0 <= position.count <= self.position.count:
            return False
        end = position.count * SEAL_BYTES
        return position == START or self._seals[end - SEAL_BYTES : end] == position.hash

    def close(self) -> None:
        """Let another process have it."""
        for descriptor in (self._file, self._head):
            if descriptor >= 0:
                os.close(descriptor)
        self._file = self._head = -1

    def _move_to(self, position: Position) -> None:
        """Note the next record. A million of them take 32 MB."""
        self._seals += position.hash
        self.position = position

    def _write_head(self) -> None:
        line = _head_line(self.position, self._authenticate)
        os.pwrite(self._head, line, self.position.count % 2 * HEAD_BYTES)
        os.fdatasync(self._head)

    def _drop_torn_end(self) -> None:
        """Cut off half a line, which a power cut left: its signature never left."""
        whole = _whole_bytes(self._directory / FILE)
        if whole != os.fstat(self._file).st_size:
            os.ftruncate(self._file, whole)
            os.fsync(self._file)


def records(directory: Path) -> Iterator[tuple[Record, Position]]:
    """Yield every whole record and the position after it, checking the chain of hashes.

    Raises: NoJournal, JournalDamaged.
    """
    position = START
    decoder: msgspec.json.Decoder[Record] = msgspec.json.Decoder(Record)
    try:
        file = (directory / FILE).open("rb")
    except FileNotFoundError:
        raise NoJournal(_no_journal(directory)) from None
    with file:
        while (line := file.readline(LINE_BYTES_MAX)).endswith(b"\n"):
            found, _, data = line[:-1].partition(b" ")
            position = position.following(data)
            if found != position.hash.hex().encode():
                raise damaged(directory, f"record {position.count} was changed or is not in place")
            try:
                record = decoder.decode(data)
            except msgspec.MsgspecError:
                raise damaged(directory, f"record {position.count} is of another version") from None
            yield record, position


def read_head(directory: Path, authenticate: Authenticate | None) -> Position:
    """Return what the head file says; without a key it is believed.

    Raises: JournalDamaged: neither of its places is whole and authentic.
    """
    try:
        data = (directory / HEAD).read_bytes()
    except FileNotFoundError:
        raise damaged(directory, "its head file is missing") from None
    places = (data[at : at + HEAD_BYTES] for at in (0, HEAD_BYTES))
    found = [position for place in places if (position := _position(place, authenticate))]
    if not found:
        raise damaged(directory, "its head is not authentic: it was changed, or is another vault's")
    return max(found, key=lambda position: position.count)


def _head_line(position: Position, authenticate: Authenticate) -> bytes:
    text = f"{position.count} {position.hash.hex()}".encode()
    line = text + b" " + authenticate(b"foldex journal head\n" + text).hex().encode() + b"\n"
    return line.ljust(HEAD_BYTES, b" ")


def _position(place: bytes, authenticate: Authenticate | None) -> Position | None:
    text, _, code = place.partition(b"\n")[0].rpartition(b" ")
    if authenticate is not None:
        wanted = authenticate(b"foldex journal head\n" + text).hex().encode()
        if not hmac.compare_digest(code, wanted):
            return None
    try:
        count, last = text.decode("ascii").split(" ")
        return Position(int(count), bytes.fromhex(last))
    except ValueError:
        return None


def _locked(directory: Path) -> int:
    try:
        descriptor = os.open(directory / FILE, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
    except FileNotFoundError:
        raise NoJournal(_no_journal(directory)) from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise JournalInUse(f"another signer uses the journal in {directory}") from None
    return descriptor


def _whole_bytes(path: Path) -> int:
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        tail_at = max(0, size - LINE_BYTES_MAX)
        file.seek(tail_at)
        return tail_at + file.read().rfind(b"\n") + 1


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def damaged(directory: Path, what: str) -> JournalDamaged:
    """Return the error for a journal that cannot be trusted, with what to do."""
    return JournalDamaged(
        f"the journal in {directory} is damaged: {what}. Nothing is signed. Find out who changed"
        " it; then bring back its newest copy, both files. Never start with a new one: the signer"
        " would forget whom it has paid (docs/security.md, the signer's journal)"
    )


def _no_journal(directory: Path) -> str:
    return (
        f"there is no journal in {directory}. For a new vault make one with `signer init`; if there"
        " was one, bring it back: without it the signer would forget whom it has paid"
    )
