"""Why a key, a path or a phrase is refused. No message ever contains the secret it speaks of."""


class KeysError(ValueError):
    """Something about keys is wrong."""


class BadMnemonic(KeysError):
    """Not a BIP-39 phrase: a wrong number of words, an unknown word or a wrong checksum."""


class BadPath(KeysError):
    """Not a derivation path, or one that this key cannot follow."""


class BadExtendedKey(KeysError):
    """Not an extended public key (xpub)."""


class BadAddress(KeysError):
    """Not an Ethereum address, or its capital letters (the EIP-55 checksum) are wrong."""
