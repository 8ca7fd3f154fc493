"""Ethereum's addresses: known ones, and EIP-55's own examples."""

import pytest

from wallet.keys.bip39 import entropy_of, seed_of
from wallet.keys.errors import BadAddress, BadPath
from wallet.keys.ethereum import AccountAddresses, address_of, checksummed, parse_address
from wallet.keys.paths import HARDENED, account_path, address_path
from wallet.keys.private import ExtendedPrivateKey
from wallet.keys.secret import Secret

EIP_55 = (
    "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
    "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
    "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
    "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
    "0x52908400098527886E0F7030069857D2E4169EE7",
    "0xde709f2102306220921060314715629080e2fb77",
)
# Those that wallets show for the phrases "abandon … about" and "test … junk" (anvil's, hardhat's).
ABANDON = "0x9858EfFD232B4033E47d90003D41EC34EcaEda94"
JUNK = (
    "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266",
    "0x70997970C51812dc3A010C7d01b50e0d17dc79C8",
    "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC",
)


def account(phrase: str) -> ExtendedPrivateKey:
    seed = seed_of(entropy_of(Secret(phrase)), Secret(""))
    return ExtendedPrivateKey.from_seed(seed).derive(account_path(0))


def test_addresses_are_those_that_other_wallets_derive() -> None:
    assert AccountAddresses(account("abandon " * 11 + "about").public()).address(0) == ABANDON
    derived = AccountAddresses(account("test " * 11 + "junk").public())
    assert tuple(derived.address(index) for index in range(3)) == JUNK


def test_the_private_side_has_the_address_that_the_public_side_shows() -> None:
    private = account("test " * 11 + "junk")
    for index in (0, 1, HARDENED - 1):
        key = private.derive(address_path(index))
        assert address_of(key.public()) == AccountAddresses(private.public()).address(index)


@pytest.mark.parametrize("index", [-1, HARDENED])
def test_an_index_out_of_range_has_no_address(index: int) -> None:
    with pytest.raises(BadPath):
        AccountAddresses(account("test " * 11 + "junk").public()).address(index)
    with pytest.raises(BadPath):
        address_path(index)


@pytest.mark.parametrize("text", EIP_55)
def test_capital_letters_are_the_checksum(text: str) -> None:
    assert parse_address(text) == parse_address(text.lower()) == bytes.fromhex(text[2:])
    assert checksummed(parse_address(text)).lower() == text.lower()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0x",
        EIP_55[0][:-1],
        EIP_55[0] + "0",
        EIP_55[0][2:],
        EIP_55[0].replace("A", "a", 1),
        "0x" + "g" * 40,
        EIP_55[0] + "\n",
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(BadAddress):
        parse_address(text)
