"""Base58 with a checksum, the text form of extended keys. Source: Bitcoin, base58.cpp."""

from hashlib import sha256
from typing import Final

from wallet.keys.errors import BadExtendedKey

ALPHABET: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
CHARS_MAX: Final = 200


def encode_check(data: bytes) -> str:
    """Return the text of some bytes and their checksum."""
    data += _checksum(data)
    number, text = int.from_bytes(data, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        text = ALPHABET[digit] + text
    return "1" * (len(data) - len(data.lstrip(b"\0"))) + text


def decode_check(text: str) -> bytes:
    """Return the bytes of a text, without the checksum.

    Raises: BadExtendedKey: a character or the checksum is wrong. The text is not in the message.
    """
    if len(text) > CHARS_MAX or not set(text) <= set(ALPHABET):
        raise BadExtendedKey("not an extended key: it has wrong characters or is too long")
    number = 0
    for char in text:
        number = number * 58 + ALPHABET.index(char)
    zeros = len(text) - len(text.lstrip("1"))
    data = bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big")
    if len(data) < 4 or _checksum(data[:-4]) != data[-4:]:
        raise BadExtendedKey("not an extended key: its checksum is wrong")
    return data[:-4]


def _checksum(data: bytes) -> bytes:
    return sha256(sha256(data).digest()).digest()[:4]
