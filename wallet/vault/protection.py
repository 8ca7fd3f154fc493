"""Protect a vault's data key by a passphrase (Argon2id) or by a key service."""

from collections.abc import Callable
from typing import Final, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from wallet.keys.secret import Secret
from wallet.vault.document import Argon2Params, Sealed, TransitParams
from wallet.vault.errors import VaultDamaged, WeakPassphrase, WrongPassphrase

KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
PASSPHRASE_CHARS_MIN: Final = 12
PASSPHRASE_CHARS_MAX: Final = 1024
MEMORY_KIB: Final = 64 * 1024
"""64 MiB and three passes: RFC 9106's second recommendation; 0.15 s on one core."""

Entropy = Callable[[int], bytes]
"""Random bytes; `os.urandom` everywhere but in tests."""


class Protection(Protocol):
    """What a vault's data key is encrypted under, without being in the vault."""

    @property
    def params(self) -> Argon2Params | TransitParams:
        """What the vault's file says about it."""

    def wrap(self, data_key: Secret[bytes], context: bytes) -> bytes:
        """Return the data key, encrypted and bound to a context."""

    def unwrap(self, wrapped: bytes, context: bytes) -> Secret[bytes]:
        """Return the data key. Raises: WrongPassphrase, KeyServiceFailed."""


class PassphraseProtection:
    """A key that Argon2id makes of a passphrase."""

    def __init__(self, passphrase: Secret[str], params: Argon2Params, entropy: Entropy) -> None:
        self._passphrase = passphrase
        self._params = params
        self._entropy = entropy

    @classmethod
    def new(
        cls, passphrase: Secret[str], entropy: Entropy, memory_kib: int = MEMORY_KIB
    ) -> "PassphraseProtection":
        """Return the protection of a new passphrase, with a salt of its own."""
        chars = len(passphrase.reveal())
        if not PASSPHRASE_CHARS_MIN <= chars <= PASSPHRASE_CHARS_MAX:
            raise WeakPassphrase(f"a passphrase has {PASSPHRASE_CHARS_MIN} characters at least")
        salt = entropy(16)
        params = Argon2Params(salt=salt, memory_kib=memory_kib, iterations=3, lanes=4)
        return cls(passphrase, params, entropy)

    @property
    def params(self) -> Argon2Params:
        """Salt and cost."""
        return self._params

    def wrap(self, data_key: Secret[bytes], context: bytes) -> bytes:
        """Return nonce and ciphertext."""
        sealed = seal(self._key(), data_key.reveal(), context, self._entropy)
        return sealed.nonce + sealed.ciphertext

    def unwrap(self, wrapped: bytes, context: bytes) -> Secret[bytes]:
        """Return the data key."""
        sealed = Sealed(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:])
        try:
            return unseal(self._key(), sealed, context)
        except VaultDamaged:
            raise WrongPassphrase(
                "the passphrase is wrong (or the head of the vault file was changed)"
            ) from None

    def _key(self) -> Secret[bytes]:
        kdf = Argon2id(
            salt=self._params.salt,
            length=KEY_BYTES,
            iterations=self._params.iterations,
            lanes=self._params.lanes,
            memory_cost=self._params.memory_kib,
        )
        return Secret(kdf.derive(self._passphrase.reveal().encode()))


def seal(key: Secret[bytes], data: bytes, context: bytes, entropy: Entropy) -> Sealed:
    """Encrypt with AES-256-GCM; the context is authenticated, not contained."""
    nonce = entropy(NONCE_BYTES)
    return Sealed(nonce, AESGCM(key.reveal()).encrypt(nonce, data, context))


def unseal(key: Secret[bytes], sealed: Sealed, context: bytes) -> Secret[bytes]:
    """Decrypt.

    Raises: VaultDamaged: the key, the data or the context is another one.
    """
    try:
        return Secret(AESGCM(key.reveal()).decrypt(sealed.nonce, sealed.ciphertext, context))
    except (InvalidTag, ValueError):
        raise VaultDamaged("the vault file is damaged or was changed") from None
