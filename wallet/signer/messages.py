"""What clients and the signer say to each other: frames of MessagePack on a UNIX socket.

A frame is its length in four bytes, big-endian, and a message. Every request has one answer, in
order.
"""

import socket
import struct
from typing import Final

import msgspec

from wallet.approvals import Approval, IntentText

FRAME_BYTES_MAX: Final = 512 * 1024
LENGTH: Final = struct.Struct(">I")


class BadFrame(Exception):
    """What came is no message, or longer than any."""


class _Message(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag=True):
    """Messages are told apart by their names."""


class JournalMark(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A place in the signer's journal: how many records, and the hash of the last of them."""

    count: int
    seal: bytes


class _Ask(_Message, frozen=True, kw_only=True):
    """known: how far whoever asks has seen the journal; it must not be behind that."""

    known: JournalMark | None = None


class _Answer(_Message, frozen=True, kw_only=True):
    """at: how far the journal is, with what this answer is about."""

    at: JournalMark | None = None


class AskStatus(_Ask, frozen=True, kw_only=True):
    """How is the signer?"""


class AskXpub(_Ask, frozen=True, kw_only=True):
    """What is the extended public key of a role?"""

    role: str


class AskRequirement(_Ask, frozen=True, kw_only=True):
    """Whose approvals does the policy want for this payment?"""

    intent: IntentText


class SlotText(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A slot: chain, owner and anchor."""

    chain: str
    owner: str
    anchor: str


class AskSignature(_Ask, frozen=True, kw_only=True):
    """Sign this transaction, which does what the intent says.

    index, to_index: which deposit address sends it or is paid by it, if one does or is.
    """

    intent: IntentText
    slot: SlotText
    raw: bytes
    approvals: tuple[Approval, ...] = ()
    index: int | None = None
    to_index: int | None = None


class AskMessage(_Ask, frozen=True, kw_only=True):
    """Sign this text with an address of ours, to prove that we have it."""

    role: str
    index: int
    text: str


class Status(_Answer, frozen=True, kw_only=True):
    """position, head: how many records the journal has, and the last one's hash.

    policy: its hash. rules: what it allows, each as `rule_name` spells it; all else is denied.
    hardening: what the operating system keeps the process from.
    """

    vault_id: str
    generation: int
    policy: str
    chains: tuple[str, ...]
    roles: tuple[str, ...]
    stopped: bool
    position: int
    head: str
    hardening: tuple[str, ...]
    rules: tuple[str, ...] = ()


class Xpub(_Answer, frozen=True, kw_only=True):
    """An extended public key."""

    text: str


class Signature(_Answer, frozen=True, kw_only=True):
    """A signed transaction and its hash."""

    raw: bytes
    txid: str


class OfficerText(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An officer, and the public key: Ed25519, 32 bytes."""

    name: str
    key: bytes


class RequirementText(_Answer, frozen=True, kw_only=True):
    """needed: how many of the officers. age_s_max: how long an approval counts."""

    officers: tuple[OfficerText, ...]
    needed: int
    age_s_max: int


class MessageSignature(_Answer, frozen=True, kw_only=True):
    """An address and its signature of a text (65 bytes)."""

    address: str
    signature: bytes


class No(_Answer, frozen=True, kw_only=True):
    """It was refused. code: a Denial."""

    code: str
    message: str


class Behind(_Answer, frozen=True, kw_only=True):
    """The journal is not the one that the asker knows, or an older copy: nothing was done."""

    message: str


class Failed(_Message, frozen=True, kw_only=True):
    """The signer cannot work and stops."""

    message: str


Ask = AskStatus | AskXpub | AskRequirement | AskSignature | AskMessage
Sealed = Status | Xpub | RequirementText | Signature | MessageSignature | No | Behind
"""Answers that say where the journal is."""
Answer = Sealed | Failed


def rule_name(chain: str, kind: str, token: str | None) -> str:
    """Return what tells rules apart. token: a contract's address; none for the chain's own coin."""
    return f"{kind} of {token.lower() if token else 'coins'} on {chain}"


def send(connection: socket.socket, message: Ask | Answer) -> None:
    """Send one message. Raises: BadFrame: it is too long; OSError."""
    data = msgspec.msgpack.encode(message)
    if len(data) > FRAME_BYTES_MAX:
        raise BadFrame(f"a message of {len(data)} bytes is too long")
    connection.sendall(LENGTH.pack(len(data)) + data)


def receive(connection: socket.socket) -> bytes | None:
    """Return the next frame; None when the other side has ended.

    Raises: BadFrame: it is cut short or too long; OSError, TimeoutError.
    """
    head = _exactly(connection, LENGTH.size)
    if not head:
        return None
    (length,) = LENGTH.unpack(head)
    if length > FRAME_BYTES_MAX:
        raise BadFrame(f"a message of {length} bytes is too long")
    data = _exactly(connection, length)
    if len(data) != length:
        raise BadFrame("a message was cut short")
    return data


def _exactly(connection: socket.socket, size: int) -> bytes:
    parts, missing = [], size
    while missing:
        part = connection.recv(missing)
        if not part:
            break
        parts.append(part)
        missing -= len(part)
    if parts and missing:
        raise BadFrame("a message was cut short")
    return b"".join(parts)
