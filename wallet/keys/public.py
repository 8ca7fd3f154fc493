"""Extended public keys: addresses without secrets. Source: BIP-32, section CKDpub."""

import hmac
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha512
from typing import Final

from coincurve import PublicKey

from wallet.keys.base58 import decode_check, encode_check
from wallet.keys.errors import BadExtendedKey, BadPath
from wallet.keys.hashes import hash160
from wallet.keys.paths import DEPTH_MAX, HARDENED, Path

XPUB: Final = bytes.fromhex("0488b21e")
XPRV: Final = bytes.fromhex("0488ade4")
ORDER: Final = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
"""Of the curve secp256k1: how many keys there are, plus one."""


@dataclass(frozen=True, kw_only=True)
class ExtendedPublicKey:
    """A public key and its chain code. Who has it sees all addresses below, and can spend nothing.

    It is not for the public, either: with it and ONE private key from below, all private keys of
    the account can be computed. That is why private keys are never exported.
    """

    key: bytes
    """Compressed, 33 bytes."""
    chain_code: bytes
    depth: int = 0
    parent_fingerprint: bytes = bytes(4)
    child_number: int = 0

    @classmethod
    def parse(cls, text: str) -> "ExtendedPublicKey":
        """Return the key that an `xpub…` text stands for.

        Raises: BadExtendedKey: it is none, or it is an extended PRIVATE key (not repeated in the
        message): that must not be outside the vault.
        """
        data = decode_check(text)
        if data[:4] == XPRV:
            raise BadExtendedKey("this is an extended private key: keep it out of here")
        if len(data) != 78 or data[:4] != XPUB:
            raise BadExtendedKey("not an xpub: its first bytes or its length are wrong")
        depth, parent, number = data[4], data[5:9], int.from_bytes(data[9:13], "big")
        if depth == 0 and (number or any(parent)):
            raise BadExtendedKey("not an xpub: a root has no parent")
        return cls(
            key=_checked_point(data[45:]),
            chain_code=data[13:45],
            depth=depth,
            parent_fingerprint=parent,
            child_number=number,
        )

    @cached_property
    def text(self) -> str:
        """The key as `xpub…`."""
        number = self.child_number.to_bytes(4, "big")
        head = XPUB + bytes([self.depth]) + self.parent_fingerprint + number
        return encode_check(head + self.chain_code + self.key)

    @cached_property
    def fingerprint(self) -> bytes:
        """Four bytes that tell keys apart; two keys may share them."""
        return hash160(self.key)[:4]

    def child(self, number: int) -> "ExtendedPublicKey":
        """Return a child key.

        Raises: BadPath: it is hardened, too deep, or (once in 2^127) does not exist.
        """
        if not 0 <= number < HARDENED:
            raise BadPath("a hardened child cannot be derived from a public key")
        if self.depth == DEPTH_MAX:
            raise BadPath(f"a key has {DEPTH_MAX} levels below its seed at most")
        tweak, chain_code = child_tweak(self.chain_code, self.key, number)
        return ExtendedPublicKey(
            key=self._point.add(tweak).format(),
            chain_code=chain_code,
            depth=self.depth + 1,
            parent_fingerprint=self.fingerprint,
            child_number=number,
        )

    def derive(self, path: Path) -> "ExtendedPublicKey":
        """Return the key at a path from here."""
        key = self
        for number in path:
            key = key.child(number)
        return key

    def point(self) -> bytes:
        """Return the public key as a point, 64 bytes: x, y."""
        return self._point.format(compressed=False)[1:]

    def point_of_child(self, number: int) -> bytes:
        """Return a child's public key as a point: what an address needs, in half the time."""
        if not 0 <= number < HARDENED:
            raise BadPath("a hardened child cannot be derived from a public key")
        tweak, _ = child_tweak(self.chain_code, self.key, number)
        return self._point.add(tweak).format(compressed=False)[1:]

    @cached_property
    def _point(self) -> PublicKey:
        return PublicKey(self.key)


def child_tweak(chain_code: bytes, data: bytes, number: int) -> tuple[bytes, bytes]:
    """Return what is added to the parent's key for a child, and the child's chain code."""
    digest = hmac.digest(chain_code, data + number.to_bytes(4, "big"), sha512)
    if int.from_bytes(digest[:32], "big") >= ORDER:
        raise BadPath(f"child {number} does not exist; take the next one")
    return digest[:32], digest[32:]


def _checked_point(key: bytes) -> bytes:
    try:
        return PublicKey(key).format()
    except ValueError:
        raise BadExtendedKey("not an xpub: its key is not a point of the curve") from None
