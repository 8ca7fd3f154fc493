"""Create, open and change a vault; back it up and bring it back."""

from collections.abc import Callable
from pathlib import Path

from wallet.vault.contents import Contents, Key, lock, unlock, with_key
from wallet.vault.document import Argon2Params, TransitParams, decode, encode
from wallet.vault.errors import NoVault, VaultError
from wallet.vault.files import changing, load, read_private, store, write_private
from wallet.vault.protection import Entropy, Protection

Unlocker = Callable[[Argon2Params | TransitParams], Protection]
"""Returns what opens a vault, by what its file says: asks for a passphrase, or for a service."""


def create(
    directory: Path, keys: tuple[Key, ...], protection: Protection, entropy: Entropy
) -> Contents:
    """Make a vault. Raises: VaultExists: there is one; nothing was changed."""
    with changing(directory):
        contents = Contents.new(keys, entropy)
        store(directory, lock(contents, protection, entropy), replace=False)
    return contents


def open_vault(directory: Path, unlocker: Unlocker) -> Contents:
    """Return what a vault holds.

    Raises: NoVault, UnsafeFile, WrongPassphrase, KeyServiceFailed, VaultDamaged.
    """
    document = load(directory)
    return unlock(document, unlocker(document.protection))


def add_key(directory: Path, unlocker: Unlocker, key: Key, entropy: Entropy) -> Contents:
    """Put one more key into a vault. Raises: VaultError: its role has one."""
    with changing(directory):
        document = load(directory)
        protection = unlocker(document.protection)
        contents = with_key(unlock(document, protection), key)
        store(directory, lock(contents, protection, entropy), replace=True)
    return contents


def rotate(
    directory: Path, unlocker: Unlocker, protection: Protection | None, entropy: Entropy
) -> Contents:
    """Encrypt everything again, under a new data key and, when one is given, a new protection.

    The seeds stay. All is in one file, so a crash leaves the old vault or the new one.
    """
    with changing(directory):
        document = load(directory)
        old = unlocker(document.protection)
        contents = unlock(document, old).changed()
        store(directory, lock(contents, protection or old, entropy), replace=True)
    return contents


def backup(
    directory: Path, unlocker: Unlocker, bundle: Path, protection: Protection, entropy: Entropy
) -> Contents:
    """Write all of a vault to one file, under a protection of its own, and open it again to see.

    Its passphrase opens it without the key service, which may be what was lost.
    Raises: VaultExists: the bundle is there already.
    """
    contents = open_vault(directory, unlocker)
    write_private(bundle, encode(lock(contents, protection, entropy)), replace=False)
    if not _same(check_backup(bundle, lambda _: protection), contents):
        raise VaultError(f"the backup in {bundle} does not hold what the vault holds")
    return contents


def check_backup(bundle: Path, unlocker: Unlocker) -> Contents:
    """Return what a backup holds. Raises as `open_vault` does."""
    try:
        document = decode(read_private(bundle))
    except FileNotFoundError:
        raise NoVault(f"there is no backup in {bundle}") from None
    return unlock(document, unlocker(document.protection))


def restore(
    bundle: Path, unlocker: Unlocker, directory: Path, protection: Protection, entropy: Entropy
) -> Contents:
    """Make a vault of a backup. Raises: VaultExists: there is a vault already."""
    contents = check_backup(bundle, unlocker).changed()
    with changing(directory):
        store(directory, lock(contents, protection, entropy), replace=False)
    return contents


def _same(one: Contents, other: Contents) -> bool:
    return one.vault_id == other.vault_id and [
        (key.role, key.xpub.text, key.seed is None) for key in one.keys
    ] == [(key.role, key.xpub.text, key.seed is None) for key in other.keys]
