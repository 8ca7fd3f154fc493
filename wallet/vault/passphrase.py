"""Where passphrases come from: a terminal, an open descriptor or a private file. Nowhere else.

Not from an argument or a variable of the environment: others can read those in the list of
processes.
"""

import getpass
import os
import warnings
from pathlib import Path
from typing import Final

from wallet.keys.secret import Secret
from wallet.vault.errors import UnsafeFile, VaultError
from wallet.vault.files import read_private

BYTES_MAX: Final = 4096


def from_file(path: Path) -> Secret[str]:
    """Return the first line of a file that only its owner can reach."""
    return _line(read_private(path, BYTES_MAX), str(path))


def from_descriptor(descriptor: int) -> Secret[str]:
    """Return the first line of what a descriptor that we inherited gives, and close it."""
    try:
        with os.fdopen(descriptor, "rb") as file:
            return _line(file.read(BYTES_MAX), f"descriptor {descriptor}")
    except OSError as error:
        raise VaultError(f"descriptor {descriptor} cannot be read: {error.strerror}") from None


def from_terminal(prompt: str, *, twice: bool = False) -> Secret[str]:
    """Ask for it at the terminal, without showing it; a new one twice.

    Raises: VaultError: there is no terminal, or the two are not the same.
    """
    first = Secret(_ask(f"{prompt}: "))
    if twice and _ask(f"{prompt}, again: ") != first.reveal():
        raise VaultError("they are not the same; nothing was changed")
    return first


def _ask(prompt: str) -> str:
    with warnings.catch_warnings():
        # Without a terminal it would read and show what comes instead.
        warnings.simplefilter("error", getpass.GetPassWarning)
        try:
            return getpass.getpass(prompt)
        except (getpass.GetPassWarning, EOFError):
            raise VaultError(
                "there is no terminal to ask at: give a file or a descriptor"
            ) from None


def _line(data: bytes, source: str) -> Secret[str]:
    line = data.split(b"\n", 1)[0].rstrip(b"\r")
    if not line:
        raise UnsafeFile(f"{source} is empty")
    try:
        return Secret(line.decode())
    except UnicodeDecodeError:
        raise UnsafeFile(f"{source} is not text") from None
