"""An officer's yes to exactly one payment: Ed25519 over everything that matters of it.

The officers' tool makes them, the back office shows them, and the signer, which trusts neither,
verifies them.
"""

import base64
from hashlib import sha256
from typing import Final

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from wallet.types import Address, ChainId, Intent, IntentId, IntentKind, TokenId

DOMAIN: Final = b"foldex approval 1\n"
"""What no other signature of an officer begins with."""


class Approval(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An officer's signature of `canonical(intent)`, 64 bytes."""

    officer: str
    signature: bytes


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
    def of(cls, intent: Intent) -> "IntentText":
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
    """Return what officers sign: the same bytes for the same payment, other ones for any other."""
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
    return DOMAIN + msgspec.json.encode(parts)


def content_hash(intent: Intent) -> str:
    """Return a short name of exactly this payment."""
    return sha256(canonical(intent)).hexdigest()


def approve(key: Ed25519PrivateKey, officer: str, intent: Intent) -> Approval:
    """Return an officer's approval."""
    return Approval(officer, key.sign(canonical(intent)))


def is_valid(approval: Approval, public_key: bytes, intent: Intent) -> bool:
    """Return whether this approval was made with this key for exactly this payment."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(approval.signature, canonical(intent))
    except (InvalidSignature, ValueError):
        return False
    return True


def format_approval(approval: Approval) -> str:
    """Return an approval as officers hand it in: `name:base64`."""
    return f"{approval.officer}:{base64.b64encode(approval.signature).decode()}"


def parse_approval(text: str) -> Approval:
    """Return the approval of a text. Raises: ValueError."""
    officer, separator, signature = text.strip().rpartition(":")
    raw = base64.b64decode(signature, validate=True)
    if not officer or not separator or len(raw) != 64:
        raise ValueError("an approval has the form NAME:BASE64")
    return Approval(officer, raw)
