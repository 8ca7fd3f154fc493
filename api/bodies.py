"""The outermost guard: bodies have a limit and a media type, and no error escapes as a trace."""

import logging
import traceback
from typing import Final

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.problems import (
    ApiProblem,
    BodyTooLarge,
    UnexpectedBody,
    UnsupportedMediaType,
    problem,
    problem_of,
    respond,
)

log = logging.getLogger("foldex.api")

_WITH_BODY: Final = frozenset({"POST", "PATCH", "PUT"})


class Guard:
    """ASGI middleware that reads a whole body, up to the limit, before the application sees any."""

    def __init__(self, app: ASGIApp, body_bytes_max: int) -> None:
        self._app = app
        self._body_bytes_max = body_bytes_max

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request, whatever happens inside."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        watched = _Watched(send)
        try:
            await self._guarded(scope, receive, watched)
        except Exception as error:
            if watched.started:
                raise
            await _internal_error(scope, error)(scope, receive, send)

    async def _guarded(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            body = await self._read(scope, receive)
            if body is None:
                return
            _require_media_type(scope, body)
        except ApiProblem as refusal:
            # The rest of the body stays unread, so the connection cannot be used again.
            document = problem_of(refusal, scope["path"])
            await respond(document, {"Connection": "close"})(scope, receive, send)
            return
        await self._app(scope, _replay(body, receive), send)

    async def _read(self, scope: Scope, receive: Receive) -> bytes | None:
        """Return the body, or None when the client is gone. Raises: BodyTooLarge."""
        declared = Headers(scope=scope).get("content-length", "0")
        if not declared.isdecimal() or int(declared) > self._body_bytes_max:
            raise BodyTooLarge(f"At most {self._body_bytes_max} bytes")
        parts: list[bytes] = []
        size = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            part = message.get("body", b"")
            size += len(part)
            if size > self._body_bytes_max:
                raise BodyTooLarge(f"At most {self._body_bytes_max} bytes")
            parts.append(part)
            if not message.get("more_body", False):
                return b"".join(parts)


class _Watched:
    """Knows whether the response has begun: after that no other can be sent."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.started = False

    async def __call__(self, message: Message) -> None:
        self.started = True
        await self._send(message)


def _require_media_type(scope: Scope, body: bytes) -> None:
    if not body:
        return
    if scope["method"] not in _WITH_BODY:
        raise UnexpectedBody
    media_type = Headers(scope=scope).get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise UnsupportedMediaType


def _replay(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that gives the whole body first, then what else the client does."""
    first: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replayed() -> Message:
        return first.pop() if first else await receive()

    return replayed


def _internal_error(scope: Scope, error: Exception) -> Response:
    """Log what happened, and tell the client no more than the correlation id.

    Only the places of the trace and the error's type are logged: its text may quote the request.
    """
    places = "".join(traceback.format_tb(error.__traceback__))
    log.error(
        "internal error: %s at %s %r",
        type(error).__name__,
        scope["method"],
        scope["path"],
        extra={"fields": {"trace": places}},
    )
    document = problem(
        "internal_error",
        "Something went wrong on our side; quote the correlation id",
        scope["path"],
    )
    return respond(document)
