"""The protocol between API processes and the engine process: what goes over the wire.

TCP; each frame is its length (4 bytes, big end first) and a msgpack array. First the server sends
a `Challenge`; each side then proves that it knows the shared token without sending it. Then the
client sends requests, each with a number, and the server answers under the same number, in any
order; it handles what comes over one connection in the order in which it came.
"""

import hmac
import secrets
from collections.abc import Sequence
from typing import Any, Final, Literal

import msgspec

from api.engine_frames import LinkError
from api.engine_port import Result
from api.engine_questions import AnyQuestion
from api.problems import ApiProblem
from api.signatures import Signature
from commands.command import Command
from commands.errors import EngineError
from commands.receipt import Receipt
from commands.registry import COMMANDS, Outcome
from domain.errors import Rejected, rejection

LINK_VERSION: Final = 1
"""Raised with every change of a frame, a question, a command or a receipt: see the test of it."""
FRAME_BYTES_MAX: Final = 8 * 1024 * 1024
GREETING_S_MAX: Final = 5.0
BEAT_S: Final = 0.25
"""How often the server says how it is."""
SILENCE_S_MAX: Final = 5.0
"""A server that says nothing for so long is gone."""

_NONCE_BYTES: Final = 32


class Challenge(msgspec.Struct, frozen=True, array_like=True, tag="challenge"):
    """The server's first frame."""

    version: int
    nonce: bytes


class Hello(msgspec.Struct, frozen=True, array_like=True, tag="hello"):
    """The client's first frame: proof that it knows the token, and a challenge of its own."""

    version: int
    nonce: bytes
    proof: bytes


class Welcome(msgspec.Struct, frozen=True, array_like=True, tag="welcome"):
    """The server's proof. From here on requests are taken."""

    proof: bytes


class Refusal(msgspec.Struct, frozen=True, array_like=True, tag="refusal"):
    """Why there is no welcome; the connection ends."""

    reason: str


class Submit(msgspec.Struct, frozen=True, array_like=True, tag="submit"):
    """Commands that are one submission, each with the name of its kind.

    correlation_id: of the request that they came with.
    """

    number: int
    commands: list[tuple[str, msgspec.Raw]]
    key: str
    signature: Signature
    correlation_id: str


class Ask(msgspec.Struct, frozen=True, array_like=True, tag="ask"):
    """A question about the engine's state."""

    number: int
    question: AnyQuestion


class Outcomes(msgspec.Struct, frozen=True, array_like=True, tag="outcomes"):
    """What became of a submission: for each command a receipt, or code and text of a refusal."""

    number: int
    outcomes: list[Receipt | tuple[str, str]]


class NoOutcomes(msgspec.Struct, frozen=True, array_like=True, tag="no_outcomes"):
    """Why a submission has no outcomes."""

    number: int
    code: str
    detail: str


class Answered(msgspec.Struct, frozen=True, array_like=True, tag="answered"):
    """The answer to a question, of the type that the question's kind has."""

    number: int
    answer: msgspec.Raw


class Beat(msgspec.Struct, frozen=True, array_like=True, tag="beat"):
    """How the engine is. It comes first of all after the welcome, and then again and again."""

    ready: bool
    position: int
    queue_depth: int


FromClient = Submit | Ask
FromServer = Outcomes | NoOutcomes | Answered | Beat

_COMMANDS: Final = {kind.__name__: msgspec.msgpack.Decoder(kind) for kind in COMMANDS}

Side = Literal["client", "server"]


def new_nonce() -> bytes:
    """Return what makes one greeting unlike every other."""
    return secrets.token_bytes(_NONCE_BYTES)


def proof(token: str, side: Side, mine: bytes, theirs: bytes) -> bytes:
    """Return what shows that `side` knows the token; of no use anywhere else or again."""
    text = b"\n".join(
        (b"foldex engine link", side.encode(), mine.hex().encode(), theirs.hex().encode())
    )
    return hmac.digest(token.encode(), text, "sha256")


def submit_frame(
    number: int,
    commands: Sequence[Command],
    key: str,
    signature: Signature,
    correlation_id: str,
) -> tuple[Any, ...]:
    """Return what decodes as `Submit`."""
    named = [(type(command).__name__, command) for command in commands]
    return ("submit", number, named, key, signature, correlation_id)


def commands_of(frame: Submit) -> list[Command]:
    """Return a submission's commands. Raises: LinkError: one is unknown or malformed."""
    try:
        return [_COMMANDS[name].decode(raw) for name, raw in frame.commands]
    except (KeyError, msgspec.MsgspecError) as error:
        raise LinkError(f"a command cannot be read: {error}") from error


def result_frame(number: int, result: Result) -> Outcomes | NoOutcomes:
    """Return the frame of what became of a submission."""
    if isinstance(result, EngineError | ApiProblem):
        return NoOutcomes(number, result.code, result.detail)
    shown: list[Receipt | tuple[str, str]] = [
        (each.code, each.detail) if isinstance(each, Rejected) else each for each in result
    ]
    return Outcomes(number, shown)


def result_of(frame: Outcomes | NoOutcomes) -> Result:
    """Return what became of a submission."""
    if isinstance(frame, NoOutcomes):
        return _failure(frame.code, frame.detail)
    outcomes: list[Outcome] = [
        each if isinstance(each, Receipt) else rejection(*each) for each in frame.outcomes
    ]
    return outcomes


def _failure(code: str, detail: str) -> EngineError | ApiProblem:
    kinds: list[type[EngineError] | type[ApiProblem]] = [
        *EngineError.__subclasses__(),
        *ApiProblem.__subclasses__(),
    ]
    for kind in kinds:
        if kind.code == code:
            return kind(detail)
    return EngineError(detail)
