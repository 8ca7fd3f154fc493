"""A value that does not show itself."""

from typing import Generic, NoReturn, TypeVar

Value = TypeVar("Value", bytes, str)


class Secret(Generic[Value]):
    """A secret, out of sight of `repr`, logs, tracebacks, pickle and copies.

    It is not wiped from memory when it goes: Python cannot promise that. The processes that hold
    one forbid core dumps and tracing instead (`wallet.signer.hardening`).
    """

    __slots__ = ("_value",)

    def __init__(self, value: Value) -> None:
        self._value: Value = value

    def reveal(self) -> Value:
        """Return the secret. Callers use it at once and keep no reference."""
        return self._value

    def __repr__(self) -> str:
        return "<secret>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is neither pickled nor copied")
