"""Derivation: BIP-32's test vectors, and that what is public cannot become private."""

import copy
import json
import pickle
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wallet.keys.base58 import encode_check
from wallet.keys.errors import BadExtendedKey, BadPath, KeysError
from wallet.keys.paths import HARDENED, format_path, parse_path
from wallet.keys.private import ExtendedPrivateKey
from wallet.keys.public import ExtendedPublicKey
from wallet.keys.secret import Secret

VECTORS = json.loads((Path(__file__).parents[1] / "golden" / "bip_vectors.json").read_text())
SEED = VECTORS["bip32"][0]["seed"]
XPUB = VECTORS["bip32"][0]["xpub"]
INDEX = st.integers(0, HARDENED - 1)


def root(seed: str = SEED) -> ExtendedPrivateKey:
    return ExtendedPrivateKey.from_seed(Secret(bytes.fromhex(seed)))


@pytest.mark.parametrize("vector", VECTORS["bip32"])
def test_keys_are_those_of_the_standard(vector: dict[str, str]) -> None:
    public = root(vector["seed"]).derive(parse_path(vector["path"])).public()
    assert public.text == vector["xpub"]
    assert ExtendedPublicKey.parse(public.text) == public


@given(path=st.lists(INDEX, max_size=3))
def test_public_derivation_agrees_with_private_derivation(path: list[int]) -> None:
    account = root().child(HARDENED)
    assert account.public().derive(tuple(path)) == account.derive(tuple(path)).public()


@given(index=INDEX)
def test_the_point_of_a_child_is_that_of_the_derived_child(index: int) -> None:
    account = root().public()
    assert account.point_of_child(index) == account.child(index).point()


@pytest.mark.parametrize("number", [HARDENED, -1, 2 * HARDENED])
def test_a_public_key_has_no_hardened_children(number: int) -> None:
    for derive in (root().public().child, root().public().point_of_child):
        with pytest.raises(BadPath, match="hardened"):
            derive(number)


def _with(xpub: str, at: int, data: bytes) -> str:
    raw = bytearray(_bytes(ExtendedPublicKey.parse(xpub)))
    raw[at : at + len(data)] = data
    return encode_check(bytes(raw))


def _bytes(key: ExtendedPublicKey) -> bytes:
    head = bytes.fromhex("0488b21e") + bytes([key.depth]) + key.parent_fingerprint
    return head + key.child_number.to_bytes(4, "big") + key.chain_code + key.key


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (VECTORS["bip32_xprv"], "private key"),
        (XPUB[:-1] + "9", "checksum"),
        (XPUB + "0", "wrong characters"),
        ("1" * 500, "too long"),
        ("", "checksum"),
        (encode_check(b"\x04\x88\xb2\x1e" + bytes(60)), "length"),
        (_with(XPUB, 0, b"\x04\x88\xb2\x1f"), "first bytes"),
        (_with(XPUB, 45, b"\x04"), "point"),
        (_with(XPUB, 45, bytes(33)), "point"),
        (_with(XPUB, 46, b"\xff" * 32), "point"),
        (_with(XPUB, 5, b"\x01"), "no parent"),
        (_with(XPUB, 12, b"\x01"), "no parent"),
    ],
)
def test_what_is_no_xpub_is_refused(text: str, message: str) -> None:
    with pytest.raises(BadExtendedKey, match=message) as refused:
        ExtendedPublicKey.parse(text)
    assert not text or text not in str(refused.value)


def test_nothing_of_a_private_key_shows() -> None:
    key = root().derive(parse_path("m/44'/60'/0'"))
    secret = key._key.secret
    assert secret.hex() not in repr(key) + str(key) + str(vars(type(key)).keys())
    for leak in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="neither pickled nor copied"):
            leak(key)
        with pytest.raises(TypeError, match="neither pickled nor copied"):
            leak(Secret(secret))
    assert repr(Secret(secret)) == str(Secret("hunter2")) == f"{Secret('x')}" == "<secret>"


def test_a_signature_is_the_same_each_time_and_its_s_is_low() -> None:
    half = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0
    for number in range(50):
        digest = number.to_bytes(32, "big")
        signature = root().sign(digest)
        assert signature == root().sign(digest)
        assert int.from_bytes(signature[32:64], "big") <= half
        assert signature[64] in (0, 1)


@pytest.mark.parametrize("size", [0, 15, 65])
def test_a_seed_of_another_length_is_refused(size: int) -> None:
    with pytest.raises(KeysError, match="16 to 64"):
        ExtendedPrivateKey.from_seed(Secret(bytes(size)))


@pytest.mark.parametrize("text", ["m", "m/0", "m/44'/60'/0'/0/7", "m/2147483647'"])
def test_a_path_comes_back_from_its_text(text: str) -> None:
    assert format_path(parse_path(text)) == text


@pytest.mark.parametrize(
    "text", ["", "44'/60'", "m/", "m//0", "m/-1", "m/2147483648", "m/01", "m/0''", "m/٣", "M/0"]
)
def test_what_is_no_path_is_refused(text: str) -> None:
    with pytest.raises(BadPath):
        parse_path(text)
