"""Keep installed software in a cache that all clones share, whole or not at all."""

import fcntl
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from deploy.services.process import ServiceError, say

TRIES_MAX = 3
DOWNLOAD_TIMEOUT_S = 900


def cache() -> Path:
    """Return the directory that holds installed software.

    Root's is not below its home, which the unprivileged user that PostgreSQL runs as cannot enter.
    """
    if os.geteuid() == 0:
        return Path("/var/cache/foldex/services")
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "foldex" / "services"


def installed(name: str, build: Callable[[Path], None]) -> Path:
    """Return the directory of the software `name`; `build` fills it where it is missing.

    It is built under another name and renamed when it is whole, by one process at a time.
    """
    target = cache() / name
    if not target.is_dir():
        cache().mkdir(parents=True, exist_ok=True)
        with locked(cache() / f"{name}.lock"):
            if not target.is_dir():
                _build(target, build)
    return target


def need_tools(*tools: str, why: str) -> None:
    """Raise ServiceError naming the commands that are missing."""
    if missing := [tool for tool in tools if shutil.which(tool) is None]:
        raise ServiceError(f"{why} needs {', '.join(missing)}, which this machine does not have")


def fetch(command: Sequence[str], *, cwd: Path | None = None) -> str:
    """Return what a command that downloads prints; try it again when it fails.

    Raises: ServiceError: it failed each time; the text has its last output.
    """
    for number in range(1, TRIES_MAX + 1):
        result = subprocess.run(
            command,
            cwd=cwd,
            capture_output=True,
            text=True,
            timeout=DOWNLOAD_TIMEOUT_S,
            check=False,
        )
        if result.returncode == 0:
            return result.stdout
        say(f"{command[0]} failed ({number} of {TRIES_MAX})")
    output = "\n".join((result.stdout + result.stderr).splitlines()[-15:])
    raise ServiceError(f"downloading failed: {' '.join(command[:3])} …\n{output}")


@contextmanager
def locked(file: Path, how: int = fcntl.LOCK_EX) -> Iterator[None]:
    """Hold a lock on `file`; the kernel drops it when this process ends, however it ends."""
    with file.open("w") as guard:
        fcntl.flock(guard, how)
        yield


def _build(target: Path, build: Callable[[Path], None]) -> None:
    partial = target.with_name(target.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    build(partial)
    partial.rename(target)
