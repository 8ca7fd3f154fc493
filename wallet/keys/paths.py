"""Derivation paths. Source: BIP-32 (form), BIP-44 (meaning), SLIP-44 (coin types)."""

import re
from typing import Final

from wallet.keys.errors import BadPath

HARDENED: Final = 1 << 31
DEPTH_MAX: Final = 255
ETHEREUM_COIN: Final = 60

Path = tuple[int, ...]
"""Child numbers, from the key that it starts at; HARDENED is added to the hardened ones."""


def parse_path(text: str) -> Path:
    """Return the path of a text such as `m/44'/60'/0'`; h and H mean hardened too."""
    start, *steps = text.split("/")
    if start != "m" or len(steps) > DEPTH_MAX:
        raise BadPath(f"{text!r} is not of the form m/44'/60'/0'")
    return tuple(_child_number(step, text) for step in steps)


def format_path(path: Path) -> str:
    """Return the text of a path, with ' for hardened."""
    steps = (f"{n - HARDENED}'" if n >= HARDENED else str(n) for n in path)
    return "/".join(("m", *steps))


def account_path(account: int, coin: int = ETHEREUM_COIN) -> Path:
    """Return the path of a BIP-44 account; what is below it can be derived without secrets."""
    return (44 + HARDENED, coin + HARDENED, account + HARDENED)


def address_path(index: int) -> Path:
    """Return the path of an address below its account: BIP-44's external chain."""
    if not 0 <= index < HARDENED:
        raise BadPath(f"an address has a number from 0 to {HARDENED - 1}, not {index}")
    return (0, index)


def _child_number(step: str, text: str) -> int:
    found = re.fullmatch(r"(0|[1-9][0-9]{0,9})(['hH]?)", step)
    if found is None or int(found[1]) >= HARDENED:
        raise BadPath(f"{text!r}: {step!r} is not a child number")
    return int(found[1]) + (HARDENED if found[2] else 0)
