"""What the data of a call means is read back from it, and shown only if it means nothing else."""

from dataclasses import replace
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wallet.call_text import Argument, Interface, Parameter
from wallet.chain import Artefact
from wallet.errors import BadInterface
from wallet.ethereum.abi import encode_call, encode_constructor
from wallet.ethereum.calls import explain, interface_of
from wallet.ethereum.compiled import own_artefact, own_artefacts
from wallet.records.payment import Payment
from wallet.types import Address, ChainId, Intent, IntentId, IntentKind

PAYEE = "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC"
ERC20 = own_artefact("erc20")
ORDER: dict[str, Any] = {
    "type": "function",
    "name": "settle",
    "inputs": [
        {
            "name": "orders",
            "type": "tuple[]",
            "components": [
                {"name": "maker", "type": "address"},
                {"name": "amounts", "type": "int128[2]"},
                {"name": "note", "type": "string"},
                {"name": "proof", "type": "bytes"},
            ],
        },
        {"name": "force", "type": "bool"},
        {"name": "salt", "type": "bytes32"},
    ],
}
SETTLER = Artefact(name="settler", abi=[ORDER], bytecode=b"")
SETTLE = "settle((address,int128[2],string,bytes)[],bool,bytes32)"


def call_of(data: bytes) -> Intent:
    return Intent(
        id=IntentId("contract-1"), kind=IntentKind.CALL, chain=ChainId("eip155:1"),
        to=Address(PAYEE), amount=0, data=data,
    )  # fmt: skip


def deployment_of(data: bytes) -> Intent:
    return replace(call_of(data), kind=IntentKind.DEPLOY, to=None)


def transfer(amount: int = 25) -> Intent:
    return call_of(encode_call(ERC20.abi, "transfer", [PAYEE, amount])[0])


def test_a_call_is_read_by_the_abi_of_a_contract_we_know() -> None:
    read = explain(transfer(2**255), own_artefacts())
    assert (read.method, read.source, read.unknown) == ("transfer(address,uint256)", "erc20", "")
    assert read.arguments == [
        Argument(name="receiver", type="address", value=PAYEE),
        Argument(name="amount", type="uint256", value=str(2**255)),
    ]


def test_what_we_know_ourselves_comes_before_what_custody_says() -> None:
    """Selectors have four bytes: another name with the same one can be found."""
    lie = Interface(method="many_msg_babbage", inputs=[Parameter(name="x", type="bytes1")])
    assert explain(transfer(), own_artefacts(), lie).method == "transfer(address,uint256)"


def test_a_call_is_read_by_what_custody_says_when_it_encodes_to_the_same_data() -> None:
    orders = [[PAYEE, ["-5", "7"], "so \x1b[2J", "0xff00"]]
    data, _ = encode_call([ORDER], "settle", [orders, True, "0x" + "ab" * 32])
    interface = interface_of(SETTLER, call_of(data))
    read = explain(call_of(data), own_artefacts(), interface)
    assert (read.method, read.source) == (SETTLE, "")
    assert [each.value for each in read.arguments] == [orders, True, "0x" + "ab" * 32]
    stored = msgspec.json.decode(msgspec.json.encode(interface), type=Interface)
    assert explain(call_of(data), [], stored) == read


amounts = st.lists(st.integers(-(2**127), 2**127 - 1).map(str), min_size=2, max_size=2)
hexes = st.binary(max_size=70).map(lambda each: "0x" + each.hex())
orders_of_all_kinds = st.lists(st.tuples(st.just(PAYEE), amounts, st.text(max_size=40), hexes))


@settings(max_examples=50, deadline=None)
@given(orders_of_all_kinds, st.booleans(), st.binary(min_size=32, max_size=32))
def test_whatever_is_called_is_read_back(orders: list[Any], force: bool, salt: bytes) -> None:
    given_ = [[list(each) for each in orders], force, "0x" + salt.hex()]
    data, _ = encode_call([ORDER], "settle", given_)
    read = explain(call_of(data), [SETTLER])
    assert [each.value for each in read.arguments] == given_


TRANSFER = transfer().data
WRONG = {
    "more bytes": (TRANSFER + b"\0", "do not encode to the same data again"),
    "a word more": (TRANSFER + bytes(32), "do not encode to the same data again"),
    "fewer bytes": (TRANSFER[:-1], "the data is no call of transfer"),
    "something before an address": (
        TRANSFER[:4] + b"\1" + TRANSFER[5:],
        "the data is no call of transfer",
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_data_that_its_arguments_do_not_make_is_not_shown(what: str) -> None:
    data, says = WRONG[what]
    with pytest.raises(BadInterface, match=says):
        explain(call_of(data), own_artefacts())


SAID = {
    "another method": (
        Interface(method="approve", inputs=[Parameter(type="address"), Parameter(type="uint256")]),
        "has the selector 0x095ea7b3, not 0xa9059cbb",
    ),
    "other parameters": (
        Interface(method="transfer", inputs=[Parameter(type="address")]),
        "has the selector",
    ),
    "no type": (
        Interface(method="transfer", inputs=[Parameter(type="money")]),
        "has the selector",
    ),
    "a constructor": (Interface(inputs=[]), "of something else"),
    "a name for terminals": (
        Interface(method="\x1b[2Jtransfer", inputs=[]),
        "names that are none",
    ),
    "a parameter's name for terminals": (
        Interface(
            method="transfer",
            inputs=[
                Parameter(type="address", name="to\n"),
                Parameter(type="uint256", name="amount"),
            ],
        ),
        "names that are none",
    ),
}


@pytest.mark.parametrize("what", SAID)
def test_what_custody_says_falsely_is_refused(what: str) -> None:
    said, why = SAID[what]
    with pytest.raises(BadInterface, match=why):
        explain(transfer(), [], said)


def test_a_selector_that_nobody_knows_is_called_unknown() -> None:
    for data, selector in ((b"\1\2\3\4\5", "0x01020304"), (b"\1", "0x01")):
        read = explain(call_of(data), own_artefacts())
        assert (read.method, read.arguments) == ("", [])
        assert read.unknown == f"no ABI given has a method with the selector {selector}"


def test_a_deployment_is_read_by_its_code() -> None:
    arguments = ["Test", "TST", "6", "1000"]
    code = ERC20.bytecode
    intent = deployment_of(code + encode_constructor(ERC20.abi, arguments))
    read = explain(intent, own_artefacts())
    assert (read.method, read.source) == ("constructor(string,string,uint8,uint256)", "erc20")
    assert [each.value for each in read.arguments] == arguments
    interface = interface_of(ERC20, intent)
    assert interface is not None
    assert interface.code_bytes == len(code)
    said = explain(intent, [], interface)
    assert (said.arguments, said.code, said.source) == (read.arguments, read.code, "")
    assert len(read.code) == 66
    other = replace(intent, data=b"\0" + intent.data)
    assert explain(other, own_artefacts()).unknown == "no contract given has this code"
    with pytest.raises(BadInterface):
        explain(other, [], interface)
    for wrong in (-1, len(intent.data) + 1):
        with pytest.raises(BadInterface, match="of something else"):
            explain(intent, [], msgspec.structs.replace(interface, code_bytes=wrong))


def test_a_call_that_was_planned_before_interfaces_were_recorded_is_read_all_the_same() -> None:
    planned = Payment.plan(transfer(), Address(PAYEE), asset="ETH")
    created: Any = planned.collect_events()[0]
    del created.__dict__["interface"]
    payment = created.mutate(None)
    assert (payment.interface, payment.intent) == (None, transfer())
    assert explain(payment.intent, own_artefacts(), payment.interface).source == "erc20"
