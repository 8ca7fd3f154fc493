"""Why a vault stays closed. No message contains a secret, or text that came from a secret file."""


class VaultError(Exception):
    """The vault cannot be used; nothing was changed."""


class NoVault(VaultError):
    """There is no vault file here."""


class VaultExists(VaultError):
    """There is a vault here already; it is never overwritten."""


class WrongPassphrase(VaultError):
    """The passphrase is wrong, or the part of the file that it opens was changed."""


class VaultDamaged(VaultError):
    """The file was changed, mixed up with another one, or is not whole."""


class UnsafeFile(VaultError):
    """Others than its owner can reach the file, or it is not a regular file."""


class KeyServiceFailed(VaultError):
    """HashiCorp Vault or OpenBao did not answer, or refused."""


class WeakPassphrase(VaultError):
    """The passphrase is too short to be worth a key."""


class ColdSeedOnline(VaultError):
    """The cold wallet's seed is where it must not be: with online seeds, or in a signer."""
