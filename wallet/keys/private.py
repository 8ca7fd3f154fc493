"""Extended private keys: they sign, and never leave. Source: BIP-32, section CKDpriv."""

import hmac
from hashlib import sha512
from typing import Final, NoReturn

from coincurve import PrivateKey

from wallet.keys.errors import BadPath, KeysError
from wallet.keys.hashes import hash160
from wallet.keys.paths import DEPTH_MAX, HARDENED, Path
from wallet.keys.public import ORDER, ExtendedPublicKey, child_tweak
from wallet.keys.secret import Secret

SEED_BYTES: Final = range(16, 65)


class ExtendedPrivateKey:
    """A private key and its chain code. It derives, signs and gives its public half; no more.

    There is no method that writes it down: one exported child and the account's xpub give away the
    account. What is kept is the seed, encrypted, in the vault.
    """

    __slots__ = ("_chain_code", "_depth", "_key", "_number", "_parent_fingerprint")

    def __init__(self, key: PrivateKey, chain_code: bytes) -> None:
        self._key = key
        self._chain_code = chain_code
        self._depth = 0
        self._parent_fingerprint = bytes(4)
        self._number = 0

    @classmethod
    def from_seed(cls, seed: Secret[bytes]) -> "ExtendedPrivateKey":
        """Return the root key of a seed."""
        if len(seed.reveal()) not in SEED_BYTES:
            raise KeysError("a seed has 16 to 64 bytes")
        digest = hmac.digest(b"Bitcoin seed", seed.reveal(), sha512)
        if not 0 < int.from_bytes(digest[:32], "big") < ORDER:
            raise KeysError("this seed has no key; take another one")
        return cls(PrivateKey(digest[:32]), digest[32:])

    def child(self, number: int) -> "ExtendedPrivateKey":
        """Return a child key; HARDENED is added to `number` for a hardened one."""
        if not 0 <= number < 2 * HARDENED or self._depth == DEPTH_MAX:
            raise BadPath(f"there is no child {number} here")
        public = self._key.public_key.format()
        hardened = number >= HARDENED
        data = b"\0" + self._key.secret if hardened else public
        tweak, chain_code = child_tweak(self._chain_code, data, number)
        child = ExtendedPrivateKey(self._key.add(tweak), chain_code)
        child._depth = self._depth + 1
        child._parent_fingerprint = hash160(public)[:4]
        child._number = number
        return child

    def derive(self, path: Path) -> "ExtendedPrivateKey":
        """Return the key at a path from here."""
        key = self
        for number in path:
            key = key.child(number)
        return key

    def public(self) -> ExtendedPublicKey:
        """Return what online processes may have of this key."""
        return ExtendedPublicKey(
            key=self._key.public_key.format(),
            chain_code=self._chain_code,
            depth=self._depth,
            parent_fingerprint=self._parent_fingerprint,
            child_number=self._number,
        )

    def sign(self, digest: bytes) -> bytes:
        """Return a signature of 65 bytes: r, s and the recovery number (0 or 1).

        The same digest always has the same signature (RFC 6979), and s is in the lower half.
        """
        assert len(digest) == 32, "a digest has 32 bytes"
        return self._key.sign_recoverable(digest, hasher=None)

    def __repr__(self) -> str:
        return f"<private key, depth {self._depth}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a private key is neither pickled nor copied")
