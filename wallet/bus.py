"""The messages that custody takes and gives: pure JSON, whatever carries it.

A command is answered once: the same key with the same body gets the recorded answer again, with
another body DUPLICATE_MISMATCH. Whatever cannot be understood or done becomes a message of the
topic `errors`; nothing stops the loop.
"""

from collections.abc import Callable, Mapping
from hashlib import sha256
from types import MappingProxyType
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid5

import msgspec

from wallet import token_commands
from wallet.book import Book
from wallet.contract_desk import ContractView
from wallet.desk import Desk
from wallet.errors import BadRequest, DuplicateMismatch, WalletError
from wallet.records.command import CommandRecord, command_record_id
from wallet.store import Books, RecordChanged
from wallet.types import ChainId, DepositKey

ADDRESS_CREATED: Final = "address.created"
TRANSACTION: Final = "transaction"
ERRORS: Final = "errors"
COMMAND: Final = "command"
RESERVED: Final = frozenset({"address", "_env", "chain", "tag"})
"""Names that `meta` must not have, as they stand beside it in the answer."""
SECRET: Final = frozenset({"approval", "approvals"})
KEY_CHARS_MAX: Final = 128
REASON_CHARS_MAX: Final = 256


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One message to send. key: what orders it among others."""

    topic: str
    key: str
    body: dict[str, Any]

    @property
    def value(self) -> bytes:
        """The body as JSON."""
        return msgspec.json.encode(self.body)


Action = Callable[[dict[str, Any], str], Message]
"""Does what a command of one type asks, under its key; returns the answer. Raises: WalletError."""


class Commands:
    """Carries out the commands of one chain. For one thread."""

    def __init__(
        self, desk: Desk, books: Books, more: Mapping[str, Action] = MappingProxyType({})
    ) -> None:
        """more: actions besides those of the desk, by the type of the command."""
        self._desk = desk
        self._books = books
        self._book = Book(ChainId(desk.chain), books)
        self._actions: dict[str, Action] = {
            **more,
            "create_account": self._create_account,
            "deploy_contract": self._deploy,
            "transact_contract": self._transact,
            "call_contract": self._call,
            "approve_contract": self._approve,
            "pause_chain": self._pause,
            "resume_chain": self._resume,
            "release_quarantined": self._release,
        }
        for kind, act in token_commands.ACTIONS.items():
            self._actions[kind] = self._telling(act)

    def handle(self, value: bytes, place: str) -> Message | None:
        """Return the answer to a command; None when it is for another chain.

        place: where it was read, which is its key when it has none of its own.
        Raises: WalletError that is retryable: nothing was answered; ask again.
        """
        try:
            command = msgspec.json.decode(value)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            text = value.decode("utf-8", "replace")
            return self._error("", text, BadRequest(f"not JSON: {error}"), place)
        if not isinstance(command, dict) or not isinstance(command.get("type"), str):
            problem = BadRequest("a command is an object with a type")
            return self._error("", command, problem, place)
        if command.get("chain", self._desk.chain) != self._desk.chain:
            return None
        return self._once(command, _key_of(command) or place)

    def _once(self, command: dict[str, Any], key: str) -> Message:
        digest = _digest(command)
        self._book.catch_up()
        known = self._book.find(CommandRecord, command_record_id(self._desk.chain, key))
        if known is not None:
            if known.digest != digest:
                problem = DuplicateMismatch(f"the key {key} came with another command before")
                return self._error(command["type"], command, problem, key)
            return Message(topic=known.topic, key=key, body=msgspec.json.decode(known.body))
        answer = self._do(command, key)
        record = CommandRecord.answer(
            self._desk.chain,
            key=key,
            digest=digest,
            topic=answer.topic,
            body=answer.value.decode(),
        )
        try:
            self._books.put(record)
        except RecordChanged:
            return self._once(command, key)
        return answer

    def _do(self, command: dict[str, Any], key: str) -> Message:
        action = self._actions.get(command["type"])
        try:
            if action is None:
                raise BadRequest(f"there is no command {command['type']!r}")
            return action(command, key)
        except WalletError as error:
            if error.retryable:
                raise
            return self._error(command["type"], command, error, key)
        except (LookupError, TypeError, ValueError) as error:
            problem = BadRequest(f"a field is missing or wrong: {error}")
            return self._error(command["type"], command, problem, key)

    def _create_account(self, command: dict[str, Any], key: str) -> Message:
        """`meta.account` is the exchange's account; without one, the address is for nobody yet."""
        meta = command["meta"]
        if not isinstance(meta, dict) or RESERVED & meta.keys():
            raise BadRequest(f"meta is an object without {', '.join(sorted(RESERVED))}")
        account = meta.get("account", f"bus-{sha256(key.encode()).hexdigest()[:32]}")
        if not isinstance(account, str) or not account:
            raise BadRequest("meta.account is an account's name")
        address = self._desk.address(account)
        return self._answer(ADDRESS_CREATED, key, {**meta, "address": address}, command)

    def _deploy(self, command: dict[str, Any], key: str) -> Message:
        view = self._desk.contracts.deploy(
            _contract_key(key),
            command["artifact"],
            command.get("args", []),
            command.get("value", "0"),
        )
        return self._contract(view, key, command)

    def _transact(self, command: dict[str, Any], key: str) -> Message:
        view = self._desk.contracts.transact(
            _contract_key(key),
            command["artifact"],
            str(command["contract"]),
            str(command["method"]),
            args=command.get("args", []),
            value=command.get("value", "0"),
        )
        return self._contract(view, key, command)

    def _approve(self, command: dict[str, Any], key: str) -> Message:
        view = self._desk.contracts.approve(str(command["id"]), str(command["approval"]))
        return self._contract(view, key, command)

    def _call(self, command: dict[str, Any], key: str) -> Message:
        contract = str(command["contract"])
        result = self._desk.contracts.call(
            command["artifact"], contract, str(command["method"]), command.get("args", [])
        )
        body = {"txid": "", "value": "0", "to": contract, "from": "", "status": "called"}
        return self._answer(TRANSACTION, key, {**body, "result": result}, command)

    def _pause(self, command: dict[str, Any], key: str) -> Message:
        self._desk.pause(_reason(command) or "by command", f"command {key}")
        return self._state(key, command, "paused")

    def _resume(self, command: dict[str, Any], key: str) -> Message:
        """Needs a reason; stopping does not, so that nobody who hurries is refused."""
        reason = _reason(command)
        if not reason:
            raise BadRequest("resume_chain has a reason")
        self._desk.resume(f"command {key}", reason, str(command.get("accept", "")))
        return self._state(key, command, "resumed")

    def _release(self, command: dict[str, Any], key: str) -> Message:
        self._desk.release(DepositKey(command["key"]), f"command {key}")
        return self._state(key, command, "released")

    def _telling(self, act: token_commands.Action) -> Action:
        """Return what carries out a command about tokens, and tells what it says."""
        return lambda command, key: self._answer(
            TRANSACTION, key, act(self._desk.tokens, command, key), command
        )

    def _contract(self, view: ContractView, key: str, command: dict[str, Any]) -> Message:
        """`intent` is what officers sign: `foldex vault approve` reads it as it is."""
        body = {
            "txid": view.txids[-1] if view.txids else "",
            "value": view.value,
            "to": view.contract,
            "from": view.sender,
            "status": view.status,
            "key": view.id,
            "direction": "out",
            "intent": msgspec.to_builtins(view.intent),
            "call": msgspec.to_builtins(view.call),
            "meta": {"approvals": view.approvals, "needed": view.needed},
        }
        return self._answer(TRANSACTION, key, body, command)

    def _state(self, key: str, command: dict[str, Any], status: str) -> Message:
        body = {"txid": "", "value": "0", "to": "", "from": "", "status": status}
        return self._answer(TRANSACTION, key, body, command)

    def _answer(
        self, topic: str, key: str, body: dict[str, Any], command: dict[str, Any]
    ) -> Message:
        return answer_of(self._desk.chain, topic, key, body, command)

    def _error(self, kind: str, request: Any, error: WalletError, key: str) -> Message:
        shown = request
        if isinstance(request, dict):
            shown = {name: each for name, each in request.items() if name not in SECRET}
        given = request.get("_env") if isinstance(request, dict) else None
        body = {
            "type": kind,
            "request": shown,
            "error_code": error.code,
            "error_message": str(error),
            "retryable": error.retryable,
            "chain": self._desk.chain,
            "_env": envelope(f"error:{self._desk.chain}:{key}:{error.code}", given),
        }
        return Message(topic=ERRORS, key=key, body=body)


def answer_of(
    chain: str, topic: str, key: str, body: dict[str, Any], command: dict[str, Any]
) -> Message:
    """Return the answer to a command, with what every answer has."""
    env = envelope(f"answer:{chain}:{key}", command.get("_env"))
    return Message(topic=topic, key=key, body={**body, "chain": chain, "_env": env})


def envelope(name: str, cause: Any) -> dict[str, Any]:
    """Return the reserved object of a message; the same message always has the same id."""
    env: dict[str, Any] = {"v": 1, "id": uuid5(NAMESPACE_URL, name).hex, "source": "wallet"}
    if isinstance(cause, dict):
        if isinstance(cause.get("id"), str):
            env["causation_id"] = cause["id"]
        if isinstance(cause.get("correlation_id"), str):
            env["correlation_id"] = cause["correlation_id"]
    return env


def _key_of(command: dict[str, Any]) -> str:
    env = command.get("_env")
    given = command.get("idempotency_key") or (env.get("id") if isinstance(env, dict) else "")
    return given[:KEY_CHARS_MAX] if isinstance(given, str) else ""


def _reason(command: dict[str, Any]) -> str:
    reason = command.get("reason") or ""
    if not isinstance(reason, str):
        raise BadRequest("a reason is text")
    return reason[:REASON_CHARS_MAX]


def _digest(command: dict[str, Any]) -> str:
    """Return what tells commands apart: what they ask for, not who asks or when."""
    asked = {name: each for name, each in command.items() if name != "_env"}
    return sha256(msgspec.json.encode(asked, order="sorted")).hexdigest()


def _contract_key(key: str) -> str:
    """Return a command's key as that of a contract; one that is a place has slashes."""
    return key.replace("/", ":")
