"""What figures depend on: the machine, what its host took of it meanwhile, and the commit."""

import os
import platform
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent


class CpuTime(NamedTuple):
    """Of all cores since the machine started, in the kernel's ticks. stolen: by the host."""

    stolen: int
    all: int


def cpu_time() -> CpuTime:
    """Return the time of all cores; zeros where the kernel does not say."""
    stat = Path("/proc/stat")
    if not stat.is_file():
        return CpuTime(0, 0)
    # cpu user nice system idle iowait irq softirq steal guest guest_nice; guests count as user.
    ticks = [int(word) for word in stat.read_text().splitlines()[0].split()[1:9]]
    return CpuTime(ticks[7], sum(ticks))


def stolen_share(before: CpuTime, after: CpuTime) -> float:
    """Return which part of the cores' time the host gave to others in between."""
    passed = after.all - before.all
    return (after.stolen - before.stolen) / passed if passed else 0.0


def machine() -> dict[str, Any]:
    """Return what the figures depend on."""
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "kernel": platform.release(),
    }


def _cpu_model() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def commit() -> str:
    """Return the commit measured; with a plus sign when files were changed since."""
    try:
        head = _git("rev-parse", "--short=12", "HEAD")
        return head + ("+" if _git("status", "--porcelain") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True, text=True)
    return done.stdout.strip()
