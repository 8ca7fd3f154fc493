"""Unpack Debian packages with what they depend on, without touching the machine's own packages."""

import os
import re
import subprocess
from pathlib import Path

from deploy.services.process import ServiceError, say
from deploy.services.software import fetch, need_tools

KEYRINGS = Path("/usr/share/keyrings")


def unpack(suite: str, package: str, keep: re.Pattern[str], target: Path) -> None:
    """Unpack those packages of `package` and its dependencies whose names match `keep` wholly.

    apt resolves against an empty list of installed packages, in a directory of its own, and checks
    signatures and hashes. No maintainer script runs.
    """
    need_tools("apt-get", "dpkg-deb", why="unpacking Debian packages")
    state = target / "apt"
    (state / "lists" / "partial").mkdir(parents=True)
    (state / "archives" / "partial").mkdir(parents=True)
    (state / "status").touch()
    (state / "preferences").touch()
    source = f"deb [signed-by={_keyring()}] {mirror()} {suite} main\n"
    (state / "sources.list").write_text(source)
    apt = ["apt-get", "-q", "-y", *_options(state)]
    fetch([*apt, "update"])
    plan = fetch([*apt, "--simulate", "install", package])
    names = [name for name in re.findall(r"^Inst (\S+)", plan, re.M) if keep.fullmatch(name)]
    say(f"downloading {len(names)} Debian packages")
    fetch([*apt, "download", *names], cwd=state / "archives")
    for archive in sorted((state / "archives").glob("*.deb")):
        subprocess.run(["dpkg-deb", "--extract", str(archive), str(target)], check=True)


def mirror() -> str:
    """Return the Debian mirror that the machine is set up with. Raises: ServiceError: none."""
    if chosen := os.environ.get("FOLDEX_DEBIAN_MIRROR"):
        return chosen
    command = ["apt-get", "indextargets", "--format", "$(REPO_URI)"]
    targets = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    mirrors = [uri for uri in targets.split() if "debian" in uri and "security" not in uri]
    if not mirrors:
        raise ServiceError("apt knows no mirror of Debian: name one in FOLDEX_DEBIAN_MIRROR")
    return mirrors[0]


def _options(state: Path) -> list[str]:
    settings = {
        "Dir::Etc::sourcelist": state / "sources.list",
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::Etc::preferences": state / "preferences",
        "Dir::Etc::preferencesparts": "/dev/null",
        "Dir::State": state,
        "Dir::State::Lists": state / "lists",
        "Dir::State::status": state / "status",
        "Dir::Cache": state,
        "Dir::Cache::archives": state / "archives",
        "APT::Architecture": "amd64",
        "APT::Install-Recommends": "false",
        "APT::Sandbox::User": "",
        "Acquire::Languages": "none",
        "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled": "false",
        "Acquire::Retries": "2",
        # A failed update is an error, not a warning.
        "APT::Update::Error-Mode": "any",
    }
    return [part for name, value in settings.items() for part in ("-o", f"{name}={value}")]


def _keyring() -> Path:
    for name in ("debian-archive-keyring.gpg", "debian-archive-keyring.pgp"):
        if (KEYRINGS / name).is_file():
            return KEYRINGS / name
    raise ServiceError("Debian's signing keys are missing: install debian-archive-keyring")
