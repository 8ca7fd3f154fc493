"""One writer at a time, politely: a lock on a file that dies with the process that holds it.

Safety does not rest on it: the log's primary key refuses a second writer in any case. It only
tells an operator at once that another process is running.
"""

import fcntl
import os
from pathlib import Path
from typing import Final

from eventstore.errors import StoreError, StoreLocked

LOCK_NAME: Final = "writer.lock"


class WriterLock:
    """The right to write in a data directory, held from construction to `release`.

    name: the file's; there is a right of its own for each.
    """

    def __init__(self, directory: Path, *, name: str = LOCK_NAME) -> None:
        """Take the lock. Raises: StoreLocked: another process has it; StoreError."""
        path = directory / name
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise StoreError(f"cannot write in {directory}: {error.strerror}") from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            owner = os.pread(self._file, 20, 0).decode("ascii", "replace").strip()
            os.close(self._file)
            raise StoreLocked(
                f"process {owner or 'unknown'} has {directory} open for writing; stop it first"
            ) from error
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, b"%d\n" % os.getpid(), 0)

    def release(self) -> None:
        """Let another process write."""
        os.close(self._file)
