"""Custody as another user than the signer: who may ask is told by the kernel."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.processes import foldex
from tests.signer_process import ROOT, SignerProcess

NOBODY = 65_534
STRANGER = 65_533
GROUP = 65_532

ASK = """
import os, sys
from pathlib import Path
from wallet.errors import SignerUnavailable
from wallet.signer.client import SignerClient

uid, gid = map(int, sys.argv[2:])
os.setgroups([])
os.setgid(gid)
os.setuid(uid)
try:
    print(SignerClient(Path(sys.argv[1])).status().vault_id)
except SignerUnavailable as error:
    print(error)
"""

only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become other users")


@pytest.fixture(scope="module")
def signer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SignerProcess]:
    """Return a signer of our own user that also answers another one, in a directory for all."""
    with TemporaryDirectory() as place:
        Path(place).chmod(0o755)
        options = ("--socket", f"{place}/signer.sock", "--client-user", str(NOBODY))
        made = SignerProcess(
            tmp_path_factory.mktemp("signer"), options=(*options, "--socket-group", str(GROUP))
        )
        made.start()
        yield made
        assert made.end() == 0


def ask(signer: SignerProcess, uid: int, gid: int) -> str:
    """Ask for the signer's status as another user; return its vault, or the error."""
    done = subprocess.run(
        [sys.executable, "-c", ASK, str(signer.socket), str(uid), str(gid)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout.strip()


@only_root
def test_a_client_user_is_answered_and_so_is_the_signers_own(signer: SignerProcess) -> None:
    found = signer.socket.stat()
    assert (found.st_mode & 0o777, found.st_gid) == (0o660, GROUP)
    assert ask(signer, NOBODY, GROUP) == signer.contents.vault_id
    assert ask(signer, os.geteuid(), os.getegid()) == signer.contents.vault_id


@only_root
def test_a_member_of_the_group_that_is_not_named_is_refused(signer: SignerProcess) -> None:
    assert "no answer" in ask(signer, STRANGER, GROUP)
    assert f"refused a connection of user {STRANGER}" in signer.log.read_text()


@only_root
def test_a_client_user_outside_the_group_does_not_reach_the_socket(signer: SignerProcess) -> None:
    assert "Permission denied" in ask(signer, NOBODY, NOBODY)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--client-user", "65534"], "go together"),
        (["--socket-group", "65532"], "go together"),
        (["--client-user", "no-such-user", "--socket-group", "65532"], "no such user or group"),
        (["--client-user", "65534", "--socket-group", "no-such-group"], "no such user or group"),
    ],
)
def test_a_user_and_a_group_are_named_together_and_exist(
    tmp_path: Path, options: list[str], problem: str
) -> None:
    shown = foldex({}, "signer", "run", "--vault", tmp_path, *options, code=2)
    assert problem in " ".join(shown.split())
