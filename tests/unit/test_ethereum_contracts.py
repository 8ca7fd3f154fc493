"""Contracts: deployed, called, and what does not fit them."""

import json
from typing import Any

import pytest

from tests.ethereum_world import DevWorld, artefact, someone
from wallet.errors import (
    BadAddress,
    BadRequest,
    CallFailed,
    UnknownContract,
    UnknownMethod,
    WillFail,
)
from wallet.ethereum import abi
from wallet.ethereum.compiled import own_artefact, read_artefact
from wallet.types import Address, IntentId, IntentKind

ID = IntentId("c1")
ZERO = "0x" + "00" * 20


@pytest.fixture
def world() -> DevWorld:
    return DevWorld()


def test_a_contract_is_deployed_called_and_transacted_with(world: DevWorld) -> None:
    made, address = world.deploy("erc20", "Tether", "USDT", 6, str(10**12))
    payee = someone().address
    world.transact(made, address, "transfer", payee, "25")
    world.mine()
    call = world.contracts.call
    assert call(made, address, "balanceOf", [payee]) == 25
    assert call(made, address, "balanceOf", [world.rich.address]) == 10**12 - 25
    assert call(made, address, "decimals", []) == 6
    assert call(made, address, "name", []) == "Tether"


def test_an_intent_to_call_says_what_goes_where(world: DevWorld) -> None:
    payee = someone().address
    made, payer = world.deploy("payer")
    intent = world.contracts.transact(ID, made, payer, "pay", [payee], value=7)
    assert (intent.kind, intent.to, intent.amount) == (IntentKind.CALL, payer, 7)
    assert intent.data.hex().endswith(payee[2:].lower())


def test_a_call_that_is_refused_says_why(world: DevWorld) -> None:
    made, address = world.deploy("erc20", "T", "T", 6, 1)
    with pytest.raises(CallFailed, match="balance too low"):
        world.contracts.call(made, address, "transfer", [someone().address, 2])
    with pytest.raises(WillFail, match="balance too low"):
        world.transact(made, address, "transfer", someone().address, 2)


def test_where_there_is_no_contract_nothing_is_called(world: DevWorld) -> None:
    with pytest.raises(UnknownContract):
        world.contracts.call(artefact("erc20"), someone().address, "decimals", [])
    with pytest.raises(UnknownContract):
        world.contracts.transact(ID, artefact("payer"), someone().address, "pay", [ZERO])
    with pytest.raises(BadAddress):
        world.contracts.transact(ID, artefact("payer"), Address("0x12"), "pay", [ZERO])
    with pytest.raises(UnknownContract):
        own_artefact("../contracts")


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("nothing", []),
        ("transfer", []),
        ("transfer", ["0x12", 1]),
        ("transfer", ["0x" + "11" * 20, -1]),
        ("transfer", ["0x" + "11" * 20, 2**256]),
        ("transfer", ["0x" + "11" * 20, 1.0]),
        ("transfer", ["0x" + "11" * 20, "ten"]),
        ("transfer", ["0x" + "11" * 20, None]),
    ],
)
def test_arguments_that_do_not_fit_are_refused(
    world: DevWorld, method: str, arguments: list[Any]
) -> None:
    with pytest.raises(UnknownMethod):
        world.contracts.transact(ID, artefact("erc20"), someone().address, method, arguments)


def test_a_constructor_is_given_what_it_takes(world: DevWorld) -> None:
    with pytest.raises(UnknownMethod):
        world.contracts.deploy(ID, artefact("erc20"), ["T", "T", 6])
    with pytest.raises(UnknownMethod):
        world.contracts.deploy(ID, artefact("erc20"), ["T", "T", 256, 1])


POINT = {"type": "tuple", "name": "p", "components": [
    {"type": "uint256", "name": "x"}, {"type": "bytes2", "name": "tag"}]}  # fmt: skip
ABI = [
    {"type": "function", "name": "f", "inputs": [{"type": "uint8", "name": "a"}], "outputs": []},
    {"type": "function", "name": "f", "inputs": [{"type": "bool", "name": "a"}], "outputs": []},
    {
        "type": "function",
        "name": "g",
        "inputs": [POINT | {"type": "tuple[]"} | {"name": "ps"}],
        "outputs": [{"type": "address[]", "name": ""}, {"type": "bytes", "name": ""}],
    },
]


def test_of_methods_with_one_name_the_signature_chooses() -> None:
    with pytest.raises(UnknownMethod, match="several"):
        abi.encode_call(ABI, "f", [1])
    assert abi.encode_call(ABI, "f(bool)", [True])[0] != abi.encode_call(ABI, "f(uint8)", [1])[0]


def test_lists_and_structures_come_as_json_has_them() -> None:
    by_name, _ = abi.encode_call(ABI, "g", [[{"x": "0x10", "tag": "0xabcd"}]])
    by_place, entry = abi.encode_call(ABI, "g", [[["16", "abcd"]]])
    assert by_name == by_place
    words = [0x40, 0x80, 1, 0xF39FD6E51AAD88F6F4CE6AB8827279CFFFB92266, 2, 0xBEEF << 240]
    answer = b"".join(word.to_bytes(32, "big") for word in words)
    assert abi.decode_answer(entry, answer) == [
        ["0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"],
        "0xbeef",
    ]
    with pytest.raises(CallFailed):
        abi.decode_answer(entry, b"")


@pytest.mark.parametrize(
    "shape",
    [
        {"name": "t", "abi": [], "bytecode": "0x6000"},
        {"contractName": "t", "abi": [], "bytecode": "6000"},
        {"abi": [], "bytecode": {"object": "0x6000", "sourceMap": ""}},
    ],
)
def test_what_other_compilers_write_is_read(shape: dict[str, Any]) -> None:
    assert read_artefact(json.dumps(shape)).bytecode == b"\x60\x00"


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"abi": [], "bytecode": "0x__Lib__"}'])
def test_what_is_no_artefact_is_refused(text: str) -> None:
    with pytest.raises(BadRequest):
        read_artefact(text)
