"""What a transaction's data means to people: the method or constructor, and its arguments.

Only the data is signed, so only the data is believed: whatever is said of it has to encode to the
very same bytes again before it is shown to anybody.
"""

from typing import Any

import msgspec

from wallet.approvals import IntentText
from wallet.types import Intent


class Parameter(msgspec.Struct, frozen=True, kw_only=True):
    """One parameter, as compilers describe it. components: of a tuple."""

    name: str = ""
    type: str
    components: list["Parameter"] = []


class Interface(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How data is to be read, by those who made it. method: its name; empty for a constructor.

    code_bytes: how much of a deployment is code, before the arguments.
    """

    method: str = ""
    inputs: list[Parameter]
    code_bytes: int = 0


class Argument(msgspec.Struct, frozen=True, kw_only=True):
    """A parameter with its value, as JSON: numbers are text, bytes `0x…`, tuples lists."""

    name: str
    type: str
    value: Any


class CallText(msgspec.Struct, frozen=True, kw_only=True):
    """What some data means. method: its signature, such as `transfer(address,uint256)`.

    code: of a deployment, the Keccak-256 hash of the code before the arguments. source: the
    contract of ours whose ABI it was read by; empty: the ABI that was given with it. unknown: why
    nobody can tell what it means; the rest is empty then.
    """

    method: str = ""
    arguments: list[Argument] = []
    code: str = ""
    source: str = ""
    unknown: str = ""


class IntentFile(IntentText, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What officers are given: what they sign, and how its data is said to be read."""

    interface: Interface | None = None

    @classmethod
    def with_interface(cls, intent: Intent, interface: Interface | None) -> "IntentFile":
        """Return the text form of an intent, with how its data is to be read."""
        return msgspec.structs.replace(cls.of(intent), interface=interface)


def as_text(value: Any) -> Any:
    """Return a value of a contract as JSON: numbers are text, as they exceed 64 bits."""
    if isinstance(value, list):
        return [as_text(each) for each in value]
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return str(value) if is_number else value
