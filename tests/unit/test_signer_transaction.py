"""The signer's own reading of transactions, against another implementation and against trickery."""

import os
from typing import Any

import pytest
import rlp as other_rlp
from eth_abi.abi import encode
from eth_account import Account
from hypothesis import given
from hypothesis import strategies as st

from wallet.keys.ethereum import checksummed, recover_address
from wallet.keys.hashes import keccak256
from wallet.keys.private import ExtendedPrivateKey
from wallet.keys.secret import Secret
from wallet.signer import rlp
from wallet.signer.rlp import BadEncoding
from wallet.signer.transaction import Transaction, decode, transfer_data

TO = bytes.fromhex("70997970c51812dc3a010c7d01b50e0d17dc79c8")
PAYLOADS = st.recursive(
    st.binary(max_size=80), lambda children: st.lists(children, max_size=4), max_leaves=12
)
FIELDS: dict[str, Any] = {
    "chain_id": 1,
    "nonce": 7,
    "tip": 2,
    "price": 9,
    "gas": 21_000,
    "to": TO,
    "value": 5,
    "data": b"",
    "access_list": [],
}


def dynamic(**changes: Any) -> bytes:
    return b"\x02" + rlp.encode(list({**FIELDS, **changes}.values()))


def legacy(*tail: int, nonce: int = 7) -> bytes:
    return rlp.encode([nonce, 9, 21_000, TO, 5, b"", *tail])


@given(item=PAYLOADS)
def test_encoding_agrees_with_another_implementation(item: Any) -> None:
    assert rlp.encode(item) == other_rlp.encode(item)


@given(item=st.lists(st.binary(max_size=80), max_size=70))
def test_what_is_encoded_comes_back(item: list[bytes]) -> None:
    assert rlp.decode_list(rlp.encode(item)) == item


@given(data=st.binary(max_size=60))
def test_whatever_decodes_has_no_other_encoding(data: bytes) -> None:
    try:
        found = rlp.decode_list(data)
    except BadEncoding:
        return
    assert rlp.encode(found) == data


@pytest.mark.parametrize(
    "data",
    ["", "80", "c1", "c28100", "c18161", "f800", "f80180", "f90001c0", "c000", "b8", "c1c1c1c1c0"],
)
def test_what_is_not_canonical_is_refused(data: str) -> None:
    with pytest.raises(BadEncoding):
        rlp.decode_list(bytes.fromhex(data))


@given(
    numbers=st.tuples(
        st.integers(1, 2**32),
        st.integers(0, 2**64 - 1),
        st.integers(0, 2**64),
        st.integers(0, 2**256 - 1),
    ),
    data=st.binary(max_size=100),
    to=st.one_of(st.none(), st.binary(min_size=20, max_size=20)),
)
def test_signed_transactions_are_those_of_another_implementation(
    numbers: tuple[int, int, int, int], data: bytes, to: bytes | None
) -> None:
    chain_id, nonce, price, value = numbers
    key = ExtendedPrivateKey.from_seed(Secret(os.urandom(32)))
    account = Account.from_key(key._key.secret)
    raw = dynamic(
        nonce=nonce, value=value, data=data, to=to or b"", price=price, tip=0, chain_id=chain_id
    )
    common: dict[str, Any] = {
        "nonce": nonce,
        "value": value,
        "data": data,
        "gas": 21_000,
        "chainId": chain_id,
    }
    common |= {"to": checksummed(to)} if to else {}
    for unsigned, fees in (
        (raw, {"maxFeePerGas": price, "maxPriorityFeePerGas": 0}),
        (
            rlp.encode([nonce, price, 21_000, to or b"", value, data, chain_id, 0, 0]),
            {"gasPrice": price},
        ),
    ):
        transaction = decode(unsigned)
        signature = key.sign(transaction.digest)
        expected = account.sign_transaction({**common, **fees})
        assert transaction.signed(signature) == bytes(expected.raw_transaction)
        assert keccak256(transaction.signed(signature)) == bytes(expected.hash)
        assert recover_address(transaction.digest, signature) == account.address


def test_every_field_is_read() -> None:
    found = decode(dynamic())
    expected = Transaction(
        raw=dynamic(), chain_id=1, nonce=7, tip=2, price=9, gas=21_000, to=TO, value=5, data=b""
    )
    assert found == expected
    assert found.fee_max == 189_000
    assert decode(dynamic(to=b"", data=b"code")).to is None
    assert decode(legacy(1, 0, 0)).chain_id == 1


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\x01" + dynamic()[1:],
        b"\x03" + dynamic()[1:],
        b"\x04" + dynamic()[1:],
        dynamic() + b"\x00",
        dynamic()[:-1],
        dynamic(chain_id=0),
        dynamic(chain_id=b"\x00\x01"),
        dynamic(nonce=2**64),
        dynamic(tip=10),
        dynamic(price=2**128),
        dynamic(value=b"\x01" + bytes(32)),
        dynamic(value=b"\x00"),
        dynamic(to=TO[:-1]),
        dynamic(to=TO + b"\x00"),
        dynamic(to=[TO]),
        dynamic(data=[b"x"]),
        dynamic(access_list=[[TO, []]]),
        dynamic(access_list=b""),
        dynamic(signed_already=1),
        legacy(),
        legacy(0, 0, 0),
        legacy(1, 1, 0),
        legacy(37, 5, 5),
        b"\x02" + bytes(200_000),
    ],
)
def test_what_is_not_exactly_an_unsigned_transaction_is_refused(raw: bytes) -> None:
    with pytest.raises(BadEncoding):
        decode(raw)


def test_a_transfer_is_the_call_that_tokens_know() -> None:
    amount = 2**200 + 3
    expected = keccak256(b"transfer(address,uint256)")[:4] + encode(
        ["address", "uint256"], [TO, amount]
    )
    assert transfer_data(TO, amount) == expected
