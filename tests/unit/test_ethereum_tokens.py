"""What a contract says of itself before it is taken as a token."""

import pytest

from tests.ethereum_world import DevWorld, someone
from wallet.errors import TokenMismatch, UnknownContract
from wallet.ethereum.tokens import read_number
from wallet.types import TokenId


@pytest.fixture(scope="module")
def world() -> DevWorld:
    return DevWorld()


@pytest.mark.parametrize("decimals", [0, 6, 18, 255])
def test_a_token_tells_its_decimals(world: DevWorld, decimals: int) -> None:
    _, contract = world.deploy("erc20", "Test", "TST", decimals, "1000")
    assert world.chain.token_decimals(TokenId(contract)) == decimals


def test_where_there_is_no_code_there_is_no_token(world: DevWorld) -> None:
    for address in (someone().address, world.rich.address):
        with pytest.raises(UnknownContract):
            world.chain.token_decimals(TokenId(address))


@pytest.mark.parametrize("name", ["collectible", "payer", "silent_token"])
def test_a_contract_that_tells_no_decimals_is_no_token(world: DevWorld, name: str) -> None:
    arguments = (10**12,) if name == "silent_token" else ()
    _, contract = world.deploy(name, *arguments)
    with pytest.raises(TokenMismatch, match="tells no decimals"):
        world.chain.token_decimals(TokenId(contract))


def test_only_one_word_is_a_number() -> None:
    word = "00" * 31 + "06"
    assert read_number("0x" + word) == 6
    for answer in ("0x", "0x06", "0x" + word * 2):
        assert read_number(answer) is None
