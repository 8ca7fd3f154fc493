"""The outermost layer of the API: each request gets a correlation id, a log line and a count."""

import logging
import time
from typing import Final, Protocol

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.logs import correlated, correlation_id

REQUEST_ID_HEADER: Final = "X-Request-ID"
CLIENT_GONE: Final = 499
"""Stands in log and metrics for the status of a request whose sender did not wait for it."""
NO_ROUTE: Final = "(none)"
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_QUIET: Final = "/health/"

_log = logging.getLogger("foldex.access")


class Observe(Protocol):
    """Told of each request when it has been answered. code: of the problem, if it was one."""

    def __call__(
        self, *, method: str, route: str, status: int, seconds: float, code: str
    ) -> None: ...


class Access:
    """ASGI middleware around everything else. observe: told of each request."""

    def __init__(self, app: ASGIApp, observe: Observe) -> None:
        self._app = app
        self._observe = observe

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request; log and count it, whatever becomes of it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = CLIENT_GONE

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[REQUEST_ID_HEADER] = correlation_id()
            await send(message)

        began = time.perf_counter()
        with correlated(Headers(scope=scope).get(REQUEST_ID_HEADER)) as notes:
            try:
                await self._app(scope, receive, send_with_id)
            finally:
                self._record(scope, status, time.perf_counter() - began, notes)

    def _record(self, scope: Scope, status: int, seconds: float, notes: dict[str, str]) -> None:
        method = scope["method"] if scope["method"] in _METHODS else "(other)"
        route = _route(scope)
        self._observe(
            method=method, route=route, status=status, seconds=seconds, code=notes.get("code", "")
        )
        level = logging.DEBUG if route.startswith(_QUIET) else logging.INFO
        if _log.isEnabledFor(level):
            fields = {"status": status, "ms": round(seconds * 1000, 1), **notes}
            _log.log(level, "%s %s", method, route, extra={"fields": fields})


def _route(scope: Scope) -> str:
    """Return the template of the route, never the path: that has ids of clients in it."""
    template = getattr(scope.get("route"), "path", None)
    return template if isinstance(template, str) else NO_ROUTE
