"""The way to an engine in another process: keeps a connection, and makes it again when lost."""

import asyncio
import hmac
import logging
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar, cast, get_args, get_type_hints
from urllib.parse import urlsplit

import msgspec

from api.engine_frames import Frames, LinkError
from api.engine_link import (
    FRAME_BYTES_MAX,
    GREETING_S_MAX,
    LINK_VERSION,
    SILENCE_S_MAX,
    Answered,
    Ask,
    Beat,
    Challenge,
    FromServer,
    Hello,
    Refusal,
    Welcome,
    new_nonce,
    proof,
    result_of,
    submit_frame,
)
from api.engine_pipe import TlsPipe
from api.engine_port import Question, Result
from api.engine_questions import AnyQuestion
from api.engine_tls import LinkTls, explained
from api.logs import correlation_id
from api.problems import NotReady
from api.signatures import Signature
from commands.command import Command
from commands.errors import OutcomeUnknown, Overloaded

Answer = TypeVar("Answer")

UNANSWERED_MAX: Final = 20_000
"""Requests that may wait for an answer, over one connection."""
RETRY_S_MIN: Final = 0.05
RETRY_S_MAX: Final = 1.0

_GREETING: Final = msgspec.msgpack.Decoder(Challenge | Welcome | Refusal)
_REPLY: Final = msgspec.msgpack.Decoder(FromServer)
_ANSWERS: Final = {
    kind: msgspec.msgpack.Decoder(get_type_hints(kind.answer)["return"])
    for kind in get_args(AnyQuestion)
}

_log = logging.getLogger(__name__)


def addresses_of(text: str) -> list[tuple[str, int]]:
    """Return hosts and ports of `HOST:PORT,HOST:PORT`: an engine and those that stand by."""
    parts = [urlsplit(f"//{each.strip()}") for each in text.split(",")]
    return [(part.hostname or "", part.port or 0) for part in parts]


class EngineClient:
    """An `EnginePort` to whichever of some addresses has an engine that takes commands.

    A submission whose connection is lost gets OutcomeUnknown: it may have arrived. complaint: what
    was wrong last. tls: then nothing is sent before the other side has shown its certificate.
    """

    def __init__(
        self, addresses: Sequence[tuple[str, int]], token: str, tls: LinkTls | None = None
    ) -> None:
        self.complaint = ""
        self._addresses = addresses
        self._token = token
        self._tls = tls
        self._connection: _Connection | None = None
        self._keeper: asyncio.Task[None] | None = None

    @property
    def ready(self) -> bool:
        """Whether there is a connection, and its engine takes commands."""
        return self._connection is not None and self._connection.beat.ready

    @property
    def connected(self) -> bool:
        """Whether an engine let us in, be it ready or not."""
        return self._connection is not None

    @property
    def position(self) -> int:
        """What the engine said last; 0 while there is none."""
        return 0 if self._connection is None else self._connection.beat.position

    @property
    def failed(self) -> BaseException | None:
        """Why no connection is kept any more: a mistake in here, as a lost one is made again."""
        keeper = self._keeper
        return keeper.exception() if keeper and keeper.done() and not keeper.cancelled() else None

    @property
    def queue_depth(self) -> int:
        """What the engine said last; 0 while there is none."""
        return 0 if self._connection is None else self._connection.beat.queue_depth

    async def open(self) -> None:
        """Begin to connect, and to connect again whenever the connection is lost."""
        self._keeper = asyncio.get_running_loop().create_task(self._keep_connected())

    async def close(self) -> None:
        """Give the connection up."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)

    def submit(
        self, commands: Sequence[Command], *, key: str, signature: Signature
    ) -> asyncio.Future[Result]:
        """Send commands, see `EnginePort.submit`."""
        return self._connected().submit(commands, key, signature)

    async def ask(self, question: Question[Answer]) -> Answer:
        """Return the engine's answer to a question."""
        return cast(Answer, await self._connected().ask(cast(AnyQuestion, question)))

    def _connected(self) -> "_Connection":
        if self._connection is None:
            raise NotReady("There is no connection to the engine; nothing was sent")
        return self._connection

    async def _keep_connected(self) -> None:
        pause_s = RETRY_S_MIN
        while True:
            for host, port in self._addresses:
                if await self._use(host, port):
                    pause_s = RETRY_S_MIN
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, RETRY_S_MAX)

    async def _use(self, host: str, port: int) -> bool:
        """Connect, and stay until the connection is lost; return whether there was one."""
        try:
            pipe = None if self._tls is None else TlsPipe(self._tls.client_context(), host)
            connection = _Connection(self._token, pipe)
            await connection.open(host, port)
        except (OSError, LinkError) as error:
            self._complain(f"no engine at {host}:{port}: {explained(error)}")
            return False
        _log.info("connected to the engine at %s:%d", host, port)
        self._connection = connection
        try:
            lost = await connection.until_lost()
        finally:
            self._connection = None
            connection.end()
        why = "it ended" if lost is None else explained(lost)
        self._complain(f"the connection to the engine at {host}:{port} is lost: {why}")
        return True

    def _complain(self, complaint: str) -> None:
        """Log what is wrong, but not the same again and again."""
        if complaint != self.complaint:
            _log.warning("%s", complaint)
        self.complaint = complaint


class _Connection:
    """One connection: greeted, then many requests under way at once."""

    def __init__(self, token: str, pipe: TlsPipe | None) -> None:
        loop = asyncio.get_running_loop()
        self.beat = Beat(False, 0, 0)
        self._token = token
        self._nonce = new_nonce()
        self._their_nonce = b""
        self._silence_means = "no greeting came in time"
        if pipe is None:
            self._silence_means += "; does it wait for TLS?"
        self._frames = Frames(self._greeted, self._on_lost, pipe=pipe)
        self._receive: Callable[[bytes], None] = self._greet
        self._welcome: asyncio.Future[None] = loop.create_future()
        self._lost: asyncio.Future[Exception | None] = loop.create_future()
        self._heard_s = loop.time()
        self._loop = loop
        self._number = 0
        self._submissions: dict[int, asyncio.Future[Result]] = {}
        self._questions: dict[int, tuple[asyncio.Future[Any], msgspec.msgpack.Decoder[Any]]] = {}

    async def open(self, host: str, port: int) -> None:
        """Connect and greet. Raises: OSError, LinkError."""
        try:
            async with asyncio.timeout(GREETING_S_MAX):
                await self._loop.create_connection(lambda: self._frames, host, port)
                await self._welcome
        except TimeoutError as error:
            self.end()
            raise LinkError(self._silence_means) from error
        except BaseException:
            self.end()
            raise

    async def until_lost(self) -> Exception | None:
        """Return why the connection was lost, once it is."""
        while not self._lost.done():
            silent_s = self._loop.time() - self._heard_s
            if silent_s >= SILENCE_S_MAX:
                self._frames.abort(LinkError(f"it said nothing for {SILENCE_S_MAX:.0f} s"))
            await asyncio.wait([self._lost], timeout=max(0.01, SILENCE_S_MAX - silent_s))
        return self._lost.result()

    def end(self) -> None:
        """End at once."""
        self._frames.abort(LinkError("ended by this side"))

    def submit(
        self, commands: Sequence[Command], key: str, signature: Signature
    ) -> asyncio.Future[Result]:
        """Send a submission. Raises: Overloaded: nothing was sent."""
        number = self._next_number()
        answered: asyncio.Future[Result] = self._loop.create_future()
        self._submissions[number] = answered
        self._frames.send(submit_frame(number, commands, key, signature, correlation_id()))
        return answered

    def ask(self, question: AnyQuestion) -> asyncio.Future[Any]:
        """Send a question; the future may get NotReady. Raises: Overloaded: nothing was sent."""
        number = self._next_number()
        answered: asyncio.Future[Any] = self._loop.create_future()
        self._questions[number] = (answered, _ANSWERS[type(question)])
        self._frames.send(Ask(number, question))
        return answered

    def _next_number(self) -> int:
        waiting = len(self._submissions) + len(self._questions)
        if self._frames.congested or waiting >= UNANSWERED_MAX:
            raise Overloaded
        self._number += 1
        return self._number

    def _greeted(self, content: bytes) -> None:
        self._heard_s = self._loop.time()
        self._receive(content)

    def _greet(self, content: bytes) -> None:
        greeting = _GREETING.decode(content)
        if isinstance(greeting, Refusal):
            raise LinkError(f"it refuses: {greeting.reason}")
        if isinstance(greeting, Challenge):
            if greeting.version != LINK_VERSION:
                raise LinkError(
                    f"it has version {greeting.version} of the link, not {LINK_VERSION}"
                )
            self._their_nonce = greeting.nonce
            mine = proof(self._token, "client", self._nonce, greeting.nonce)
            self._frames.send(Hello(LINK_VERSION, self._nonce, mine))
            return
        expected = proof(self._token, "server", self._their_nonce, self._nonce)
        if not self._their_nonce or not hmac.compare_digest(expected, greeting.proof):
            raise LinkError("it does not know the token")
        self._frames.frame_bytes_max = FRAME_BYTES_MAX
        self._receive = self._reply
        if not self._welcome.done():
            self._welcome.set_result(None)

    def _reply(self, content: bytes) -> None:
        reply = _REPLY.decode(content)
        if isinstance(reply, Beat):
            self.beat = reply
        elif isinstance(reply, Answered):
            question, decoder = self._questions.pop(reply.number)
            if not question.done():
                question.set_result(decoder.decode(reply.answer))
        else:
            submission = self._submissions.pop(reply.number)
            if not submission.done():
                submission.set_result(result_of(reply))

    def _on_lost(self, error: Exception | None) -> None:
        for submission in self._submissions.values():
            if not submission.done():
                submission.set_result(OutcomeUnknown())
        for question, _ in self._questions.values():
            if not question.done():
                question.set_exception(NotReady("The connection to the engine was lost"))
        self._submissions.clear()
        self._questions.clear()
        if not self._welcome.done():
            self._welcome.set_exception(error or LinkError("it ended the connection"))
        if not self._lost.done():
            self._lost.set_result(error)
