"""An Ethereum chain for tests, with people who pay: on our own node, or on a real one."""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from coincurve import PrivateKey

from tests.waiting import PATIENCE_S
from wallet.chain import Artefact, Chain, Heads
from wallet.ethereum.chain import EthereumChain
from wallet.ethereum.compiled import own_artefact, read_artefact
from wallet.ethereum.contracts import EthereumContracts
from wallet.ethereum.devnode.node import DevNode, dev_keys
from wallet.ethereum.devnode.provider import DevNodeProvider
from wallet.ethereum.rpc import Rpc
from wallet.ethereum.transaction import Fields, read
from wallet.keys.ethereum import checksummed
from wallet.keys.hashes import keccak256
from wallet.types import (
    Address,
    Attempt,
    BlockRef,
    FeePolicy,
    Intent,
    IntentId,
    IntentKind,
    Mined,
    Slot,
    TokenId,
    TxId,
    Unsigned,
)

CONTRACTS = Path(__file__).parent / "contracts"
ETHER = 10**18
GWEI = 10**9
WRAPPED = (
    "60003560e01c"  # By the selector:
    "806370a0823114602957"
    "8063d0e30db014603657"
    "80632e1a7d4d14603e57"
    "60006000fd"
    "5b6004355460005260206000f3"  # balanceOf(address)
    "5b33543401335500"  # deposit()
    "5b60043533540333556000600060006000600435335af15000"  # withdraw(uint256)
)
"""Wrapped coins: `balanceOf`, `deposit()` and `withdraw(uint256)`, without logs or decimals."""
RICH = FeePolicy(price_max=1000 * GWEI, total_max=ETHER)


@dataclass(frozen=True, slots=True)
class Person:
    """Someone with a key."""

    key: bytes

    @property
    def address(self) -> Address:
        point = PrivateKey(self.key).public_key.format(compressed=False)
        return Address(checksummed(keccak256(point[1:])[-20:]))

    def sign(self, unsigned: Unsigned) -> Attempt:
        """Sign what the chain built, as the signer would."""
        signature = PrivateKey(self.key).sign_recoverable(keccak256(unsigned.raw), hasher=None)
        raw = read(unsigned.raw).signed(signature)
        txid = TxId("0x" + keccak256(raw).hex())
        return Attempt(intent_id=unsigned.intent_id, slot=unsigned.slot, txid=txid, raw=raw)


def someone() -> Person:
    """Return a person nobody has met."""
    return Person(uuid4().bytes * 2)


def artefact(name: str) -> Artefact:
    """Return one of the contracts of `tests/contracts`, or the plain ERC-20."""
    file = CONTRACTS / f"{name}.json"
    return read_artefact(file.read_text()) if file.exists() else own_artefact(name)


class World:
    """A chain and those who pay on it. `rich` holds thousands of coins."""

    def __init__(self, rpc: Rpc) -> None:
        self.rpc = rpc
        self.chain = EthereumChain(rpc)
        self.contracts = EthereumContracts(self.chain)
        self.rich, self.rival = (Person(key) for key in dev_keys()[:2])

    def mine(self, blocks: int = 1) -> None:
        """Seal blocks from what waits."""
        for _ in range(blocks):
            self.rpc.call("evm_mine")

    def slot(self, owner: Person) -> Slot:
        """Return the next slot of someone who has nothing waiting, or after what waits."""
        nonce = int(self.rpc.call("eth_getTransactionCount", owner.address, "pending"), 16)
        return Slot.numbered(self.chain.id, owner.address, nonce)

    def attempt(
        self,
        owner: Person,
        intent: Intent,
        slot: Slot | None = None,
        previous: Sequence[Attempt] = (),
    ) -> Attempt:
        """Build and sign, as custody does."""
        offer = self.chain.estimate_fee(RICH)
        return owner.sign(self.chain.build(intent, slot or self.slot(owner), offer, previous))

    def payment(self, to: Address, amount: int, token: TokenId | None = None) -> Intent:
        """Return an intent to pay."""
        return Intent(
            id=IntentId(uuid4().hex),
            kind=IntentKind.WITHDRAWAL,
            chain=self.chain.id,
            to=to,
            amount=amount,
            token=token,
        )

    def pay(self, to: Address, amount: int, token: TokenId | None = None) -> TxId:
        """Let `rich` pay; it waits for the next block."""
        return self.send(self.rich, self.payment(to, amount, token))

    def send(self, owner: Person, intent: Intent) -> TxId:
        """Build, sign and broadcast; it waits for the next block."""
        attempt = self.attempt(owner, intent)
        self.rpc.call("eth_sendRawTransaction", "0x" + attempt.raw.hex())
        return attempt.txid

    def force(
        self, to: Address, *, value: int = 0, data: bytes = b"", tip: int = GWEI, gas: int = 200_000
    ) -> TxId:
        """Send from `rich` without trying out first whether it would fail."""
        slot = self.slot(self.rich)
        fields = Fields(
            chain_id=int(self.chain.id.partition(":")[2]),
            nonce=slot.number,
            tip=tip,
            price=100 * GWEI,
            gas=gas,
            to=bytes.fromhex(to[2:]),
            value=value,
            data=data,
        )
        unsigned = Unsigned(intent_id=IntentId("forced"), slot=slot, raw=fields.encode(), fee_max=0)
        attempt = self.rich.sign(unsigned)
        self.rpc.call("eth_sendRawTransaction", "0x" + attempt.raw.hex())
        return attempt.txid

    def deploy(self, name: str, *arguments: Any) -> tuple[Artefact, Address]:
        """Let `rich` deploy a contract, and mine it."""
        made = artefact(name)
        intent = self.contracts.deploy(IntentId(uuid4().hex), made, arguments)
        return made, self._mined(intent)

    def running(self, code: str) -> Address:
        """Let `rich` deploy a contract that consists of this code, and mine it."""
        size = f"{len(code) // 2:02x}"
        copies = bytes.fromhex(f"60{size}600c60003960{size}6000f3{code}")
        made = Artefact(name="made", abi=[], bytecode=copies)
        return self._mined(self.contracts.deploy(IntentId(uuid4().hex), made, ()))

    def token(self, name: str = "erc20") -> TokenId:
        """Let `rich` deploy a token and keep its whole supply of 10**12 units."""
        arguments = ("Test", "TST", 6, 10**12) if name == "erc20" else (10**12,)
        return TokenId(self.deploy(name, *arguments)[1])

    def transact(self, made: Artefact, address: Address, method: str, *arguments: Any) -> TxId:
        """Let `rich` call a method; it waits for the next block."""
        intent = self.contracts.transact(IntentId(uuid4().hex), made, address, method, arguments)
        return self.send(self.rich, intent)

    def _mined(self, intent: Intent) -> Address:
        attempt = self.attempt(self.rich, intent)
        self.rpc.call("eth_sendRawTransaction", "0x" + attempt.raw.hex())
        self.mine()
        mined = self.chain.outcome([attempt])
        assert isinstance(mined, Mined)
        assert mined.ok
        assert mined.contract is not None
        return mined.contract


class DevWorld(World):
    """A world on a node of our own, which nothing else uses."""

    def __init__(self) -> None:
        self.node = DevNode()
        super().__init__(Rpc(DevNodeProvider(self.node), pause=lambda s: None))


def receipt_of(world: World, txid: TxId) -> Any:
    """Return the receipt of a transaction as the node gives it."""
    receipt = world.rpc.call("eth_getTransactionReceipt", txid)
    assert receipt is not None, txid
    return receipt


class Follower(threading.Thread):
    """Follows a chain by hints, as the scanner does, and writes down each block."""

    def __init__(self, chain: Chain, heads: Heads, *, first: int = 1, count: int) -> None:
        super().__init__(daemon=True)
        self.seen: list[BlockRef] = []
        self._chain, self._heads, self._first, self._count = chain, heads, first, count

    def run(self) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while len(self.seen) < self._count and time.monotonic() < deadline:
            if self._heads.wait(1):
                self._catch_up()

    def _catch_up(self) -> None:
        while (ref := self._chain.block_ref(self._first + len(self.seen))) is not None:
            self.seen.append(ref)
