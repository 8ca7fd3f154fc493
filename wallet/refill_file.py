"""The two files that go to the cold wallet's machine and back: what to sign, and what was signed.

People carry them; nothing in them is secret, and neither side believes them: the signing machine
reads the transaction itself, and custody compares what comes back with what it wrote out.
"""

from pathlib import Path
from typing import Final, TypeVar

import msgspec

FORMAT: Final = 1
FILE_BYTES_MAX: Final = 1024 * 1024


class BadFile(ValueError):
    """It is no such file."""


class RefillItem(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One transaction from the cold wallet to the hot one, of EIP-1559's type.

    Numbers are text: amount in base units of the asset, the others in wei or units of gas. token:
    its contract, empty for the chain's own coin. unsigned: the transaction's bytes, `0x…`, which
    alone are signed. summary: for people; nothing is decided by it.
    """

    id: str
    summary: str
    asset: str
    token: str
    sender: str
    to: str
    amount: str
    nonce: str
    gas: str
    max_fee_per_gas: str
    max_priority_fee_per_gas: str
    fee_max: str
    unsigned: str


class RefillFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is to be signed. chain: CAIP-2 text, such as `eip155:1`."""

    format: int = FORMAT
    chain: str
    transactions: list[RefillItem]


class SignedItem(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A signed transaction, `0x…`, and its hash."""

    id: str
    txid: str
    raw: str


class SignedFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What was signed."""

    format: int = FORMAT
    chain: str
    transactions: list[SignedItem]


Kind = TypeVar("Kind", RefillFile, SignedFile)


def write(path: Path, file: RefillFile | SignedFile) -> None:
    """Write a file, as JSON that people can read. Raises: OSError: also when it is there."""
    with path.open("xb") as out:
        out.write(msgspec.json.format(msgspec.json.encode(file), indent=2) + b"\n")


def read(path: Path, kind: type[Kind]) -> Kind:
    """Return what a file says. Raises: BadFile, OSError."""
    data = path.read_bytes()
    if len(data) > FILE_BYTES_MAX:
        raise BadFile(f"{path} is longer than {FILE_BYTES_MAX} bytes")
    try:
        file = msgspec.json.decode(data, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BadFile(f"{path}: {error}") from None
    if file.format != FORMAT:
        raise BadFile(f"{path} has format {file.format}; this is for {FORMAT}")
    return file


def from_hex(text: str) -> bytes:
    """Return the bytes of `0x…`. Raises: BadFile."""
    try:
        if not text.startswith("0x"):
            raise ValueError("no 0x")
        return bytes.fromhex(text[2:])
    except ValueError:
        raise BadFile("a transaction is 0x and hexadecimal digits") from None
