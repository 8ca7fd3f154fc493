"""The bytes of an EIP-1559 transaction, before and after it is signed."""

from dataclasses import dataclass

import rlp
from rlp.exceptions import RLPException

from wallet.errors import BadRequest
from wallet.ethereum.tokens import read_transfer_call
from wallet.keys.errors import BadAddress
from wallet.keys.ethereum import checksummed, recover_address
from wallet.keys.hashes import keccak256
from wallet.keys.public import ORDER
from wallet.types import Address, ChainId, Decoded, TokenId, TxId

TYPE = b"\x02"
UNSIGNED_FIELDS = 9
SIGNED_FIELDS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Fields:
    """An unsigned transaction. to: empty deploys `data`."""

    chain_id: int
    nonce: int
    tip: int
    price: int
    gas: int
    to: bytes
    value: int
    data: bytes

    def encode(self) -> bytes:
        """Return the bytes whose hash is signed."""
        head = [self.chain_id, self.nonce, self.tip, self.price, self.gas]
        return TYPE + bytes(rlp.encode([*head, self.to, self.value, self.data, []]))

    def signed(self, signature: bytes) -> bytes:
        """Return it with a signature of 65 bytes (r, s, parity) of the hash of `encode`."""
        r, s = (int.from_bytes(signature[at : at + 32], "big") for at in (0, 32))
        items = rlp.decode(self.encode()[1:])
        return TYPE + bytes(rlp.encode([*items, signature[64], r, s]))


def read(raw: bytes) -> Fields:
    """Return the fields of a transaction, signed or not. Raises: BadRequest."""
    items = _items(raw)
    if items[8]:
        raise BadRequest("we make no transactions with an access list")
    numbers = [int.from_bytes(items[index], "big") for index in (0, 1, 2, 3, 4, 6)]
    chain_id, nonce, tip, price, gas, value = numbers
    if len(items[5]) not in {0, 20}:
        raise BadRequest("the transaction's payee is no address")
    return Fields(
        chain_id=chain_id,
        nonce=nonce,
        tip=tip,
        price=price,
        gas=gas,
        to=items[5],
        value=value,
        data=items[7],
    )


def parse(raw: bytes) -> Decoded:
    """Return what a transaction would do. Raises: BadRequest."""
    fields = read(raw)
    signed = len(_items(raw)) == SIGNED_FIELDS
    to, token, amount, data = _meaning(fields)
    return Decoded(
        chain=chain_id_text(fields.chain_id),
        anchor=str(fields.nonce),
        sender=_sender(raw) if signed else None,
        txid=TxId("0x" + keccak256(raw).hex()) if signed else None,
        to=to,
        token=token,
        amount=amount,
        data=data,
        price=fields.price,
        tip=fields.tip,
        fee_max=fields.gas * fields.price,
    )


def chain_id_text(number: int) -> ChainId:
    """Return the CAIP-2 name of a chain."""
    return ChainId(f"eip155:{number}")


def _meaning(fields: Fields) -> tuple[Address | None, TokenId | None, int, bytes]:
    """Return payee, token, amount and data: those of a token's transfer when it is one."""
    if not fields.to:
        return None, None, fields.value, fields.data
    receiver = checksummed(fields.to)
    payment = None if fields.value else read_transfer_call(fields.data)
    if payment is None:
        return Address(receiver), None, fields.value, fields.data
    payee, amount = payment
    return Address(checksummed(payee)), TokenId(receiver), amount, b""


def _items(raw: bytes) -> list[bytes]:
    if raw[:1] != TYPE:
        raise BadRequest("no EIP-1559 transaction")
    try:
        items = rlp.decode(raw[1:])
    except RLPException as error:
        raise BadRequest("no transaction: its encoding is broken") from error
    if not isinstance(items, list) or len(items) not in {UNSIGNED_FIELDS, SIGNED_FIELDS}:
        raise BadRequest("no EIP-1559 transaction: it has other fields")
    if any(isinstance(item, list) for index, item in enumerate(items) if index != 8):
        raise BadRequest("no EIP-1559 transaction: a field is a list")
    return items


def _sender(raw: bytes) -> Address:
    items = _items(raw)
    unsigned = TYPE + bytes(rlp.encode(items[:UNSIGNED_FIELDS]))
    parity, r, s = (int.from_bytes(item, "big") for item in items[UNSIGNED_FIELDS:])
    if parity > 1 or max(r.bit_length(), s.bit_length()) > 256 or s > ORDER // 2:
        raise BadRequest("the transaction's signature is not valid")
    signature = r.to_bytes(32, "big") + s.to_bytes(32, "big") + bytes([parity])
    try:
        return Address(recover_address(keccak256(unsigned), signature))
    except BadAddress as error:
        raise BadRequest("the transaction's signature is not valid") from error
