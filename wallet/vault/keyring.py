"""The keys of an open vault: they sign and show their public halves, and nothing else."""

import hmac
from collections.abc import Mapping
from hashlib import sha256
from typing import NoReturn

from wallet.keys.errors import KeysError
from wallet.keys.ethereum import address_of
from wallet.keys.paths import address_path
from wallet.keys.private import ExtendedPrivateKey
from wallet.keys.public import ExtendedPublicKey
from wallet.keys.secret import Secret
from wallet.vault.document import Role


class Keyring:
    """The account keys of each role."""

    def __init__(
        self,
        *,
        vault_id: str,
        generation: int,
        private: Mapping[Role, ExtendedPrivateKey],
        public: Mapping[Role, ExtendedPublicKey],
        journal_key: Secret[bytes],
    ) -> None:
        self.vault_id = vault_id
        self.generation = generation
        self._private = dict(private)
        self._public = dict(public)
        self._journal_key = journal_key

    @property
    def roles(self) -> tuple[Role, ...]:
        """The roles that have a key here, also those that cannot sign."""
        return tuple(self._public)

    def can_sign(self, role: Role) -> bool:
        """Return whether the seed of a role is here, and not its public key alone."""
        return role in self._private

    def xpub(self, role: Role) -> ExtendedPublicKey:
        """Return what online processes may know of a role. Raises: KeysError: there is none."""
        if role not in self._public:
            raise KeysError(f"the vault has no key for {role}")
        return self._public[role]

    def address(self, role: Role, index: int) -> str:
        """Return an address of a role."""
        return address_of(self.xpub(role).derive(address_path(index)))

    def sign(self, role: Role, index: int, digest: bytes) -> bytes:
        """Return the signature of a 32-byte digest: r, s, recovery number (65 bytes)."""
        if role not in self._private:
            raise KeysError(f"the vault cannot sign for {role}")
        return self._private[role].derive(address_path(index)).sign(digest)

    def authenticate(self, data: bytes) -> bytes:
        """Return 32 bytes that only who has this vault can compute."""
        return hmac.digest(self._journal_key.reveal(), data, sha256)

    def __repr__(self) -> str:
        return f"<keys of {', '.join(self._public)}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("keys are neither pickled nor copied")
