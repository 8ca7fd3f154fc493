"""Prometheus, from Debian's package: for the tests of deploy/prometheus and deploy/grafana."""

import platform
import re
from pathlib import Path

from deploy.services.debian import unpack
from deploy.services.process import ServiceError, say
from deploy.services.software import installed

SUITE = "trixie"
SOFTWARE = f"prometheus-{SUITE}-1"  # A changed way of installing counts the last number up.


def install() -> Path:
    """Return the program, installing it when it is missing. Raises: ServiceError."""
    return installed(SOFTWARE, _build) / "usr" / "bin" / "prometheus"


def _build(target: Path) -> None:
    if platform.machine() != "x86_64":
        raise ServiceError(f"Prometheus is not unpacked for {platform.machine()} here")
    say("installing Prometheus")
    # It is one program, which needs nothing of what the package depends on.
    unpack(SUITE, "prometheus", re.compile("prometheus"), target)
