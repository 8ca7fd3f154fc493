"""The real signer: killed, restarted, asked wrongly, and looked at from outside."""

import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from functools import partial
from pathlib import Path

import pytest
from eth_account import Account
from eth_account.messages import encode_defunct

from tests.beside import beside
from tests.signer_process import PASSPHRASE, ROOT, SignerProcess, approved, unsigned
from tests.signer_world import (
    CHAIN,
    ETHER,
    GWEI,
    OFFICERS,
    OTHER,
    PAYEE,
    World,
    withdrawal,
)
from wallet.book import Book
from wallet.errors import (
    ApprovalRequired,
    FeeAboveCap,
    NonceConflict,
    PolicyDenied,
    SignerUnavailable,
)
from wallet.journal_memory import JournalMemory
from wallet.keys.ethereum import message_digest, recover_address
from wallet.signer import messages
from wallet.signer.client import DayLimitReached, SignerClient, StoppedByOperator
from wallet.signer.server import Server, SocketInUse, listen
from wallet.signer.verify import verify
from wallet.store import open_memory
from wallet.types import Address, Intent, IntentId, IntentKind, Slot, Unsigned
from wallet.vault.document import Role

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SignerProcess]:
    """Return a signer that runs for all tests of this module."""
    with SignerProcess(tmp_path_factory.mktemp("signer")) as signer:
        yield signer


@pytest.fixture
def client(running: SignerProcess) -> Iterator[SignerClient]:
    with closing(SignerClient(running.socket)) as client:
        yield client


def test_a_withdrawal_is_signed_once_and_answered_again(
    running: SignerProcess, client: SignerClient
) -> None:
    intent = withdrawal("p1")
    transaction = unsigned(running, intent, 100)
    first = client.sign(intent, transaction, approved(intent, "ann", "ben"))
    assert client.sign(intent, transaction) == first
    running.end(signal.SIGKILL)
    running.start()
    assert client.sign(intent, transaction) == first
    with pytest.raises(NonceConflict, match="second_slot: "):
        client.sign(intent, unsigned(running, intent, 101), approved(intent, "ann", "ben"))


def test_the_signer_says_whose_approvals_a_payment_needs_and_remembers_no_question(
    client: SignerClient,
) -> None:
    before = client.status().position
    found = client.requirement(withdrawal("q1"))
    assert (found.needed, found.officers.age_s_max) == (2, 24 * 60 * 60)
    assert found.officers.keys["ann"] == OFFICERS["ann"].public_key().public_bytes_raw()
    assert client.requirement(withdrawal("q1", 1)).needed == 0
    with pytest.raises(PolicyDenied, match="no_rule"):
        client.requirement(withdrawal("q1", kind=IntentKind.REFILL))
    assert client.status().position == before


def test_each_denial_is_an_error_of_its_kind(running: SignerProcess, client: SignerClient) -> None:
    intent = withdrawal("p2")
    with pytest.raises(ApprovalRequired, match="approvals"):
        client.sign(intent, unsigned(running, intent, 110), approved(intent, "ann"))
    with pytest.raises(ApprovalRequired, match="bad_approval"):
        client.sign(intent, unsigned(running, intent, 110), ["nonsense"])
    with pytest.raises(FeeAboveCap, match="fee_price"):
        client.sign(intent, unsigned(running, intent, 110, price=10**12))
    with pytest.raises(PolicyDenied, match="wrong_effect"):
        client.sign(intent, unsigned(running, intent, 110, value=1))
    with pytest.raises(PolicyDenied, match="bad_transaction"):
        client.sign(intent, unsigned(running, intent, 110, access_list=[[b"", []]]))
    stranger = unsigned(running, intent, 110)
    slot = Slot.numbered(CHAIN, OTHER, 110)
    with pytest.raises(PolicyDenied, match="wrong_key"):
        client.sign(intent, Unsigned(intent_id=intent.id, slot=slot, raw=stranger.raw, fee_max=0))


def test_the_limit_of_a_day_and_the_stop_file_may_be_tried_again_later(
    running: SignerProcess, client: SignerClient
) -> None:
    for number in range(3):
        intent = withdrawal(f"day{number}", 5 * ETHER)
        transaction = unsigned(running, intent, 200 + number)
        client.sign(intent, transaction, approved(intent, "ann", "cat"))
    intent = withdrawal("day3", 5 * ETHER)  # One ether was signed before, of twenty.
    with pytest.raises(DayLimitReached) as late:
        client.sign(intent, unsigned(running, intent, 203), approved(intent, "ann", "cat"))
    assert late.value.retryable
    stop = running.directory / "stop"
    stop.touch()
    try:
        assert client.status().stopped
        with pytest.raises(StoppedByOperator) as refused:
            client.sign(withdrawal("s", 1), unsigned(running, withdrawal("s", 1), 300))
        assert refused.value.retryable
    finally:
        stop.unlink()


def test_the_signer_finds_the_deposit_address_that_a_top_up_pays(running: SignerProcess) -> None:
    keys = running.keyring
    paid = Address(keys.address(Role.DEPOSIT, 17))
    intent = Intent(id=IntentId("g1"), kind=IntentKind.TOP_UP, chain=CHAIN, to=paid, amount=10**15)
    owner = Address(keys.address(Role.GAS, 0))
    raw = unsigned(running, intent, 0).raw
    transaction = Unsigned(
        intent_id=intent.id, slot=Slot.numbered(CHAIN, owner, 0), raw=raw, fee_max=0
    )
    with closing(SignerClient(running.socket)) as blind, pytest.raises(PolicyDenied, match="dest"):
        blind.sign(intent, transaction)
    with closing(SignerClient(running.socket, index_of={paid: 17}.get)) as client:
        assert client.sign(intent, transaction).raw


def test_the_signer_proves_that_it_has_the_keys_that_it_shows(client: SignerClient) -> None:
    keys, text = client.keys(), "Foldex proof: 2026-11-21 block 0xabc"
    for role in ("deposit", "hot", "gas"):
        address, signature = client.sign_message(role, 3, text)
        assert address == keys.address(role, 3)
        assert recover_address(message_digest(text.encode()), signature) == address
    with pytest.raises(PolicyDenied, match="message"):
        client.sign_message("hot", 0, "pay the bearer")
    for role, index in (("cold", 0), ("boss", 0), ("hot", -1)):
        with pytest.raises(PolicyDenied, match="wrong_key"):
            client.sign_message(role, index, text)


def test_a_proof_is_one_that_other_software_accepts(running: SignerProcess) -> None:
    shown = subprocess.run(
        [
            sys.executable,
            "-m",
            "api",
            "signer",
            "prove",
            "Foldex proof: 1",
            "--vault",
            running.directory,
        ],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        check=True,
        timeout=60,
    )
    proof = json.loads(shown.stdout)
    signed = encode_defunct(text=proof["msg"])
    assert Account.recover_message(signed, signature=proof["sig"]) == proof["address"]


@pytest.mark.parametrize(
    "garbage",
    [b"", b"\x00", b"\xff" * 4, b"\x00\x00\x00\x05hello", b"\x00\x00\x00\x00", os.urandom(300)],
)
def test_garbage_harms_nobody_else(
    running: SignerProcess, client: SignerClient, garbage: bytes
) -> None:
    with socket.socket(socket.AF_UNIX) as rude:
        rude.connect(str(running.socket))
        rude.sendall(garbage)
        rude.shutdown(socket.SHUT_WR)
        rude.settimeout(10)
        with suppress(ConnectionResetError):
            while rude.recv(4096):
                pass
    assert client.status().position > 0


def test_many_ask_at_the_same_time_and_each_gets_its_own_answer(running: SignerProcess) -> None:
    answers: dict[int, str] = {}

    def ask(number: int) -> None:
        intent = withdrawal(f"many{number}", 10**16 + number)
        with closing(SignerClient(running.socket)) as client:
            transaction = unsigned(running, intent, 1_000 + number, gas=21_000)
            answers[number] = client.sign(intent, transaction).txid
            assert client.sign(intent, transaction).txid == answers[number]

    with beside(*(partial(ask, number) for number in range(10))):
        pass
    assert len(set(answers.values())) == 10


def test_nothing_secret_is_to_be_seen_from_outside(
    running: SignerProcess, client: SignerClient
) -> None:
    """In the list of processes, the environment, what it wrote, its files and its answers."""
    with pytest.raises(PolicyDenied):
        client.sign(
            withdrawal("x", 1, to=None, kind=IntentKind.DEPLOY, data=b"\xfe"),
            unsigned(running, withdrawal("x", 1), 400),
        )
    assert running.process is not None
    pid = running.process.pid
    ps = ["ps", "axww", "-o", "args"]
    seen = [subprocess.run(ps, capture_output=True, check=True, timeout=60).stdout]
    if sys.platform == "linux":
        seen.append(Path(f"/proc/{pid}/cmdline").read_bytes())
        if os.geteuid() == 0:  # Others may not even look: it is not dumpable.
            seen.append(Path(f"/proc/{pid}/environ").read_bytes())
    seen += [path.read_bytes() for path in running.directory.rglob("*") if path.is_file()]
    seen.append(repr(client.status()).encode() + repr(client.keys().xpubs).encode())
    everything = b"\n".join(seen)
    assert b"signer" in everything
    for secret in _secrets(running):
        assert secret not in everything


def _secrets(running: SignerProcess) -> Iterator[bytes]:
    yield PASSPHRASE.encode()
    yield running.contents.journal_key.reveal()
    yield running.contents.journal_key.reveal().hex().encode()
    for key in running.contents.keys:
        assert key.seed is not None
        entropy = key.seed.entropy.reveal()
        private = key.seed.account(key.path)._key.secret
        yield from (entropy, entropy.hex().encode(), private, private.hex().encode())
        yield key.seed.phrase().reveal().encode()


@linux
def test_the_kernel_keeps_the_process_in(running: SignerProcess, client: SignerClient) -> None:
    assert running.process is not None
    pid = running.process.pid
    status = Path(f"/proc/{pid}/status").read_text()
    assert "NoNewPrivs:\t1" in status
    assert "Seccomp:\t2" in status
    assert {"no network", "no other programs", "not dumpable"} <= set(client.status().hardening)
    limits = Path(f"/proc/{pid}/limits").read_text()
    assert any(
        line.startswith("Max core file size") and " 0 " in line for line in limits.splitlines()
    )
    if os.geteuid() != 0:
        with pytest.raises(PermissionError):
            Path(f"/proc/{pid}/environ").read_bytes()
    inodes = {os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")}
    internet = Path(f"/proc/{pid}/net/tcp").read_text() + Path(f"/proc/{pid}/net/tcp6").read_text()
    ours = {inode[8:-1] for inode in inodes if inode.startswith("socket:[")}
    assert not ours & {line.split()[9] for line in internet.splitlines() if len(line.split()) > 9}


def test_only_our_own_user_is_answered(tmp_path: Path) -> None:
    """The socket is for its owner alone, and the kernel's word on the peer is asked for too."""
    path = tmp_path / "socket"
    world = World(tmp_path)
    with listen(path) as listening:
        assert path.stat().st_mode & 0o777 == 0o600
        with pytest.raises(SocketInUse):
            listen(path)
        stranger = frozenset({os.geteuid() + 1})
        server = Server(signer=world.signer, listening=listening, uids=stranger, hardening=())
        with beside(server.serve):
            with closing(SignerClient(path)) as client, pytest.raises(SignerUnavailable):
                client.status()
            server.stop()
    world.journal.close()


def test_a_second_signer_does_not_start(running: SignerProcess) -> None:
    second = SignerProcess.__new__(SignerProcess)
    second.directory = running.directory
    assert second.launch().wait(timeout=60) == 4
    assert b"another signer" in running.log.read_bytes()


def test_an_answer_that_does_not_come_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "silent"))
        silent.listen()
        client = SignerClient(tmp_path / "silent", timeout_s=0.2)
        with closing(client), pytest.raises(SignerUnavailable, match="timed out"):
            client.status()
    with closing(SignerClient(tmp_path / "nobody")) as client, pytest.raises(SignerUnavailable):
        client.status()


def test_frames_have_a_limit() -> None:
    one, other = socket.socketpair()
    with one, other:
        one.sendall(messages.LENGTH.pack(messages.FRAME_BYTES_MAX + 1))
        with pytest.raises(messages.BadFrame, match="too long"):
            messages.receive(other)
        with pytest.raises(messages.BadFrame, match="too long"):
            messages.send(one, messages.AskXpub(role="x" * messages.FRAME_BYTES_MAX))


def test_a_damaged_journal_stops_the_start_and_says_what_to_do(tmp_path: Path) -> None:
    signer = SignerProcess(tmp_path)
    signer.start()
    assert signer.end() == 0
    path = signer.journal / "journal.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"generation":1', b'"generation":2'))
    assert signer.launch().wait(timeout=60) == 3
    assert b"bring back its newest copy" in signer.log.read_bytes()


def kills(directory: Path, rounds: int, seed: int) -> None:
    """Kill the signer while it is asked, again and again; remember all that it ever answered.

    Whoever asks remembers the journal, which no crash may seem to set back.
    """
    chance = random.Random(seed)
    signer = SignerProcess(directory)
    memory = JournalMemory(Book(CHAIN, open_memory()), writes=True)
    answers: dict[bytes, str] = {}
    slot_of: dict[str, int] = {}
    asked: list[tuple[Intent, int, int]] = []
    for round_ in range(rounds):
        signer.start()
        killer = threading.Timer(chance.uniform(0, 0.15), signer.end, [signal.SIGKILL])
        killer.start()
        with closing(SignerClient(signer.socket, timeout_s=5)) as client:
            client.memory = memory
            for number in range(200):
                again = asked and chance.random() < 0.4
                request = (
                    chance.choice(asked)
                    if again
                    else (
                        withdrawal(
                            f"k{chance.randrange(rounds * 4)}",
                            10**16,
                            to=chance.choice([PAYEE, OTHER]),
                        ),
                        chance.randrange(rounds * 4),
                        chance.randrange(5, 30),
                    )
                )
                asked.append(request)
                intent, nonce, price = request
                transaction = unsigned(
                    signer, intent, nonce, price=price * GWEI, tip=price * 10**7, gas=21_000
                )
                try:
                    signed = client.sign(intent, transaction)
                except SignerUnavailable:
                    break
                except (NonceConflict, PolicyDenied, DayLimitReached):
                    continue
                first = answers.setdefault(intent.id.encode() + transaction.raw, signed.txid)
                assert first == signed.txid, (seed, round_, number)
                assert slot_of.setdefault(intent.id, nonce) == nonce, (seed, round_, number)
        killer.join()
    assert answers, f"seed {seed}: nothing was ever signed"
    authenticate = signer.keyring.authenticate
    signer.start()
    signer.end()
    found = verify(signer.journal, authenticate)
    assert found.signed >= len(answers)
    print(f"{rounds} kills, {found.signed} signed, {found.denied} denied, {len(answers)} answers")


def test_a_signer_that_is_killed_never_pays_another_way(tmp_path: Path) -> None:
    kills(tmp_path, rounds=6, seed=random.randrange(1 << 32))


@pytest.mark.soak
def test_a_signer_that_is_killed_a_thousand_times(tmp_path: Path) -> None:
    kills(tmp_path, rounds=1_000, seed=random.randrange(1 << 32))
