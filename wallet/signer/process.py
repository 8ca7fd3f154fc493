"""The signer as a process: open the journal, give up what it does not need, serve until told."""

import logging
import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from wallet.signer import hardening
from wallet.signer.journal import Journal
from wallet.signer.policy import Policy
from wallet.signer.server import Server, listen
from wallet.signer.signer import Signer
from wallet.vault.document import Role
from wallet.vault.errors import ColdSeedOnline
from wallet.vault.keyring import Keyring

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Clients:
    """Who may ask besides our own user: these users, and which group's the socket is for that."""

    uids: frozenset[int] = frozenset()
    group: int | None = None


ONLY_OURSELVES = Clients()


def run(
    *,
    keyring: Keyring,
    policy: Policy,
    journal: Path,
    socket: Path,
    hardened: Sequence[str],
    clients: Clients = ONLY_OURSELVES,
) -> bool:
    """Serve until SIGTERM or SIGINT; return False when the signer could not go on.

    hardened: what was achieved before the vault was opened.
    Raises: ColdSeedOnline, JournalError: it does not start. SocketInUse, OSError.
    """
    if keyring.can_sign(Role.COLD):
        raise ColdSeedOnline("this vault has the cold wallet's seed, which stays off line")
    hardened = (*hardened, *hardening.lock_memory(), *hardening.forbid_network())
    opened = Journal(journal, keyring.authenticate)
    try:
        signer = Signer(keyring=keyring, policy=policy, journal=opened, clock=_now_ms)
        server = Server(
            signer=signer,
            listening=listen(socket, group=clients.group),
            uids=clients.uids | {os.geteuid()},
            hardening=hardened,
        )
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: server.stop())
        _log.info(
            "signing for %s on %s; policy %s; %d records; %s",
            ", ".join(keyring.roles),
            socket,
            policy.hash[:16],
            signer.position.count,
            ", ".join(hardened),
        )
        return server.serve()
    finally:
        opened.close()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
