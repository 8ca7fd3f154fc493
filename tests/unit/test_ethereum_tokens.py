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


@pytest.mark.parametrize("name", ["collectible", "payer"])
def test_a_contract_that_tells_no_balances_is_no_token(world: DevWorld, name: str) -> None:
    _, contract = world.deploy(name)
    with pytest.raises(TokenMismatch, match="tells no balances"):
        world.chain.token_decimals(TokenId(contract))


def test_a_token_may_tell_no_decimals(world: DevWorld) -> None:
    """EIP-20: "Interfaces and other contracts MUST NOT expect these values to be present"."""
    _, contract = world.deploy("silent_token", 10**12)
    assert world.chain.token_decimals(TokenId(contract)) is None


ONE_BUT_NO_DECIMALS = "60003560e01c63313ce56714601957600160005260206000f35b60006000fd"
"""A contract that refuses `decimals()` and answers everything else with 1."""
TWO_FIVE_SIX = "61010060005260206000f3"
"""A contract that answers everything with 256."""


def test_a_collectible_that_tells_balances_is_no_token_either(world: DevWorld) -> None:
    with pytest.raises(TokenMismatch, match="or of one each"):
        world.chain.token_decimals(TokenId(world.running(ONE_BUT_NO_DECIMALS)))


def test_decimals_that_are_too_many_for_a_byte_are_none(world: DevWorld) -> None:
    with pytest.raises(TokenMismatch, match="its decimals are no such number"):
        world.chain.token_decimals(TokenId(world.running(TWO_FIVE_SIX)))


def test_only_one_word_is_a_number() -> None:
    word = "00" * 31 + "06"
    assert read_number("0x" + word) == 6
    for answer in ("0x", "0x06", "0x" + word * 2):
        assert read_number(answer) is None
