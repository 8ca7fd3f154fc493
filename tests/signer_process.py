"""The real signer in a process of its own, for tests: it can be killed and started again."""

import os
import signal
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from tests.signer_world import CHAIN, approvals, policy_text, raw
from wallet.approvals import format_approval
from wallet.errors import SignerUnavailable
from wallet.keys.secret import Secret
from wallet.signer.client import SignerClient
from wallet.signer.journal import Journal
from wallet.types import Address, Intent, Slot, Unsigned
from wallet.vault import vault
from wallet.vault.contents import Contents, Key, Seed
from wallet.vault.document import ONLINE_ROLES, Role
from wallet.vault.keyring import Keyring
from wallet.vault.protection import PassphraseProtection

PASSPHRASE = "correct horse battery staple"
ROOT = Path(__file__).resolve().parents[1]
START_TIMEOUT_S = 60
CHEAP_KIB = 64


@dataclass
class SignerProcess:
    """A vault in a directory, and the process that signs with it."""

    directory: Path
    process: subprocess.Popen[bytes] | None = None
    options: tuple[str, ...] = ()
    """More of its command line."""
    contents: Contents = field(init=False)
    keyring: Keyring = field(init=False)

    def __post_init__(self) -> None:
        """Make the vault, the policy and the empty journal."""
        protection = PassphraseProtection.new(Secret(PASSPHRASE), os.urandom, CHEAP_KIB)
        keys = tuple(Key.of_seed(role, Seed.new(os.urandom)) for role in ONLINE_ROLES)
        self.contents = vault.create(self.directory, keys, protection, os.urandom)
        self.keyring = self.contents.keyring()
        Journal.create(self.journal, self.keyring.authenticate)
        (self.directory / "policy.toml").write_text(policy_text(self.directory))

    @property
    def journal(self) -> Path:
        """The directory of its journal."""
        return self.directory / "journal"

    @property
    def socket(self) -> Path:
        """Where it listens."""
        if "--socket" in self.options:
            return Path(self.options[self.options.index("--socket") + 1])
        return self.directory / "signer.sock"

    @property
    def log(self) -> Path:
        """Everything that it wrote."""
        return self.directory / "log"

    def __enter__(self) -> Self:
        """Start it."""
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self.process is not None and self.process.poll() is None:
            self.end()

    def start(self) -> None:
        """Start it and wait until it answers."""
        self.launch()
        with closing(SignerClient(self.socket)) as client:
            deadline = time.monotonic() + START_TIMEOUT_S
            while True:
                assert self.process is not None
                assert self.process.poll() is None, self.log.read_text()
                try:
                    client.status()
                    return
                except SignerUnavailable:
                    assert time.monotonic() < deadline, self.log.read_text()
                    time.sleep(0.02)

    def launch(self) -> subprocess.Popen[bytes]:
        """Start it; the passphrase goes through a pipe."""
        reading, writing = os.pipe()
        os.write(writing, PASSPHRASE.encode())
        os.close(writing)
        command = [sys.executable, "-P", "-m", "api", "signer", "run"]
        options = ["--vault", str(self.directory), "--passphrase-fd", str(reading), *self.options]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*command, *options],
                stdout=log,
                stderr=log,
                pass_fds=(reading,),
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )
        os.close(reading)
        return self.process

    def end(self, how: signal.Signals = signal.SIGTERM) -> int:
        """End it and return its exit status."""
        assert self.process is not None
        self.process.send_signal(how)
        return self.process.wait(timeout=30)


def unsigned(signer: SignerProcess, intent: Intent, nonce: int, **parts: Any) -> Unsigned:
    """Return the transaction of an intent, from the hot wallet."""
    slot = Slot.numbered(CHAIN, Address(signer.keyring.address(Role.HOT, 0)), nonce)
    transaction = raw(signer.keyring, intent, nonce=nonce, **parts)
    return Unsigned(intent_id=intent.id, slot=slot, raw=transaction, fee_max=0)


def approved(intent: Intent, *names: str) -> list[str]:
    """Return the officers' approvals of an intent, given now, as the signer takes them."""
    now_ms = time.time_ns() // 1_000_000
    return [format_approval(each) for each in approvals(intent, *names, approved_ms=now_ms)]
