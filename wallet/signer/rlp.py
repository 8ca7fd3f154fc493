"""Ethereum's encoding of lists of bytes. Decoding is strict: each value has one encoding only.

Written here, for the signer depends on as little as possible. Source: Yellow Paper, appendix B.
"""

from collections.abc import Sequence
from typing import Final

Item = bytes | list["Item"]
Encodable = bytes | int | Sequence["Encodable"]
DEPTH_MAX: Final = 4


class BadEncoding(ValueError):
    """These bytes are no canonical RLP."""


def encode(item: Encodable) -> bytes:
    """Return the encoding of bytes, of a number >= 0, or of a list of such."""
    if isinstance(item, int):
        return encode(item.to_bytes((item.bit_length() + 7) // 8, "big"))
    if isinstance(item, bytes):
        return item if len(item) == 1 and item[0] < 0x80 else _head(len(item), 0x80) + item
    payload = b"".join(map(encode, item))
    return _head(len(payload), 0xC0) + payload


def decode_list(data: bytes) -> list[Item]:
    """Return the list that all of these bytes stand for. Raises: BadEncoding."""
    item, end = _decode(data, 0, DEPTH_MAX)
    if end != len(data) or isinstance(item, bytes):
        raise BadEncoding("not one whole list")
    return item


def number(item: Item, bytes_max: int = 32) -> int:
    """Return the number that an item is. Raises: BadEncoding: leading zero, too long, a list."""
    if not isinstance(item, bytes) or len(item) > bytes_max or item[:1] == b"\0":
        raise BadEncoding(f"not a number of up to {bytes_max} bytes")
    return int.from_bytes(item, "big")


def _head(length: int, base: int) -> bytes:
    if length < 56:
        return bytes([base + length])
    size = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes([base + 55 + len(size)]) + size


def _decode(data: bytes, at: int, depth: int) -> tuple[Item, int]:
    if at >= len(data) or depth == 0:
        raise BadEncoding("cut short, or nested too deeply")
    first = data[at]
    if first < 0x80:
        return data[at : at + 1], at + 1
    base = 0x80 if first < 0xC0 else 0xC0
    start, end = _extent(data, at, first - base)
    if base == 0x80:
        content = data[start:end]
        if len(content) == 1 and content[0] < 0x80:
            raise BadEncoding("one small byte has no head")
        return content, end
    return _decode_items(data, start, end, depth), end


def _extent(data: bytes, at: int, code: int) -> tuple[int, int]:
    size = max(code - 55, 0)
    start = at + 1 + size
    length = int.from_bytes(data[at + 1 : start], "big") if size else code
    if size and (length < 56 or data[at + 1] == 0):
        raise BadEncoding("a length is longer than it need be")
    if start + length > len(data):
        raise BadEncoding("cut short")
    return start, start + length


def _decode_items(data: bytes, start: int, end: int, depth: int) -> list[Item]:
    items: list[Item] = []
    while start < end:
        item, start = _decode(data[:end], start, depth - 1)
        items.append(item)
    return items
