"""Read the data of calls and deployments back: what it means, and that it means nothing else.

The officers' own tool does this, without a network, as the desk does: neither believes the other.
"""

import re
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from wallet.call_text import Argument, CallText, Interface, Parameter, as_text
from wallet.chain import Artefact
from wallet.errors import BadInterface, UnknownMethod
from wallet.ethereum import abi
from wallet.keys.hashes import keccak256
from wallet.types import Intent, IntentKind

SELECTOR_BYTES: Final = 4
_NAME: Final = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]{0,127}")
"""Names are shown on terminals: nothing else may be in them."""


def interface_of(artefact: Artefact, intent: Intent) -> Interface | None:
    """Return how a contract's ABI reads the data of a call or deployment; None when it cannot."""
    if intent.kind is IntentKind.DEPLOY:
        if not artefact.bytecode or not intent.data.startswith(artefact.bytecode):
            return None
        entries = [e for e in artefact.abi if e.get("type") == "constructor"]
        inputs = entries[0]["inputs"] if entries else []
        return _interface("", inputs, len(artefact.bytecode))
    for entry in artefact.abi:
        if entry.get("type") == "function" and abi.selector(entry) == _selector(intent):
            return _interface(entry["name"], entry["inputs"], 0)
    return None


def explain(
    intent: Intent, artefacts: Sequence[Artefact], given: Interface | None = None
) -> CallText:
    """Return what the data of a call or deployment means.

    artefacts: contracts that we know ourselves; they come before what was `given` with the data.
    Raises: BadInterface: read so, it does not encode to the same data again.
    """
    for artefact in artefacts:
        known = interface_of(artefact, intent)
        if known is not None:
            return msgspec.structs.replace(_read(intent, known), source=artefact.name)
    if given is not None:
        return _read(intent, given)
    if intent.kind is IntentKind.DEPLOY:
        return CallText(unknown="no contract given has this code")
    return CallText(unknown=f"no ABI given has a method with the selector 0x{_selector(intent)}")


def _read(intent: Intent, interface: Interface) -> CallText:
    _check_names(interface)
    deploys = intent.kind is IntentKind.DEPLOY
    entry = {
        "name": interface.method or "constructor",
        "inputs": msgspec.to_builtins(interface.inputs),
    }
    try:
        signature = abi.signature(entry)
        selector = "" if deploys else abi.selector(entry)
    except (ValueError, TypeError) as error:
        raise BadInterface(f"there are no such parameters: {error}") from error
    start = interface.code_bytes if deploys else SELECTOR_BYTES
    if deploys is bool(interface.method) or not 0 <= start <= len(intent.data):
        raise BadInterface("the interface that was given is of something else")
    if not deploys and selector != _selector(intent):
        raise BadInterface(f"{signature} has the selector 0x{selector}, not 0x{_selector(intent)}")
    arguments = _arguments(entry["inputs"], intent.data[start:], signature)
    return CallText(
        method=signature,
        arguments=[
            Argument(name=each.name, type=abi.type_of(kind), value=value)
            for each, kind, value in zip(interface.inputs, entry["inputs"], arguments, strict=True)
        ],
        code="0x" + keccak256(intent.data[:start]).hex() if deploys else "",
    )


def _arguments(inputs: Sequence[Any], data: bytes, signature: str) -> list[Any]:
    """Return the arguments in some data, as text, if exactly they make exactly this data."""
    try:
        values = as_text(abi.decode_values(inputs, data))
        again = abi.encode_values(inputs, values)
    except (UnknownMethod, ValueError) as error:
        raise BadInterface(f"the data is no call of {signature}: {error}") from error
    if again != data:
        raise BadInterface(f"the arguments of {signature} do not encode to the same data again")
    return list(values)


def _interface(method: str, inputs: Any, code_bytes: int) -> Interface | None:
    try:
        parameters = msgspec.convert(inputs, list[Parameter])
    except msgspec.ValidationError:
        return None
    return Interface(method=method, inputs=parameters, code_bytes=code_bytes)


def _selector(intent: Intent) -> str:
    return intent.data[:SELECTOR_BYTES].hex()


def _check_names(interface: Interface) -> None:
    names = [interface.method, *_names(interface.inputs)]
    if any(name and not _NAME.fullmatch(name) for name in names):
        raise BadInterface("the interface that was given has names that are none")


def _names(parameters: Sequence[Parameter]) -> list[str]:
    found = []
    for each in parameters:
        found += [each.name, *_names(each.components)]
    return found
