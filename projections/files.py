"""Where views are kept: one SQLite file for each built set, and a pointer to the current one.

A new set is built in a file beside the live one; moving the pointer swaps it in. Readers and the
runner look at the pointer before they begin anything, so they need not be told.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from eventstore.errors import StoreLocked

_POINTER: Final = "current"
_PREFIX, _SUFFIX = "views-", ".db"


class RebuildRunning(StoreLocked):
    """Another process builds these views anew already: wait for it, or stop it."""

    code = "rebuild_running"


class ViewFiles:
    """The folder `views` in a data directory."""

    def __init__(self, directory: Path) -> None:
        self.folder = directory / "views"

    def current(self) -> Path | None:
        """Return the file that the pointer names; None before one is built, or when it is gone."""
        try:
            name = (self.folder / _POINTER).read_text(encoding="ascii").strip()
        except FileNotFoundError:
            return None
        path = self.folder / name
        return path if path.is_file() else None

    def next(self) -> Path:
        """Return the path of a new file, after all that exist; what attempts left is removed.

        Only while `building`: else it could be another's attempt.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        current = self._number()
        for left in self.folder.glob(f"{_PREFIX}*{_SUFFIX}"):
            if _number(left) > current:
                _remove(left)
        path = self.folder / f"{_PREFIX}{current + 1}{_SUFFIX}"
        _remove(path)  # Its write-ahead log may be left even when the file itself is not.
        return path

    def swap_in(self, path: Path) -> None:
        """Make a file the current one, atomically, and remove those before the last.

        Only while `writing`: the set that is swapped out must not be ahead of the new one.
        """
        previous = self._number()
        pointer = self.folder / f"{_POINTER}.{os.getpid()}"
        _sync(path)
        pointer.write_text(path.name + "\n", encoding="ascii")
        _sync(pointer)
        pointer.replace(self.folder / _POINTER)
        _sync(self.folder)
        for old in self.folder.glob(f"{_PREFIX}*{_SUFFIX}"):
            if _number(old) < previous:
                _remove(old)

    @contextmanager
    def building(self) -> Iterator[None]:
        """Be the only one that builds a new set. Raises: RebuildRunning: another one does."""
        with self._locked("building.lock", fcntl.LOCK_EX | fcntl.LOCK_NB):
            yield

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Be the only one that moves the views on, or swaps them; waits for another's batch."""
        with self._locked("writing.lock", fcntl.LOCK_EX):
            yield

    @contextmanager
    def _locked(self, name: str, how: int) -> Iterator[None]:
        self.folder.mkdir(parents=True, exist_ok=True)
        file = os.open(self.folder / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(file, how)
        except BlockingIOError as error:
            os.close(file)
            raise RebuildRunning("another process is building these views anew") from error
        try:
            yield
        finally:
            os.close(file)

    def _number(self) -> int:
        current = self.current()
        return 0 if current is None else _number(current)


def _number(path: Path) -> int:
    return int(path.name.removeprefix(_PREFIX).removesuffix(_SUFFIX))


def _remove(path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _sync(path: Path) -> None:
    """Make a file or folder durable: a pointer must not outlive, in a crash, what it names."""
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
