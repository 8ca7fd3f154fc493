"""Create or refresh `.venv` from a lock file; do nothing when it is up to date.

Usage: python3 deploy/venv.py requirements.lock

Standard library only, and written to parse on old versions of Python 3, because it runs before
anything is installed. A file lock makes it safe to start twice at once; the kernel drops the lock
when its holder dies, so a killed run never blocks the next one. What was installed is remembered
as a copy of the lock file inside `.venv`, so contents are compared, not times.
"""

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
VENV_PYTHON = VENV / "bin" / "python"
RUNTIME_LOCK = "requirements.lock"
PYTHON_VERSION_MIN = (3, 11)


def main() -> int:
    """Return 0 when `.venv` holds what the lock file names."""
    if len(sys.argv) != 2:
        return _fail("usage: python3 deploy/venv.py requirements.lock")
    if tuple(sys.version_info) < PYTHON_VERSION_MIN:
        return _fail(
            "Python 3.11 or newer is needed, but {} is {}.{}. Name another with PYTHON=...".format(
                sys.executable, *sys.version_info[:2]
            )
        )
    with open(str(ROOT / ".venv.lock"), "w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        return _refresh(sys.argv[1])


def _refresh(lock_name: str) -> int:
    if _is_installed(lock_name) and _works():
        return 0
    print("foldex: installing {} into .venv ...".format(lock_name), file=sys.stderr)
    try:
        _forget()
        _install(lock_name)
    except subprocess.CalledProcessError as error:
        return _fail("installing failed (exit status {}); see above".format(error.returncode))
    _remember(lock_name)
    print("foldex: .venv is ready", file=sys.stderr)
    return 0


def _is_installed(lock_name: str) -> bool:
    return all(
        _copy_of(name).is_file() and _copy_of(name).read_bytes() == (ROOT / name).read_bytes()
        for name in {lock_name, RUNTIME_LOCK}
    )


def _works() -> bool:
    """Tell whether the environment still runs on a Python that is new enough."""
    check = "import sys; sys.exit(sys.version_info < {})".format(PYTHON_VERSION_MIN)
    try:
        return subprocess.call([str(VENV_PYTHON), "-c", check], stderr=subprocess.DEVNULL) == 0
    except OSError:
        return False


def _install(lock_name: str) -> None:
    if not _works():
        # Progress goes to stderr: stdout belongs to the command the user asked for.
        subprocess.check_call([sys.executable, "-m", "venv", "--clear", str(VENV)], stdout=2)
    pip = [str(VENV_PYTHON), "-m", "pip", "--disable-pip-version-check", "--quiet"]
    subprocess.check_call(
        [*pip, "install", "--require-hashes", "-r", str(ROOT / lock_name)], stdout=2
    )


def _forget() -> None:
    """Remove what was remembered, so that an interrupted installation never counts as whole."""
    for copy in VENV.glob("installed-*"):
        copy.unlink()


def _remember(lock_name: str) -> None:
    """Keep a copy of each lock file that holds now, replaced whole so that none is ever torn.

    The development lock holds every pin of the runtime lock (`make lock` sees to it), so
    installing it satisfies both.
    """
    for name in {lock_name, RUNTIME_LOCK}:
        partial = VENV / "partial.lock"
        shutil.copyfile(str(ROOT / name), str(partial))
        os.replace(str(partial), str(_copy_of(name)))


def _copy_of(lock_name: str) -> Path:
    return VENV / ("installed-" + lock_name)


def _fail(message: str) -> int:
    print("foldex: " + message, file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
