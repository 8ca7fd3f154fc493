"""The vault's files: only their owner reads them, and a crash leaves the old one or the new one."""

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from wallet.vault.document import FILE_BYTES_MAX, Document, decode, encode
from wallet.vault.errors import NoVault, UnsafeFile, VaultError, VaultExists

VAULT_FILE: Final = "vault.json"


def read_private(path: Path, bytes_max: int = FILE_BYTES_MAX) -> bytes:
    """Return the content of a file that only its owner can reach.

    Raises: UnsafeFile: others can; it is no regular file; it is too long. OSError.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        _refuse_unsafe(path, os.fstat(descriptor))
        data = os.read(descriptor, bytes_max + 1)
    finally:
        os.close(descriptor)
    if len(data) > bytes_max:
        raise UnsafeFile(f"{path} is longer than {bytes_max} bytes")
    return data


def _refuse_unsafe(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise UnsafeFile(f"{path} is not a regular file")
    if found.st_mode & 0o077:
        raise UnsafeFile(f"others can reach {path}: chmod 600 {path}")
    if found.st_uid not in (os.geteuid(), 0):
        raise UnsafeFile(f"{path} belongs to someone else")


def write_private(path: Path, data: bytes, *, replace: bool) -> None:
    """Write a file that only its owner can reach, durably and at once.

    replace: False: refuse when there is one.
    Raises: VaultExists, OSError.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}.new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if replace:
            draft.replace(path)
        else:
            os.link(draft, path)
    except FileExistsError:
        raise VaultExists(f"{path} is there already; it is never overwritten") from None
    finally:
        draft.unlink(missing_ok=True)
    sync_directory(path.parent)


def sync_directory(directory: Path) -> None:
    """Make the names in a directory durable."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def load(directory: Path) -> Document:
    """Return the vault of a directory, still locked.

    Raises: NoVault, UnsafeFile, VaultDamaged.
    """
    path = directory / VAULT_FILE
    try:
        return decode(read_private(path))
    except FileNotFoundError:
        raise NoVault(f"there is no vault in {directory}: make one with `vault create`") from None


def store(directory: Path, document: Document, *, replace: bool) -> None:
    """Write the vault of a directory."""
    write_private(directory / VAULT_FILE, encode(document), replace=replace)


@contextmanager
def changing(directory: Path) -> Iterator[None]:
    """Keep others from changing the vault meanwhile.

    Raises: VaultError: someone else is changing it.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise VaultError(f"someone else is changing the vault in {directory}") from None
        yield
    finally:
        os.close(descriptor)
