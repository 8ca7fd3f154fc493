"""The bus's commands about tokens: `add_token`, `disable_token`, `enable_token`, `rescan`.

They raise what the desk does; LookupError and TypeError for fields that are missing or wrong, which
the bus tells as BAD_REQUEST.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

import msgspec

from wallet.errors import BadRequest
from wallet.token_desk import TokenDesk, TokenView
from wallet.tokens import TokenRequest

Command = dict[str, Any]
Fields = TypeVar("Fields")
Action = Callable[[TokenDesk, Command, str], dict[str, Any]]
"""Does what a command says; `key`: its own. Returns the body of the answer."""

ENVELOPE: Final = frozenset({"type", "chain", "idempotency_key", "_env", "meta"})
NO_TRANSACTION: Final = {"txid": "", "value": "0", "to": "", "from": ""}


def add_token(desk: TokenDesk, command: Command, key: str) -> dict[str, Any]:
    """Register a token; the fields are those of `TokenRequest`, and nothing else."""
    given = {name: each for name, each in command.items() if name not in ENVELOPE}
    return _told(desk.add(_read(given, TokenRequest), _by(key)), "registered")


def disable_token(desk: TokenDesk, command: Command, key: str) -> dict[str, Any]:
    """Stop a token: `contract`, `reason`."""
    contract, reason = _text(command, "contract"), _text(command, "reason")
    return _told(desk.disable(contract, reason, _by(key)), "disabled")


def enable_token(desk: TokenDesk, command: Command, key: str) -> dict[str, Any]:
    """Let a token come and go again: `contract`."""
    return _told(desk.enable(_text(command, "contract"), _by(key)), "enabled")


def rescan(desk: TokenDesk, command: Command, key: str) -> dict[str, Any]:
    """Look at blocks again: `first` and, unless it is the last one followed, `last`."""
    given = {name: each for name, each in command.items() if name not in ENVELOPE}
    asked = _read(given, _Rescan)
    view = desk.rescan(key, asked.first, asked.last, _by(key))
    shown = {"first": view.first, "last": view.last}
    return {**NO_TRANSACTION, "status": "rescanning", "key": view.name, "meta": shown}


ACTIONS: Final[Mapping[str, Action]] = {
    "add_token": add_token,
    "disable_token": disable_token,
    "enable_token": enable_token,
    "rescan": rescan,
}


class _Rescan(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    first: int
    last: int | None = None


def _told(view: TokenView, status: str) -> dict[str, Any]:
    shown = {name: each for name, each in msgspec.structs.asdict(view).items() if name != "chain"}
    return {**NO_TRANSACTION, "status": status, "key": view.contract, "asset": view.asset,
            "token": shown}  # fmt: skip


def _read(given: Command, kind: type[Fields]) -> Fields:
    try:
        return msgspec.convert(given, kind)
    except msgspec.ValidationError as error:
        raise BadRequest(f"a field is missing or wrong: {error}") from error


def _text(command: Command, name: str) -> str:
    value = command[name]
    if not isinstance(value, str):
        raise TypeError(f"{name} is a text")
    return value


def _by(key: str) -> str:
    return f"command {key}"
