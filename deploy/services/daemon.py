"""What servers have in common that are one process, with a file for its pid and one for its log."""

import signal
import subprocess
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from deploy.services.clone import Clone
from deploy.services.process import end, recorded_pid


@dataclass(frozen=True, slots=True)
class Daemon(ABC):
    """A server of a clone. Whoever calls its methods holds the lock of the clone."""

    clone: Clone
    name: ClassVar[str]
    stop_timeout_s: ClassVar[int]

    @property
    @abstractmethod
    def mark(self) -> str:
        """One of its arguments that no other process has."""

    @abstractmethod
    def address(self) -> str:
        """Return where it is."""

    @abstractmethod
    def start(self) -> None:
        """Install and start what is missing; return when it serves requests.

        Raises: ServiceError: it is impossible here, or the server did not start.
        """

    @property
    def log(self) -> Path:
        """The file that its messages go to."""
        return self.clone.state / f"{self.name}.log"

    def pid(self) -> int | None:
        """Return the pid of its process; None when it does not run."""
        return recorded_pid(self._pid_file, self.mark)

    def remember(self, process: subprocess.Popen[bytes]) -> None:
        """Note the process that was launched."""
        self._pid_file.write_text(f"{process.pid}\n")

    def stop(self) -> None:
        """Let it close its files in order, and end."""
        self._end(signal.SIGTERM)

    def crash(self) -> None:
        """End it at once; what it loses, or recovers at its next start, is its own affair."""
        self._end(signal.SIGKILL)

    @property
    def _pid_file(self) -> Path:
        return self.clone.state / f"{self.name}.pid"

    def _end(self, how: signal.Signals) -> None:
        pid = self.pid()
        if pid is not None:
            end(pid, self.mark, how, timeout_s=self.stop_timeout_s)
        self._pid_file.unlink(missing_ok=True)
