"""Encode and decode the arguments of contracts, which may come as JSON has them."""

from collections.abc import Mapping, Sequence
from typing import Any

from eth_abi.abi import decode, encode
from eth_abi.exceptions import DecodingError, EncodingError, ParseError
from eth_utils.abi import collapse_if_tuple

from wallet.errors import CallFailed, UnknownMethod
from wallet.keys.ethereum import checksummed
from wallet.keys.hashes import keccak256

Json = Mapping[str, Any]


def encode_call(abi: Sequence[Json], method: str, arguments: Sequence[Any]) -> tuple[bytes, Json]:
    """Return the data of a call, and the method's entry in the ABI.

    method: its name, or its signature (`safeMint(address,uint256)`) where names repeat.
    Raises: UnknownMethod: there is none, there are several, or the arguments do not fit.
    """
    named = [entry for entry in abi if entry.get("type") == "function" and _is(entry, method)]
    fitting = [entry for entry in named if len(entry["inputs"]) == len(arguments)]
    if len(fitting) != 1:
        what = "several methods" if fitting else "no method"
        raise UnknownMethod(f"the contract has {what} {method} with {len(arguments)} arguments")
    entry = fitting[0]
    selector = keccak256(_signature(entry).encode())[:4]
    return selector + _encoded(entry["inputs"], arguments), entry


def encode_constructor(abi: Sequence[Json], arguments: Sequence[Any]) -> bytes:
    """Return what follows the code of a deployment. Raises: UnknownMethod: they do not fit."""
    inputs: Sequence[Json] = next((e["inputs"] for e in abi if e.get("type") == "constructor"), [])
    if len(inputs) != len(arguments):
        raise UnknownMethod(f"the constructor takes {len(inputs)} arguments")
    return _encoded(inputs, arguments)


def decode_answer(entry: Json, data: bytes) -> Any:
    """Return what a method answers: one value, a list of several, or None.

    Bytes become `0x` text. Raises: CallFailed: it is no such answer.
    """
    outputs = entry.get("outputs", [])
    try:
        values = decode([collapse_if_tuple(dict(o)) for o in outputs], data)
    except DecodingError as error:
        raise CallFailed(f"{entry['name']} answers something else than its ABI says") from error
    plain = [_plain(o["type"], value) for o, value in zip(outputs, values, strict=True)]
    return plain if len(plain) > 1 else (plain[0] if plain else None)


def _is(entry: Json, method: str) -> bool:
    return method in (entry["name"], _signature(entry))


def _signature(entry: Json) -> str:
    return f"{entry['name']}({','.join(collapse_if_tuple(dict(i)) for i in entry['inputs'])})"


def _encoded(inputs: Sequence[Json], arguments: Sequence[Any]) -> bytes:
    types = [collapse_if_tuple(dict(i)) for i in inputs]
    try:
        values = [_value(i, argument) for i, argument in zip(inputs, arguments, strict=True)]
        return encode(types, values)
    except (EncodingError, ParseError, ValueError, TypeError, KeyError) as error:
        raise UnknownMethod(f"the arguments are not ({', '.join(types)}): {error}") from error


def _value(parameter: Json, value: Any) -> Any:
    """Return an argument as the encoder wants it."""
    kind = parameter["type"]
    if kind.endswith("]"):
        inner = {**parameter, "type": kind[: kind.rindex("[")]}
        return [_value(inner, each) for each in value]
    if kind == "tuple":
        parts = parameter["components"]
        given = [value[part["name"]] for part in parts] if isinstance(value, dict) else value
        return tuple(_value(part, each) for part, each in zip(parts, given, strict=True))
    if isinstance(value, float):
        raise ValueError("numbers are whole, and text when they are large")
    if kind.startswith(("uint", "int")) and isinstance(value, str):
        return int(value, 0)
    if kind.startswith("bytes") and isinstance(value, str):
        return bytes.fromhex(value.removeprefix("0x"))
    return value


def _plain(kind: str, value: Any) -> Any:
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if isinstance(value, tuple | list):
        return [_plain(kind.partition("[")[0], each) for each in value]
    return checksummed(bytes.fromhex(value[2:])) if kind == "address" else value
