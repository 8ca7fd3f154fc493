"""python -m benchmarks.custody: addresses derived and transactions signed, per second."""

import os
import tempfile
import time
from pathlib import Path
from statistics import median

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from benchmarks.custody_policy import policy
from benchmarks.machine import commit, machine
from wallet.approvals import approve
from wallet.keys.ethereum import AccountAddresses, parse_address
from wallet.keys.secret import Secret
from wallet.signer import rlp
from wallet.signer.journal import Journal
from wallet.signer.rules import KeyRef, Request
from wallet.signer.signer import Signer
from wallet.signer.transaction import decode
from wallet.types import Address, ChainId, Intent, IntentId, IntentKind, Slot
from wallet.vault.contents import Contents, Key, Seed
from wallet.vault.document import ONLINE_ROLES, Role
from wallet.vault.protection import MEMORY_KIB, PassphraseProtection

RUNS = 5
ADDRESSES = 20_000
SIGNATURES = 1_000
CHAIN = ChainId("eip155:1337")
PAYEE = Address("0x70997970C51812dc3A010C7d01b50e0d17dc79C8")
HOT = KeyRef(role=Role.HOT, index=0)


def main() -> None:
    """Measure each in turn, several times over, and print the medians."""
    facts = ", ".join(f"{name} {value}" for name, value in machine().items())
    print(f"{facts}, commit {commit()}, median of {RUNS}")
    print(
        f"{median(derive() for _ in range(RUNS)):>10,.0f} addresses/s from an extended public key"
    )
    for officers in (0, 2):
        rate = median(sign(officers) for _ in range(RUNS))
        print(f"{rate:>10,.0f} transactions/s signed, {officers} approvals each, journal on disk")
    print(
        f"{median(unlock() for _ in range(RUNS)) * 1000:>10,.0f} ms to make a key of a passphrase"
    )


def derive() -> float:
    """Return how many deposit addresses, with their checksum letters, one process derives."""
    addresses = AccountAddresses(Key.of_seed(Role.DEPOSIT, Seed.new(os.urandom)).xpub)
    started = time.perf_counter()
    for index in range(ADDRESSES):
        addresses.address(index)
    return ADDRESSES / (time.perf_counter() - started)


def sign(officers: int) -> float:
    """Return how many withdrawals are checked, journalled (two fsyncs each) and signed."""
    keys = {f"officer{number}": Ed25519PrivateKey.generate() for number in range(officers)}
    contents = Contents.new(
        tuple(Key.of_seed(role, Seed.new(os.urandom)) for role in ONLINE_ROLES), os.urandom
    )
    keyring = contents.keyring()
    owner = Address(keyring.address(Role.HOT, 0))
    requests = [_request(number, owner, keys) for number in range(SIGNATURES)]
    with tempfile.TemporaryDirectory(dir=".") as directory:
        Journal.create(Path(directory), keyring.authenticate)
        journal = Journal(Path(directory), keyring.authenticate)
        signer = Signer(
            keyring=keyring,
            policy=policy(Path(directory) / "stop", keys),
            journal=journal,
            clock=lambda: time.time_ns() // 1_000_000,
        )
        started = time.perf_counter()
        for request in requests:
            signer.sign(request)
        seconds = time.perf_counter() - started
        journal.close()
    return SIGNATURES / seconds


def unlock() -> float:
    """Return how long a passphrase takes to become a key, in seconds."""
    protection = PassphraseProtection.new(Secret("a passphrase for this"), os.urandom, MEMORY_KIB)
    started = time.perf_counter()
    protection.wrap(Secret(bytes(32)), b"")
    return time.perf_counter() - started


def _request(number: int, owner: Address, keys: dict[str, Ed25519PrivateKey]) -> Request:
    now_ms = time.time_ns() // 1_000_000
    intent = Intent(
        id=IntentId(f"w{number}"), kind=IntentKind.WITHDRAWAL, chain=CHAIN, to=PAYEE, amount=10**18
    )
    payee = parse_address(PAYEE)
    fields: list[rlp.Encodable] = [
        1337,
        number,
        10**9,
        30 * 10**9,
        21_000,
        payee,
        intent.amount,
        b"",
        [],
    ]
    return Request(
        intent=intent,
        transaction=decode(b"\x02" + rlp.encode(fields)),
        slot=Slot.numbered(CHAIN, owner, number),
        key=HOT,
        approvals=tuple(
            approve(key, name, intent, approved_ms=now_ms) for name, key in keys.items()
        ),
    )


if __name__ == "__main__":
    main()
