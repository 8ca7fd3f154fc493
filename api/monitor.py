"""Watches the parts of a process, and tells what it sees: /metrics, /health/live, /health/ready.

A process that serves no API is asked on its own port for that; the API's port never has metrics.
"""

import logging
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from http import HTTPStatus
from socketserver import ThreadingMixIn
from typing import Any, Final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import msgspec
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from api.metrics import Metrics, Reading
from api.parts import Asked, Part
from api.settings import Settings
from eventstore.background import Background

ASK_EVERY_S: Final = 0.5
REQUEST_S_MAX: Final = 5.0

_log = logging.getLogger("foldex.monitor")

StartResponse = Callable[[str, list[tuple[str, str]]], Any]


class Reason(msgspec.Struct, frozen=True):
    """What is not as it should be, and with which part of the process."""

    part: str
    detail: str


class Report(msgspec.Struct, frozen=True):
    """status: "alive" or "dead"; "ready" or "not_ready". reasons: empty when all is well."""

    status: str
    reasons: list[Reason]

    @property
    def good(self) -> bool:
        """Whether all is well."""
        return not self.reasons


class Monitor:
    """Asks each part twice a second how it is; serves what it knows on the metrics port, if set.

    Health answers at once, whatever hangs.
    """

    def __init__(self, settings: Settings, metrics: Metrics, parts: Sequence[Part] = ()) -> None:
        self.metrics = metrics
        self._settings = settings
        self._parts: list[Part] = []
        self._asking: list[_Asking] = []
        self._server: _Server | None = None
        self._serving: threading.Thread | None = None
        metrics.read_from(self)
        for part in parts:
            self._add(part)

    @property
    def port(self) -> int:
        """The metrics port; 0 while it is not served."""
        return 0 if self._server is None else self._server.server_port

    def start(self) -> None:
        """Begin to ask the parts, and to answer. Raises: OSError: the metrics port is taken."""
        if self._settings.metrics_port:
            self._serve()
        for asking in self._asking:
            asking.start()
        for asking in self._asking:
            asking.part.asked_once.wait(ASK_EVERY_S)

    def watch(self, part: Part) -> None:
        """Watch another part, after the start."""
        asking = self._add(part)
        if asking is not None:
            asking.start()

    def stop(self) -> None:
        """Ask and answer no more. A part that hangs is not waited for."""
        if self._server is not None and self._serving is not None:
            self._server.shutdown()
            self._serving.join()
            self._server.server_close()
            self._server = None
        for asking in self._asking:
            asking.stop()

    def live(self) -> Report:
        """Return whether everything works that only a restart would bring back."""
        return _report("alive", "dead", ((part, part.dead()) for part in list(self._parts)))

    def ready(self) -> Report:
        """Return whether all is as it should be, so that requests may be sent here."""
        return _report("ready", "not_ready", ((part, part.unready()) for part in list(self._parts)))

    def readings(self) -> Iterator[Reading]:
        """Return the state of each part."""
        for part in list(self._parts):
            yield Reading("foldex_part_live", not part.dead(), (part.name,))
            yield Reading("foldex_part_ready", not part.unready(), (part.name,))

    def _add(self, part: Part) -> "_Asking | None":
        self._parts.append(part)
        self.metrics.read_from(part)
        if not isinstance(part, Asked):
            return None
        self._asking.append(_Asking(part))
        return self._asking[-1]

    def _serve(self) -> None:
        settings = self._settings
        self._server = make_server(
            settings.metrics_host, settings.metrics_port, self._answer, _Server, _Handler
        )
        self._serving = threading.Thread(
            target=self._server.serve_forever, name="metrics", daemon=True
        )
        self._serving.start()
        _log.info("metrics at port %d", self.port)

    def _answer(self, environ: dict[str, Any], start: StartResponse) -> list[bytes]:
        """Answer a request, as WSGI wants it."""
        status, media_type, body = self._page(environ.get("PATH_INFO", ""))
        phrase = HTTPStatus(status).phrase
        start(f"{status} {phrase}", [("Content-Type", media_type)])
        return [body]

    def _page(self, path: str) -> tuple[int, str, bytes]:
        if path == "/metrics":
            return 200, CONTENT_TYPE_PLAIN_0_0_4, self.metrics.exposed()
        reports = {"/health/live": self.live, "/health/ready": self.ready}
        if path not in reports:
            return 404, "text/plain", b"/metrics, /health/live, /health/ready\n"
        report = reports[path]()
        return 200 if report.good else 503, "application/json", msgspec.json.encode(report)


class _Asking:
    """Asks one part again and again, on a thread of its own: the others need not wait for it."""

    def __init__(self, part: Asked) -> None:
        self.part = part
        self._thread = Background(f"ask {part.name}", self._run)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End. One that hangs is not waited for."""
        self._thread.stop(ASK_EVERY_S)

    def _run(self) -> None:
        """That the part does not answer is logged once, and so is its end."""
        failing = False
        while not self._thread.stopping:
            error = self.part.try_to_ask()
            if error is not None and not failing:
                _log.warning("%s: it does not answer: %s", self.part.name, error)
            if error is None and failing:
                _log.info("%s: it answers again", self.part.name)
            failing = error is not None
            self._thread.rest(ASK_EVERY_S)


class _Server(ThreadingMixIn, WSGIServer):
    """A thread for each request: one slow reader keeps nobody waiting."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log it like everything else; that a client was too slow or went away, when debugging."""
        level = logging.DEBUG if isinstance(sys.exception(), OSError) else logging.ERROR
        _log.log(level, "a request at the metrics port was not answered", exc_info=True)


class _Handler(WSGIRequestHandler):
    """Gives up on a client that is too slow; what is asked here is not worth a line in the log."""

    timeout = REQUEST_S_MAX

    def log_message(self, format: str, *args: Any) -> None:
        """Log when debugging only."""
        _log.debug(format, *args)


def _report(good: str, bad: str, found: Iterable[tuple[Part, str]]) -> Report:
    reasons = [Reason(part.name, detail) for part, detail in found if detail]
    return Report(bad if reasons else good, reasons)
