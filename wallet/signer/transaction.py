"""What an unsigned Ethereum transaction says, read from its bytes by the signer itself.

Types: EIP-1559 (2), and legacy ones that name their chain (EIP-155). All else is refused: a legacy
transaction without a chain can be replayed on every chain.
"""

from dataclasses import dataclass
from typing import Final

from wallet.keys.hashes import keccak256
from wallet.signer import rlp
from wallet.signer.rlp import BadEncoding, Item

BYTES_MAX: Final = 128 * 1024
DYNAMIC: Final = 2
"""The first byte of an EIP-1559 transaction."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction:
    """An unsigned transaction.

    price: the most for one unit of gas. tip: how much of it goes to the block's producer.
    to: None deploys a contract.
    """

    raw: bytes
    chain_id: int
    nonce: int
    tip: int
    price: int
    gas: int
    to: bytes | None
    value: int
    data: bytes

    @property
    def digest(self) -> bytes:
        """What is signed."""
        return keccak256(self.raw)

    @property
    def fee_max(self) -> int:
        """The most it can cost."""
        return self.gas * self.price

    @property
    def is_legacy(self) -> bool:
        """Whether it is of the type from before EIP-1559."""
        return self.raw[0] != DYNAMIC

    def signed(self, signature: bytes) -> bytes:
        """Return the transaction with its signature (r, s, recovery number), ready to send."""
        r, s = (int.from_bytes(signature[at : at + 32], "big") for at in (0, 32))
        recovery = signature[64]
        effect = (self.gas, self.to or b"", self.value, self.data)
        if self.is_legacy:
            v = self.chain_id * 2 + 35 + recovery
            return rlp.encode([self.nonce, self.price, *effect, v, r, s])
        head = (self.chain_id, self.nonce, self.tip, self.price)
        return bytes([DYNAMIC]) + rlp.encode([*head, *effect, [], recovery, r, s])


def decode(raw: bytes) -> Transaction:
    """Return what an unsigned transaction says.

    Raises: BadEncoding: it is none, not in its one canonical form, or of a type that is refused.
    """
    if len(raw) > BYTES_MAX:
        raise BadEncoding(f"longer than {BYTES_MAX} bytes")
    if raw[:1] == bytes([DYNAMIC]):
        return _dynamic(raw, rlp.decode_list(raw[1:]))
    if raw[:1] >= b"\xc0":
        return _legacy(raw, rlp.decode_list(raw))
    raise BadEncoding("neither an EIP-1559 nor a legacy transaction")


def transfer_data(to: bytes, amount: int) -> bytes:
    """Return the call of a token's `transfer(address,uint256)`."""
    return bytes.fromhex("a9059cbb") + bytes(12) + to + amount.to_bytes(32, "big")


def _dynamic(raw: bytes, fields: list[Item]) -> Transaction:
    if len(fields) != 9:
        raise BadEncoding(f"an unsigned EIP-1559 transaction has 9 fields, not {len(fields)}")
    if fields[8] != []:
        raise BadEncoding("access lists are not made here")
    return _transaction(raw, [rlp.number(field) for field in fields[:5]], fields[5:8])


def _legacy(raw: bytes, fields: list[Item]) -> Transaction:
    if len(fields) != 9:
        raise BadEncoding("a legacy transaction without its chain (EIP-155) can be replayed")
    nonce, price, gas = (rlp.number(field) for field in fields[:3])
    chain_id, *zeros = (rlp.number(field) for field in fields[6:])
    if any(zeros):
        raise BadEncoding("this legacy transaction is signed already, or none")
    return _transaction(raw, [chain_id, nonce, price, price, gas], fields[3:6])


def _transaction(raw: bytes, head: list[int], effect: list[Item]) -> Transaction:
    chain_id, nonce, tip, price, gas = head
    to, value, data = effect
    if not isinstance(to, bytes) or len(to) not in (0, 20) or not isinstance(data, bytes):
        raise BadEncoding("the payee is no address, or the data are no bytes")
    if chain_id == 0:
        raise BadEncoding("without a chain it can be replayed on any chain")
    if max(chain_id, nonce, gas) >= 1 << 64 or price >= 1 << 128 or tip > price:
        raise BadEncoding("the chain, nonce, gas, price or tip is out of range")
    return Transaction(
        raw=raw,
        chain_id=chain_id,
        nonce=nonce,
        tip=tip,
        price=price,
        gas=gas,
        to=to or None,
        value=rlp.number(value),
        data=data,
    )
