"""The signer's end: what is under way is answered, and it ends whoever still listens."""

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread

import pytest

from tests.signer_world import World, withdrawal
from wallet.signer import messages
from wallet.signer.client import SignerClient
from wallet.signer.server import Server, listen
from wallet.types import Unsigned

WAIT_S = 30.0


@dataclass
class Served:
    """A signer that is being served; `ended` gets what `serve` returned."""

    path: Path
    world: World
    server: Server
    ended: list[bool] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.thread = Thread(target=lambda: self.ended.append(self.server.serve()))
        self.thread.start()

    def wait(self) -> bool:
        """Return what `serve` returned, once it has."""
        self.thread.join(WAIT_S)
        [whole] = self.ended
        return whole


@dataclass
class Disk:
    """Stands where the journal is made durable: the write waits for `go_on`, then may fail."""

    reached: Event = field(default_factory=Event)
    go_on: Event = field(default_factory=Event)
    fails: bool = False

    def sync(self, descriptor: int) -> None:
        self.reached.set()
        assert self.go_on.wait(WAIT_S)
        if self.fails:
            raise OSError(errno.EIO, "Input/output error")
        os.fsync(descriptor)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    path, world = tmp_path / "socket", World(tmp_path)
    server = Server(
        signer=world.signer,
        listening=listen(path),
        uids=frozenset({os.geteuid()}),
        hardening=(),
    )
    served = Served(path, world, server)
    yield served
    server.stop()
    served.wait()
    world.journal.close()


@pytest.fixture
def disk(served: Served, monkeypatch: pytest.MonkeyPatch) -> Disk:
    disk = Disk()
    monkeypatch.setattr("wallet.signer.journal.os.fdatasync", disk.sync)
    return disk


def test_a_request_under_way_is_answered_before_the_signer_ends(served: Served, disk: Disk) -> None:
    intent = withdrawal(amount=10**17)
    unsigned = Unsigned(intent_id=intent.id, slot=served.world.slot(), raw=served.world.raw(intent),
                        fee_max=0)  # fmt: skip
    signed: list[str] = []
    with closing(SignerClient(served.path, timeout_s=WAIT_S)) as client:
        asking = Thread(target=lambda: signed.append(client.sign(intent, unsigned).txid))
        asking.start()
        assert disk.reached.wait(WAIT_S)
        served.server.stop()
        served.thread.join(0.2)
        assert not served.ended
        disk.go_on.set()
        asking.join(WAIT_S)
    assert served.wait()
    assert len(signed) == 1
    assert served.world.signer.position.count == 2


def test_a_signer_that_cannot_remember_ends_though_nobody_waits_for_its_answer(
    served: Served, disk: Disk
) -> None:
    disk.fails = True
    with socket.socket(socket.AF_UNIX) as impatient:
        impatient.connect(str(served.path))
        messages.send(impatient, messages.AskMessage(role="hot", index=0, text="none of ours"))
        assert disk.reached.wait(WAIT_S)
    disk.go_on.set()
    assert not served.wait()


def test_a_signer_that_has_ended_may_be_told_to_end_again(served: Served) -> None:
    served.server.stop()
    assert served.wait()
    served.server.stop()
