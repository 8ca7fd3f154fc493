"""The hashes of Bitcoin's and Ethereum's addresses that hashlib does not promise to have."""

from hashlib import sha256

from Crypto.Hash import RIPEMD160, keccak


def keccak256(data: bytes) -> bytes:
    """Return Ethereum's hash: Keccak with its first padding, which is not SHA3-256."""
    return keccak.new(digest_bits=256, data=data).digest()


def hash160(data: bytes) -> bytes:
    """Return RIPEMD-160 of SHA-256, the identifier of a key in BIP-32."""
    return RIPEMD160.new(sha256(data).digest()).digest()
