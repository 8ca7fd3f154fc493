"""What the vault's file says. All of it is public or encrypted, and all of it is authenticated."""

from enum import StrEnum
from typing import Final

import msgspec

from wallet.vault.errors import VaultDamaged

FORMAT: Final = 1
FILE_BYTES_MAX: Final = 1024 * 1024
MEMORY_KIB_MAX: Final = 2 * 1024 * 1024
"""A changed file must not make us use all memory before we can see that it was changed."""
MEMORY_KIB_MIN: Final = 8
ITERATIONS_MAX: Final = 64


class Role(StrEnum):
    """What a seed is for. Each has a seed of its own: who gets one does not get the others."""

    DEPOSIT = "deposit"
    """Addresses that clients pay to."""
    HOT = "hot"
    """Pays withdrawals."""
    GAS = "gas"
    """Pays the fees of addresses that hold only tokens."""
    COLD = "cold"
    """Its seed is in a vault of its own, off line; others have the extended public key only."""


ONLINE_ROLES: Final = (Role.DEPOSIT, Role.HOT, Role.GAS)


class Argon2Params(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="argon2id"):
    """How a passphrase becomes a key."""

    salt: bytes
    memory_kib: int
    iterations: int
    lanes: int

    def __post_init__(self) -> None:
        """Refuse what would be no protection, or would never end."""
        if not (
            16 <= len(self.salt) <= 64
            and MEMORY_KIB_MIN * self.lanes <= self.memory_kib <= MEMORY_KIB_MAX
            and 1 <= self.iterations <= ITERATIONS_MAX
            and 1 <= self.lanes <= 16
        ):
            raise ValueError("the parameters of Argon2id are out of range")


class TransitParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="transit"):
    """Which key of a HashiCorp Vault or OpenBao protects this vault."""

    mount: str
    key: str


class Sealed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Bytes under AES-256-GCM."""

    nonce: bytes
    ciphertext: bytes


class KeyEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One key. What is not encrypted is bound to what is.

    path: of the account below the seed. seed: None when only the public key is here.
    """

    role: Role
    version: int
    path: str
    xpub: str
    seed: Sealed | None = None


class Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The whole file.

    generation: counts every change, so that an old copy can be told from the newest.
    data_key: what encrypts all below, itself under the key that `protection` describes.
    journal_key: authenticates the signer's journal.
    seal: the authentication of everything else.
    """

    format: int = FORMAT
    vault_id: str
    generation: int
    protection: Argon2Params | TransitParams
    data_key: bytes
    journal_key: Sealed
    keys: tuple[KeyEntry, ...]
    seal: Sealed

    def without_seal(self) -> bytes:
        """Return what the seal covers."""
        return msgspec.json.encode(msgspec.structs.replace(self, seal=Sealed(b"", b"")))

    def entry(self, role: Role) -> KeyEntry | None:
        """Return the key of a role."""
        return next((entry for entry in self.keys if entry.role == role), None)


def encode(document: Document) -> bytes:
    """Return the file's content: JSON that people can read."""
    return msgspec.json.format(msgspec.json.encode(document), indent=1) + b"\n"


def decode(data: bytes) -> Document:
    """Return the document of a file.

    Raises: VaultDamaged: it has not the form of a vault.
    """
    try:
        document = msgspec.json.decode(data, type=Document)
    except (msgspec.MsgspecError, ValueError):
        raise VaultDamaged("the vault file is damaged: it has not the form of a vault") from None
    if document.format != FORMAT:
        raise VaultDamaged(f"the vault file has format {document.format}; this is for {FORMAT}")
    roles = [entry.role for entry in document.keys]
    if len(set(roles)) != len(roles):
        raise VaultDamaged("the vault file is damaged: a role has two keys")
    return document


def data_key_context(vault_id: str) -> bytes:
    """Return what the encryption of the data key is bound to."""
    return msgspec.json.encode(["foldex vault", FORMAT, "data key", vault_id])


def seed_context(vault_id: str, entry: KeyEntry) -> bytes:
    """Return what the encryption of a seed is bound to: whose it is and where."""
    return msgspec.json.encode(
        [
            "foldex vault",
            FORMAT,
            "seed",
            vault_id,
            entry.role,
            entry.version,
            entry.path,
            entry.xpub,
        ]
    )


def journal_context(vault_id: str) -> bytes:
    """Return what the encryption of the journal's key is bound to."""
    return msgspec.json.encode(["foldex vault", FORMAT, "journal key", vault_id])


def seal_context(document: Document) -> bytes:
    """Return what the seal authenticates."""
    return b"foldex vault seal\0" + document.without_seal()
