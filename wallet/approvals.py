"""An officer's yes to exactly one payment: Ed25519 over everything that matters of it, and when.

The officers' tool makes them, the back office takes only genuine ones and shows them, and the
signer, which trusts neither, verifies them again, by the same rules.
"""

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, Self

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from wallet.types import Address, ChainId, Intent, IntentId, IntentKind, TokenId

DOMAIN: Final = b"foldex approval 2\n"
"""What no other signature of an officer begins with."""
CONTENT_DOMAIN: Final = b"foldex approval 1\n"
"""What the canonical form of a payment begins with; the signer's journal has hashes of it."""
AHEAD_S_MAX: Final = 300
"""How far an officer's clock may be ahead of the signer's: later ones would last too long."""


_TIME: Final = re.compile("[0-9]{1,15}")


class Approval(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An officer's signature, 64 bytes. approved_ms: since 1970, by the officer's clock."""

    officer: str
    approved_ms: int
    signature: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Officers:
    """Who may approve, by the signer's policy. age_s_max: how long an approval is good for."""

    keys: Mapping[str, bytes]
    age_s_max: int

    def is_genuine(self, approval: Approval, intent: Intent) -> bool:
        """Return whether one of them made this approval for exactly this payment."""
        key = self.keys.get(approval.officer)
        return key is not None and is_valid(approval, key, intent)

    def is_from_the_future(self, approval: Approval, now_ms: int) -> bool:
        """Return whether it is dated later than any clock that is right could say."""
        return approval.approved_ms > now_ms + AHEAD_S_MAX * 1000

    def has_expired(self, approval: Approval, now_ms: int) -> bool:
        """Return whether it is too old to count."""
        return approval.approved_ms + self.age_s_max * 1000 <= now_ms


class IntentText(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An intent as files and messages have it: amounts as text, for they exceed 64 bits."""

    id: str
    kind: IntentKind
    chain: str
    to: str | None = None
    tag: int | None = None
    token: str | None = None
    amount: str = "0"
    data: bytes = b""

    @classmethod
    def of(cls, intent: Intent) -> Self:
        """Return the text form of an intent."""
        return cls(
            id=intent.id,
            kind=intent.kind,
            chain=intent.chain,
            to=intent.to,
            tag=intent.tag,
            token=intent.token,
            amount=str(intent.amount),
            data=intent.data,
        )

    def intent(self) -> Intent:
        """Return the intent. Raises: ValueError: its parts do not fit each other."""
        if not self.amount.isascii() or not self.amount.isdigit() or len(self.amount) > 78:
            raise ValueError("an amount is a whole number of the smallest unit")
        return Intent(
            id=IntentId(self.id),
            kind=self.kind,
            chain=ChainId(self.chain),
            to=None if self.to is None else Address(self.to),
            tag=self.tag,
            token=None if self.token is None else TokenId(self.token),
            amount=int(self.amount),
            data=self.data,
        )


def canonical(intent: Intent) -> bytes:
    """Return what a payment is: the same bytes for the same one, other ones for any other."""
    parts = {
        "amount": str(intent.amount),
        "chain": intent.chain,
        "data": sha256(intent.data).hexdigest(),
        "id": intent.id,
        "kind": intent.kind.value,
        "tag": None if intent.tag is None else str(intent.tag),
        "to": None if intent.to is None else intent.to.lower(),
        "token": None if intent.token is None else intent.token.lower(),
    }
    return CONTENT_DOMAIN + msgspec.json.encode(parts)


def content_hash(intent: Intent) -> str:
    """Return a short name of exactly this payment."""
    return sha256(canonical(intent)).hexdigest()


def approve(key: Ed25519PrivateKey, officer: str, intent: Intent, *, approved_ms: int) -> Approval:
    """Return an officer's approval. approved_ms: now, since 1970."""
    return Approval(officer, approved_ms, key.sign(_signed(intent, approved_ms)))


def is_valid(approval: Approval, public_key: bytes, intent: Intent) -> bool:
    """Return whether this approval was made with this key for exactly this payment."""
    try:
        signed = _signed(intent, approval.approved_ms)
        Ed25519PublicKey.from_public_bytes(public_key).verify(approval.signature, signed)
    except (InvalidSignature, ValueError):
        return False
    return True


def format_approval(approval: Approval) -> str:
    """Return an approval as officers hand it in: `name:milliseconds:base64`."""
    signature = base64.b64encode(approval.signature).decode()
    return f"{approval.officer}:{approval.approved_ms}:{signature}"


def parse_approval(text: str) -> Approval:
    """Return the approval of a text. Raises: ValueError."""
    parts = text.strip().split(":")
    if len(parts) != 3 or not parts[0] or not _TIME.fullmatch(parts[1]):
        raise ValueError("an approval has the form NAME:MILLISECONDS:BASE64")
    raw = base64.b64decode(parts[2], validate=True)
    if len(raw) != 64:
        raise ValueError("an approval's signature has 64 bytes")
    return Approval(parts[0], int(parts[1]), raw)


def _signed(intent: Intent, approved_ms: int) -> bytes:
    return DOMAIN + f"{approved_ms}\n".encode() + canonical(intent)
