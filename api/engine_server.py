"""Serves the engine of this process to API processes, over the link."""

import asyncio
import hmac
import logging
from typing import Final

import msgspec

from api.engine_frames import Frames, LinkError
from api.engine_link import (
    BEAT_S,
    FRAME_BYTES_MAX,
    GREETING_S_MAX,
    LINK_VERSION,
    Answered,
    Ask,
    Beat,
    Challenge,
    FromClient,
    Hello,
    Refusal,
    Submit,
    Welcome,
    commands_of,
    new_nonce,
    proof,
    result_frame,
)
from api.engine_local import LocalEngine
from api.engine_port import Result
from api.engine_tls import ServerTls, explained
from api.logs import correlated
from api.problems import ApiProblem
from commands.errors import EngineError

SESSIONS_MAX: Final = 256

_HELLO: Final = msgspec.msgpack.Decoder(Hello)
_REQUEST: Final = msgspec.msgpack.Decoder(FromClient)
_ENCODER: Final = msgspec.msgpack.Encoder()

_log = logging.getLogger(__name__)


class EngineServer:
    """Takes connections of whoever knows the token. For the thread of one event loop.

    tls: then only of those who have a certificate, too.
    """

    def __init__(self, engine: LocalEngine, token: str, tls: ServerTls | None = None) -> None:
        self.engine = engine
        self.token = token
        self.tls = tls
        self.sessions: set[Session] = set()
        self._server: asyncio.Server | None = None
        self._beats: asyncio.Task[None] | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen; return the port, a free one for 0. Raises: OSError: it is taken."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Session(self).frames, host, port)
        self._beats = loop.create_task(self._beat())
        bound: int = self._server.sockets[0].getsockname()[1]
        return bound

    async def refuse_more(self) -> None:
        """Take no more connections; those that are there go on."""
        if self._server is not None:
            self._server.close()

    async def stop(self) -> None:
        """End every connection, once what was answered has left."""
        await self.refuse_more()
        if self._beats is not None:
            self._beats.cancel()
        for session in list(self.sessions):
            session.frames.close()
        await asyncio.sleep(0)

    def beat(self) -> Beat:
        """Return how the engine is."""
        engine = self.engine
        return Beat(engine.ready, engine.position, engine.queue_depth)

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(BEAT_S)
            beat = self.beat()
            for session in self.sessions:
                session.tell(beat)


class Session:
    """One connection: a greeting, then requests, handled in the order in which they come."""

    def __init__(self, server: EngineServer) -> None:
        pipe = None if server.tls is None else server.tls.pipe()
        self.frames = Frames(self._receive, self._lost, on_made=self._made, pauses=True, pipe=pipe)
        self._server = server
        self._nonce = new_nonce()
        self._welcome = False
        self._greeting = asyncio.get_running_loop().call_later(
            GREETING_S_MAX, self._refuse, "no greeting came in time"
        )

    def tell(self, beat: Beat) -> None:
        """Say how the engine is, to whoever has been let in."""
        if self._welcome:
            self.frames.send(beat)

    def _made(self) -> None:
        sessions = self._server.sessions
        sessions.add(self)
        if len(sessions) > SESSIONS_MAX:
            self._refuse(f"{SESSIONS_MAX} connections are open already")
        else:
            self.frames.send(Challenge(LINK_VERSION, self._nonce))

    def _receive(self, content: bytes) -> None:
        if not self._welcome:
            self._greet(_HELLO.decode(content))
            return
        request = _REQUEST.decode(content)
        if isinstance(request, Submit):
            self._submit(request)
        else:
            self._answer(request)

    def _greet(self, hello: Hello) -> None:
        if hello.version != LINK_VERSION:
            self._refuse(f"version {hello.version} of the link, the engine has {LINK_VERSION}")
            return
        token = self._server.token
        expected = proof(token, "client", hello.nonce, self._nonce)
        if not hmac.compare_digest(expected, hello.proof):
            self._refuse("the token is not the engine's")
            return
        self._greeting.cancel()
        self._welcome = True
        self.frames.frame_bytes_max = FRAME_BYTES_MAX
        self.frames.send(Welcome(proof(token, "server", self._nonce, hello.nonce)))
        self.frames.send(self._server.beat())
        _log.info("%s is connected", self.frames.peer)

    def _submit(self, request: Submit) -> None:
        number = request.number
        now_ms = self._server.engine.now_ms
        # One clock: else an API process whose clock is ahead would take everybody's time with it.
        commands = [
            msgspec.structs.replace(command, time_ms=now_ms) for command in commands_of(request)
        ]
        if not commands:
            raise LinkError("a submission without commands")
        try:
            with correlated(request.correlation_id):
                answered = self._server.engine.submit(
                    commands, key=request.key, signature=request.signature
                )
        except (EngineError, ApiProblem) as refusal:
            self.frames.send(result_frame(number, refusal))
            return
        answered.add_done_callback(lambda done: self._landed(number, done.result()))

    def _landed(self, number: int, result: Result) -> None:
        self.frames.send(result_frame(number, result))

    def _answer(self, request: Ask) -> None:
        answer = request.question.answer(self._server.engine)
        self.frames.send(Answered(request.number, msgspec.Raw(_ENCODER.encode(answer))))

    def _refuse(self, reason: str) -> None:
        self.frames.send(Refusal(reason))
        self.frames.close(LinkError(reason))

    def _lost(self, error: Exception | None) -> None:
        self._greeting.cancel()
        self._server.sessions.discard(self)
        if error is not None:
            _log.warning("a connection of an API process ended: %s", explained(error))
