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
    return bytes.fromhex(selector(entry)) + encode_values(entry["inputs"], arguments), entry


def encode_constructor(abi: Sequence[Json], arguments: Sequence[Any]) -> bytes:
    """Return what follows the code of a deployment. Raises: UnknownMethod: they do not fit."""
    inputs: Sequence[Json] = next((e["inputs"] for e in abi if e.get("type") == "constructor"), [])
    if len(inputs) != len(arguments):
        raise UnknownMethod(f"the constructor takes {len(inputs)} arguments")
    return encode_values(inputs, arguments)


def decode_answer(entry: Json, data: bytes) -> Any:
    """Return what a method answers: one value, a list of several, or None.

    Bytes become `0x` text. Raises: CallFailed: it is no such answer.
    """
    outputs = entry.get("outputs", [])
    try:
        plain = decode_values(outputs, data)
    except ValueError as error:
        raise CallFailed(f"{entry['name']} answers something else than its ABI says") from error
    return plain if len(plain) > 1 else (plain[0] if plain else None)


def signature(entry: Json) -> str:
    """Return a method's name and the types of its parameters: `transfer(address,uint256)`."""
    return f"{entry['name']}({','.join(type_of(i) for i in entry['inputs'])})"


def selector(entry: Json) -> str:
    """Return the first four bytes of a call of the method, as hex."""
    return keccak256(signature(entry).encode())[:4].hex()


def type_of(parameter: Json) -> str:
    """Return a parameter's type as signatures have it: a tuple is its components'."""
    return str(collapse_if_tuple(dict(parameter)))


def decode_values(parameters: Sequence[Json], data: bytes) -> list[Any]:
    """Return values: bytes as `0x` text, tuples as lists. Raises: ValueError: no such data."""
    try:
        values = decode([type_of(each) for each in parameters], data)
        return [_plain(each, value) for each, value in zip(parameters, values, strict=True)]
    except (DecodingError, ParseError, TypeError, KeyError, OverflowError) as error:
        raise ValueError(str(error)) from error


def encode_values(parameters: Sequence[Json], arguments: Sequence[Any]) -> bytes:
    """Return arguments as data. Raises: UnknownMethod: they do not fit."""
    types = [type_of(each) for each in parameters]
    try:
        values = [_value(i, argument) for i, argument in zip(parameters, arguments, strict=True)]
        return encode(types, values)
    except (EncodingError, ParseError, ValueError, TypeError, KeyError) as error:
        raise UnknownMethod(f"the arguments are not ({', '.join(types)}): {error}") from error


def _is(entry: Json, method: str) -> bool:
    return method in (entry["name"], signature(entry))


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
    if kind.startswith(("bytes", "function")) and isinstance(value, str):
        return bytes.fromhex(value.removeprefix("0x"))
    return value


def _plain(parameter: Json, value: Any) -> Any:
    """Return a decoded value as JSON has it, but for numbers."""
    kind = parameter["type"]
    if kind.endswith("]"):
        inner = {**parameter, "type": kind[: kind.rindex("[")]}
        return [_plain(inner, each) for each in value]
    if kind == "tuple":
        parts = parameter["components"]
        return [_plain(part, each) for part, each in zip(parts, value, strict=True)]
    if isinstance(value, bytes):
        return "0x" + value.hex()
    return checksummed(bytes.fromhex(value[2:])) if kind == "address" else value
