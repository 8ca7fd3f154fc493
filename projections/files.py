"""Where views are kept: one SQLite file for each built set, and a pointer to the current one.

A new set is built in a file beside the live one; moving the pointer swaps it in. Readers and the
runner look at the pointer before they begin anything, so they need not be told.
"""

import os
from pathlib import Path
from typing import Final

_POINTER: Final = "current"
_PREFIX, _SUFFIX = "views-", ".db"


class ViewFiles:
    """The folder `views` in a data directory."""

    def __init__(self, directory: Path) -> None:
        self.folder = directory / "views"

    def current(self) -> Path | None:
        """Return the file that the pointer names, or None before the first one is built."""
        try:
            name = (self.folder / _POINTER).read_text(encoding="ascii").strip()
        except FileNotFoundError:
            return None
        return self.folder / name

    def next(self) -> Path:
        """Return the path of a new file, after all that exist; what an attempt left is removed."""
        self.folder.mkdir(parents=True, exist_ok=True)
        current = self.current()
        number = 1 if current is None else _number(current) + 1
        path = self.folder / f"{_PREFIX}{number}{_SUFFIX}"
        _remove(path)
        return path

    def swap_in(self, path: Path) -> None:
        """Make a file the current one, atomically, and remove those before the last."""
        previous = self.current()
        pointer = self.folder / f"{_POINTER}.{os.getpid()}"
        pointer.write_text(path.name + "\n", encoding="ascii")
        pointer.replace(self.folder / _POINTER)
        for old in self.folder.glob(f"{_PREFIX}*{_SUFFIX}"):
            if _number(old) < _number(previous or path):
                _remove(old)


def _number(path: Path) -> int:
    return int(path.name.removeprefix(_PREFIX).removesuffix(_SUFFIX))


def _remove(path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
