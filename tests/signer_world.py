"""What tests of the signer share: a vault's keys, a policy, officers, requests, a clock."""

import base64
import os
from dataclasses import dataclass, field, replace
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from wallet.approvals import Approval, approve
from wallet.keys.ethereum import parse_address
from wallet.signer import rlp, transaction
from wallet.signer.journal import Journal
from wallet.signer.policy import Policy, parse_policy
from wallet.signer.rules import KeyRef, Request
from wallet.signer.signer import Signer
from wallet.signer.transaction import transfer_data
from wallet.types import Address, ChainId, Intent, IntentId, IntentKind, Slot, TokenId
from wallet.vault.contents import Contents, Key, Seed
from wallet.vault.document import Role
from wallet.vault.keyring import Keyring

CHAIN = ChainId("eip155:1337")
PAYEE = Address("0x70997970C51812dc3A010C7d01b50e0d17dc79C8")
OTHER = Address("0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC")
TOKEN = TokenId("0x5FbDB2315678afecb367f032d93F642f64180aa3")
CONTRACT = Address("0xe7f1725E7734CE288F8367e1Bb143E90bb3F0512")
HOT = KeyRef(role=Role.HOT, index=0)
GAS = KeyRef(role=Role.GAS, index=0)
GWEI = 10**9
ETHER = 10**18
NOON_MS = 1_800_000_000_000
SELECTOR = bytes.fromhex("3fb5c1cb")

POLICY = """
version = 1
stop_file = "{stop_file}"

[[officers]]
name = "ann"
public_key = "{ann}"
[[officers]]
name = "ben"
public_key = "{ben}"
[[officers]]
name = "cat"
public_key = "{cat}"

[[chains]]
id = "eip155:1337"
gas_max = 1_000_000
gas_price_max = "200000000000"
fee_max = "50000000000000000"
fees_per_day = "500000000000000000"
fee_share_bps_max = 1000

[[rules]]
chain = "eip155:1337"
kind = "withdrawal"
roles = ["hot"]
to = ["any"]
per_transaction = "5000000000000000000"
per_day = "20000000000000000000"
approvals = 2
approvals_above = "100000000000000000"

[[rules]]
chain = "eip155:1337"
kind = "withdrawal"
token = "0x5FbDB2315678afecb367f032d93F642f64180aa3"
roles = ["hot"]
to = ["any"]
per_transaction = "1000"
per_day = "5000"
approvals = 1

[[rules]]
chain = "eip155:1337"
kind = "sweep"
roles = ["deposit", "hot"]
to = ["own:hot", "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC"]
per_transaction = "100000000000000000000"
per_day = "1000000000000000000000"
approvals = 0

[[rules]]
chain = "eip155:1337"
kind = "top_up"
roles = ["gas"]
to = ["own:deposit"]
per_transaction = "10000000000000000"
per_day = "100000000000000000"
approvals = 0

[[rules]]
chain = "eip155:1337"
kind = "release"
roles = ["hot", "gas", "deposit"]
approvals = 0

[[rules]]
chain = "eip155:1337"
kind = "deploy"
roles = ["hot"]
approvals = 1

[[rules]]
chain = "eip155:1337"
kind = "call"
roles = ["hot"]
to = ["0xe7f1725E7734CE288F8367e1Bb143E90bb3F0512"]
selectors = ["0x3fb5c1cb"]
approvals = 1
"""

OFFICERS = {
    name: Ed25519PrivateKey.from_private_bytes(name.encode() * 8 + bytes(8))
    for name in ("ann", "ben", "cat")
}


def public_key(name: str) -> str:
    """Return an officer's public key, base64."""
    return base64.b64encode(OFFICERS[name].public_key().public_bytes_raw()).decode()


def policy_text(directory: Path) -> str:
    """Return the policy that these tests use."""
    keys = {name: public_key(name) for name in OFFICERS}
    return POLICY.format(stop_file=directory / "stop", **keys)


def new_contents() -> Contents:
    """Return a vault's contents: the three roles with seeds, and a cold key that is watched."""
    cold = Key.of_seed(Role.COLD, Seed.new(os.urandom)).xpub
    seeded = (Role.DEPOSIT, Role.HOT, Role.GAS)
    keys = tuple(Key.of_seed(role, Seed.new(os.urandom)) for role in seeded)
    return Contents.new((*keys, Key.watched(Role.COLD, cold)), os.urandom)


def approvals(intent: Intent, *names: str, approved_ms: int = NOON_MS) -> tuple[Approval, ...]:
    """Return the officers' approvals of an intent."""
    return tuple(approve(OFFICERS[name], name, intent, approved_ms=approved_ms) for name in names)


def withdrawal(name: str = "w1", amount: int = ETHER, **changes: object) -> Intent:
    """Return a withdrawal of ether, with parts changed."""
    intent = Intent(
        id=IntentId(name), kind=IntentKind.WITHDRAWAL, chain=CHAIN, to=PAYEE, amount=amount
    )
    return replace(intent, **changes)  # type: ignore[arg-type]


def payload(intent: Intent, owner: str) -> tuple[bytes, int, bytes]:
    """Return payee, value and data of the transaction that does what an intent says."""
    if intent.kind is IntentKind.RELEASE:
        return parse_address(owner), 0, b""
    if intent.token is not None:
        return (
            parse_address(intent.token),
            0,
            transfer_data(parse_address(intent.to or ""), intent.amount),
        )
    return (parse_address(intent.to) if intent.to else b""), intent.amount, intent.data


def raw(
    keyring: Keyring, intent: Intent, key: KeyRef = HOT, nonce: int = 0, **parts: object
) -> bytes:
    """Return the unsigned transaction of an intent, with parts changed."""
    to, value, data = payload(intent, keyring.address(key.role, key.index))
    fields: dict[str, object] = {
        "chain_id": 1337,
        "nonce": nonce,
        "tip": GWEI,
        "price": 30 * GWEI,
        "gas": 100_000,
        "to": to,
        "value": value,
        "data": data,
        "access_list": [],
    }
    fields.update(parts)
    return b"\x02" + rlp.encode(list(fields.values()))  # type: ignore[arg-type]


@dataclass
class World:
    """One signer and all around it; it can be restarted."""

    directory: Path
    contents: Contents = field(default_factory=new_contents)
    now_ms: int = NOON_MS
    changes: dict[str, str] = field(default_factory=dict)
    """What the policy says otherwise: new texts by old ones."""

    def __post_init__(self) -> None:
        """Make an empty journal and start."""
        text = policy_text(self.directory)
        for old, new in self.changes.items():
            assert old in text, f"the policy does not say {old}"
            text = text.replace(old, new)
        self.policy: Policy = parse_policy(text)
        self.keyring: Keyring = self.contents.keyring()
        Journal.create(self.directory, self.keyring.authenticate)
        self.start()

    def start(self) -> None:
        """Start a signer on the journal that is there."""
        self.journal = Journal(self.directory, self.keyring.authenticate)
        try:
            self.signer = Signer(
                keyring=self.keyring,
                policy=self.policy,
                journal=self.journal,
                clock=lambda: self.now_ms,
            )
        except BaseException:
            self.journal.close()
            raise

    def restart(self) -> None:
        """Stop and start again."""
        self.journal.close()
        self.start()

    def raw(self, intent: Intent, key: KeyRef = HOT, nonce: int = 0, **parts: object) -> bytes:
        """Return the unsigned transaction of an intent, with parts changed."""
        return raw(self.keyring, intent, key, nonce, **parts)

    def slot(self, key: KeyRef = HOT, nonce: int = 0) -> Slot:
        """Return a slot of one of our addresses."""
        owner = Address(self.keyring.address(key.role, key.index))
        return Slot.numbered(CHAIN, owner, nonce)

    def request(
        self,
        intent: Intent,
        *officers: str,
        key: KeyRef = HOT,
        nonce: int = 0,
        destination: KeyRef | None = None,
        **parts: object,
    ) -> Request:
        """Return the request to sign an intent, approved by officers, with parts changed."""
        return Request(
            intent=intent,
            transaction=transaction.decode(self.raw(intent, key, nonce, **parts)),
            slot=self.slot(key, nonce),
            key=key,
            destination=destination,
            approvals=approvals(intent, *officers, approved_ms=self.now_ms),
        )
