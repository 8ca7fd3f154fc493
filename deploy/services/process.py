"""Start, recognise and end the processes of servers.

A process is recognised by its pid together with a mark: one of its arguments that no other process
has, such as its data directory. So a pid that was given to another process is never signalled.
"""

import os
import pwd
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

POLL_S = 0.05
LOG_BYTES_MAX = 10_000_000
TAIL_LINES = 25

# Kept, because a Popen that is collected while its process runs warns of it.
_launched: list[subprocess.Popen[bytes]] = []


class ServiceError(Exception):
    """A server cannot be installed, started or reached; the text says why and what helps."""


def say(message: str) -> None:
    """Report progress on stderr; stdout belongs to the results."""
    print("services: " + message, file=sys.stderr, flush=True)


def unprivileged_user() -> pwd.struct_passwd | None:
    """Return the user that servers run as which refuse root; None when this is not root."""
    return pwd.getpwnam("nobody") if os.geteuid() == 0 else None


def launch(
    command: Sequence[str],
    *,
    log: Path,
    environment: Mapping[str, str],
    user: pwd.struct_passwd | None = None,
) -> subprocess.Popen[bytes]:
    """Start a process that outlives this one, in a session of its own; its output goes to `log`."""
    with log.open("ab" if end_of(log) else "wb") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd="/",  # The user it runs as may not be able to enter the current directory.
            env=environment,
            start_new_session=True,
            user=None if user is None else user.pw_uid,
            group=None if user is None else user.pw_gid,
            extra_groups=None if user is None else [],
        )
    _reap()
    _launched.append(process)
    return process


def end_of(log: Path) -> int:
    """Return where the next process that is launched begins to write: one too large begins anew."""
    size = log.stat().st_size if log.exists() else 0
    return size if size <= LOG_BYTES_MAX else 0


def is_running(pid: int, mark: str) -> bool:
    """Tell whether `pid` is alive and has `mark` among its arguments."""
    try:
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
    return os.fsencode(mark) in arguments.split(b"\0")


def recorded_pid(file: Path, mark: str) -> int | None:
    """Return the pid in the first line of `file`, if that process runs and has the mark."""
    try:
        pid = int(file.read_text().split("\n", 1)[0])
    except (OSError, ValueError):
        return None
    return pid if is_running(pid, mark) else None


def end(pid: int, mark: str, how: signal.Signals, *, timeout_s: float) -> None:
    """Signal the process and wait until it is gone; kill it when that takes too long."""
    if not is_running(pid, mark):
        return
    for sent in (how, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.kill(pid, sent)
        if wait_until(lambda: _is_gone(pid), timeout_s):
            _reap()
            return
    raise ServiceError(f"process {pid} does not end: {mark}")


def await_ready(
    process: subprocess.Popen[bytes], is_ready: Callable[[], bool], *, log: Path, timeout_s: float
) -> None:
    """Return once `is_ready()`.

    Raises: ServiceError: it ended or took too long; the text ends with the tail of its log, and
    nothing is left running.
    """
    try:
        wait_until(lambda: process.poll() is not None or is_ready(), timeout_s)
        if process.poll() is not None:
            raise ServiceError(f"it ended with status {process.returncode}\n{tail(log)}")
        if not is_ready():
            raise ServiceError(f"it did not answer within {timeout_s:.0f} s\n{tail(log)}")
    except BaseException:
        process.kill()
        process.wait()
        raise


def tail(log: Path) -> str:
    """Return the name and the last lines of a log."""
    text = log.read_text(errors="replace") if log.exists() else ""
    return f"the end of {log}:\n" + "\n".join(text.splitlines()[-TAIL_LINES:])


def accepts_connections(host: str, port: int) -> bool:
    """Tell whether something listens there."""
    try:
        socket.create_connection((host, port), timeout=5).close()
    except OSError:
        return False
    return True


def _reap() -> None:
    """Take the exit status of each process that ended, whoever ended it: or it stays a zombie."""
    for process in list(_launched):
        if process.poll() is not None:
            with suppress(ValueError):  # Another thread was quicker.
                _launched.remove(process)


def _is_gone(pid: int) -> bool:
    """Tell whether a process has closed its files: gone, or only waiting for its parent to look.

    It loses its arguments some time before it closes them, and threads may outlive the first one.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return True
    state, threads = fields[0], int(fields[17])
    return state in "ZX" and threads <= 1


def wait_until(condition: Callable[[], bool], timeout_s: float) -> bool:
    """Return whether the condition came true within the time."""
    deadline = time.monotonic() + timeout_s
    while not (done := condition()) and time.monotonic() < deadline:
        time.sleep(POLL_S)
    return done
