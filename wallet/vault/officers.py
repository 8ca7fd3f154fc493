"""An officer's own key, in a file of the officer's own, under a passphrase of the officer's own."""

import base64
from pathlib import Path
from typing import Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from wallet.keys.secret import Secret
from wallet.vault.document import FORMAT, Argon2Params
from wallet.vault.errors import NoVault, VaultDamaged
from wallet.vault.files import read_private, write_private
from wallet.vault.protection import Entropy, PassphraseProtection

FILE_BYTES_MAX: Final = 64 * 1024


class OfficerFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """public_key: base64, as the signer's policy has it. key: encrypted."""

    format: int = FORMAT
    officer: str
    public_key: str
    protection: Argon2Params
    key: bytes


def create_officer(
    path: Path, officer: str, protection: PassphraseProtection, entropy: Entropy
) -> OfficerFile:
    """Make an officer's key. Raises: VaultExists: the file is there."""
    key = Ed25519PrivateKey.from_private_bytes(entropy(32))
    public = base64.b64encode(key.public_key().public_bytes_raw()).decode()
    file = OfficerFile(
        officer=officer,
        public_key=public,
        protection=protection.params,
        key=protection.wrap(Secret(key.private_bytes_raw()), _context(officer, public)),
    )
    write_private(path, msgspec.json.format(msgspec.json.encode(file), indent=1), replace=False)
    return file


def load_officer(path: Path) -> OfficerFile:
    """Return an officer's file, still locked. Raises: NoVault, UnsafeFile, VaultDamaged."""
    try:
        return msgspec.json.decode(read_private(path, FILE_BYTES_MAX), type=OfficerFile)
    except FileNotFoundError:
        raise NoVault(f"there is no officer's key in {path}") from None
    except msgspec.MsgspecError:
        raise VaultDamaged(f"{path} is damaged: it is no officer's key") from None


def open_officer(file: OfficerFile, protection: PassphraseProtection) -> Ed25519PrivateKey:
    """Return the key. Raises: WrongPassphrase."""
    secret = protection.unwrap(file.key, _context(file.officer, file.public_key))
    return Ed25519PrivateKey.from_private_bytes(secret.reveal())


def _context(officer: str, public_key: str) -> bytes:
    return msgspec.json.encode(["foldex officer", FORMAT, officer, public_key])
