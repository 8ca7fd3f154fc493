"""Ethereum's addresses, from public keys. Source: EIP-55 (capital letters as a checksum)."""

import re

from coincurve import PublicKey

from wallet.keys.errors import BadAddress
from wallet.keys.hashes import keccak256
from wallet.keys.public import ExtendedPublicKey


def checksummed(address: bytes) -> str:
    """Return the text of a 20-byte address."""
    assert len(address) == 20, "an address has 20 bytes"
    digits = address.hex()
    nibbles = keccak256(digits.encode()).hex()
    pairs = zip(digits, nibbles, strict=False)
    return "0x" + "".join(d.upper() if n >= "8" else d for d, n in pairs)


def parse_address(text: str) -> bytes:
    """Return the 20 bytes of an address; one with capital letters must have the right ones.

    Raises: BadAddress.
    """
    if not re.fullmatch(r"0x[0-9a-fA-F]{40}", text):
        raise BadAddress("an address is 0x and 40 hexadecimal digits")
    address = bytes.fromhex(text[2:])
    mixed = text[2:] not in (text[2:].lower(), text[2:].upper())
    if mixed and text != checksummed(address):
        raise BadAddress("the capital letters of the address (its EIP-55 checksum) are wrong")
    return address


def address_of(public_key: ExtendedPublicKey) -> str:
    """Return the address of one key."""
    return checksummed(keccak256(public_key.point())[-20:])


class AccountAddresses:
    """The addresses below an account's extended public key: BIP-44's external chain."""

    def __init__(self, account: ExtendedPublicKey) -> None:
        self._chain = account.child(0)

    def address(self, index: int) -> str:
        """Return one address. The same index always has the same one."""
        return checksummed(keccak256(self._chain.point_of_child(index))[-20:])


def message_digest(text: bytes) -> bytes:
    """Return what is signed for a message: EIP-191, which no transaction ever begins like."""
    return keccak256(b"\x19Ethereum Signed Message:\n" + str(len(text)).encode() + text)


def recover_address(digest: bytes, signature: bytes) -> str:
    """Return the address whose key made a signature (r, s, recovery number; 65 bytes).

    Raises: BadAddress: nobody's did.
    """
    try:
        key = PublicKey.from_signature_and_message(signature, digest, hasher=None)
    except Exception:  # noqa: BLE001  the library raises a bare Exception
        raise BadAddress("this signature belongs to no address") from None
    return checksummed(keccak256(key.format(compressed=False)[1:])[-20:])
