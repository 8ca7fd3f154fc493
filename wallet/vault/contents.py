"""What a vault holds while it is open, and how that becomes a document and comes back."""

from dataclasses import dataclass, field, replace

import msgspec

from wallet.keys.bip39 import entropy_of, mnemonic_of, seed_of
from wallet.keys.paths import account_path, format_path, parse_path
from wallet.keys.private import ExtendedPrivateKey
from wallet.keys.public import ExtendedPublicKey
from wallet.keys.secret import Secret
from wallet.vault.document import (
    Document,
    KeyEntry,
    Role,
    Sealed,
    data_key_context,
    journal_context,
    seal_context,
    seed_context,
)
from wallet.vault.errors import ColdSeedOnline, VaultDamaged, VaultError
from wallet.vault.keyring import Keyring
from wallet.vault.protection import KEY_BYTES, Entropy, Protection, seal, unseal


@dataclass(frozen=True, kw_only=True)
class Seed:
    """What a phrase and BIP-39's own passphrase stand for."""

    entropy: Secret[bytes]
    passphrase: Secret[str] = field(default_factory=lambda: Secret(""))

    @classmethod
    def new(cls, entropy: Entropy) -> "Seed":
        """Return a new seed of 24 words."""
        return cls(entropy=Secret(entropy(32)))

    @classmethod
    def of_phrase(cls, phrase: Secret[str], passphrase: Secret[str] | None = None) -> "Seed":
        """Return the seed of a phrase. Raises: BadMnemonic."""
        return cls(entropy=entropy_of(phrase), passphrase=passphrase or Secret(""))

    def phrase(self) -> Secret[str]:
        """Return the words."""
        return mnemonic_of(self.entropy.reveal())

    def account(self, path: str) -> ExtendedPrivateKey:
        """Return the account's private key."""
        root = ExtendedPrivateKey.from_seed(seed_of(self.entropy, self.passphrase))
        return root.derive(parse_path(path))


@dataclass(frozen=True, kw_only=True)
class Key:
    """One key; seed is None where only the public half is here."""

    role: Role
    version: int
    path: str
    xpub: ExtendedPublicKey
    seed: Seed | None = None

    @classmethod
    def of_seed(cls, role: Role, seed: Seed, account: int = 0, version: int = 1) -> "Key":
        """Return the key of an account below a seed."""
        path = format_path(account_path(account))
        xpub = seed.account(path).public()
        return cls(role=role, version=version, path=path, xpub=xpub, seed=seed)

    @classmethod
    def watched(cls, role: Role, xpub: ExtendedPublicKey, account: int = 0) -> "Key":
        """Return a key whose seed is elsewhere."""
        return cls(role=role, version=1, path=format_path(account_path(account)), xpub=xpub)


@dataclass(frozen=True, kw_only=True)
class Contents:
    """All that is in a vault."""

    vault_id: str
    generation: int
    journal_key: Secret[bytes]
    keys: tuple[Key, ...]

    @classmethod
    def new(cls, keys: tuple[Key, ...], entropy: Entropy) -> "Contents":
        """Return the contents of a new vault. Raises: ColdSeedOnline."""
        _keep_cold_apart(keys)
        return cls(
            vault_id=entropy(16).hex(),
            generation=1,
            journal_key=Secret(entropy(KEY_BYTES)),
            keys=keys,
        )

    def changed(self, keys: tuple[Key, ...] | None = None) -> "Contents":
        """Return the next generation, with other keys when some are given."""
        return replace(
            self, generation=self.generation + 1, keys=self.keys if keys is None else keys
        )

    def keyring(self) -> Keyring:
        """Return the keys, ready to sign."""
        return Keyring(
            vault_id=self.vault_id,
            generation=self.generation,
            private={key.role: key.seed.account(key.path) for key in self.keys if key.seed},
            public={key.role: key.xpub for key in self.keys},
            journal_key=self.journal_key,
        )


def lock(contents: Contents, protection: Protection, entropy: Entropy) -> Document:
    """Encrypt everything under a new data key, and that under the protection."""
    data_key, vault_id = Secret(entropy(KEY_BYTES)), contents.vault_id
    document = Document(
        vault_id=vault_id,
        generation=contents.generation,
        protection=protection.params,
        data_key=protection.wrap(data_key, data_key_context(vault_id)),
        journal_key=seal(
            data_key, contents.journal_key.reveal(), journal_context(vault_id), entropy
        ),
        keys=tuple(_locked(key, data_key, vault_id, entropy) for key in contents.keys),
        seal=Sealed(b"", b""),
    )
    sealed = seal(data_key, b"", seal_context(document), entropy)
    return msgspec.structs.replace(document, seal=sealed)


def unlock(document: Document, protection: Protection) -> Contents:
    """Decrypt everything, and check that nothing was changed.

    Raises: WrongPassphrase, KeyServiceFailed, VaultDamaged.
    """
    data_key = protection.unwrap(document.data_key, data_key_context(document.vault_id))
    unseal(data_key, document.seal, seal_context(document))
    return Contents(
        vault_id=document.vault_id,
        generation=document.generation,
        journal_key=unseal(data_key, document.journal_key, journal_context(document.vault_id)),
        keys=tuple(_unlocked(entry, data_key, document.vault_id) for entry in document.keys),
    )


def _locked(key: Key, data_key: Secret[bytes], vault_id: str, entropy: Entropy) -> KeyEntry:
    entry = KeyEntry(role=key.role, version=key.version, path=key.path, xpub=key.xpub.text)
    if key.seed is None:
        return entry
    plain = msgspec.msgpack.encode((key.seed.entropy.reveal(), key.seed.passphrase.reveal()))
    sealed = seal(data_key, plain, seed_context(vault_id, entry), entropy)
    return msgspec.structs.replace(entry, seed=sealed)


def _unlocked(entry: KeyEntry, data_key: Secret[bytes], vault_id: str) -> Key:
    xpub = ExtendedPublicKey.parse(entry.xpub)
    seed = None
    if entry.seed is not None:
        plain = unseal(data_key, entry.seed, seed_context(vault_id, entry))
        entropy, passphrase = msgspec.msgpack.decode(plain.reveal(), type=tuple[bytes, str])
        seed = Seed(entropy=Secret(entropy), passphrase=Secret(passphrase))
        if seed.account(entry.path).public() != xpub:
            raise VaultDamaged(f"the public key of {entry.role} is not that of its seed")
    return Key(role=entry.role, version=entry.version, path=entry.path, xpub=xpub, seed=seed)


def with_key(contents: Contents, key: Key) -> Contents:
    """Return the contents with one more key.

    Raises: VaultError: the role has one; a role's key is never replaced in place, for its
    addresses would become unreachable. ColdSeedOnline.
    """
    if any(old.role == key.role for old in contents.keys):
        raise VaultError(f"the vault has a key for {key.role} already")
    if any(old.xpub == key.xpub for old in contents.keys):
        raise VaultError("another role has this key: each role has a seed of its own")
    _keep_cold_apart((*contents.keys, key))
    return contents.changed((*contents.keys, key))


def _keep_cold_apart(keys: tuple[Key, ...]) -> None:
    seeded = {key.role for key in keys if key.seed is not None}
    if Role.COLD in seeded and len(seeded) > 1:
        raise ColdSeedOnline("the cold wallet's seed is in a vault of its own, without other seeds")
