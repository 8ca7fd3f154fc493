"""What is logged: one event on each line, with its correlation id, and never a secret.

A log call gives its fields as `extra={"fields": {...}}`. The correlation id says which request (of
which process) a line belongs to: it is in the reply's X-Request-ID, in every problem document, and
goes with the commands to the engine.
"""

import logging
import re
import secrets
import time
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import msgspec

from api.settings import Settings, is_secret

REDACTED: Final = "[redacted]"
SECRET_CHARS_MIN: Final = 8

_SECRET: Final = re.compile(r"fdxs_[A-Za-z0-9_-]+|\b[0-9a-fA-F]{64}\b|(?<=://)[^\s/@]*:[^\s/@]*@")
"""API secrets by their prefix, signatures and master keys by their form, passwords in URLs."""
_SAFE: Final = re.compile(r"[A-Za-z0-9_.:-]{1,64}", re.ASCII)
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f\u0085\u2028\u2029]")


class _Request:
    """The request that a context belongs to: its correlation id, and what was noted about it."""

    __slots__ = ("correlation_id", "notes")

    def __init__(self, mine: str) -> None:
        self.correlation_id = mine
        self.notes: dict[str, str] = {}


_request: ContextVar[_Request | None] = ContextVar("request", default=None)


def correlation_id() -> str:
    """Return the id of the request that this is done for; "" outside of requests."""
    request = _request.get()
    return request.correlation_id if request else ""


def note(name: str, value: str) -> None:
    """Add a field to the line that the request gets in the access log; never a secret."""
    if request := _request.get():
        request.notes[name] = value


@contextmanager
def correlated(given: str | None) -> Iterator[dict[str, str]]:
    """Do what follows under a correlation id: the given one if it is safe to log, or a new one.

    Gives what is noted meanwhile.
    """
    request = _Request(given if given and _SAFE.fullmatch(given) else secrets.token_hex(8))
    token = _request.set(request)
    try:
        yield request.notes
    finally:
        _request.reset(token)


class Redacted(logging.Formatter, ABC):
    """Takes out of every line what has the form of a secret, and the secrets it is told."""

    def __init__(self, told: Collection[str] = ()) -> None:
        super().__init__()
        forms = {form for secret in told for form in (secret, _as_json(secret))}
        # The longest first: one secret may be a part of another.
        self._told = sorted(forms, key=len, reverse=True)

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        return self.redact(self.line(record))

    @abstractmethod
    def line(self, record: logging.LogRecord) -> str:
        """Return the line with its secrets."""

    def redact(self, text: str) -> str:
        """Return a text without its secrets."""
        for secret in self._told:
            text = text.replace(secret, REDACTED)
        return _SECRET.sub(REDACTED, text)


class TextLines(Redacted):
    """For people: time, level, logger, message, fields. Line ends are written as \\n."""

    def line(self, record: logging.LogRecord) -> str:
        """Return the line with its secrets."""
        head = f"{_time(record)} {record.levelname} {record.name}: {record.getMessage()}"
        fields = " ".join(f"{name}={value}" for name, value in _fields(record).items())
        trace = _trace(self, record)
        whole = "  ".join(part for part in (head, fields, trace) if part)
        return _CONTROL.sub(lambda found: repr(found.group())[1:-1], whole)


class JsonLines(Redacted):
    """For machines: an object on each line."""

    def line(self, record: logging.LogRecord) -> str:
        """Return the line with its secrets."""
        event = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_fields(record),
        }
        if trace := _trace(self, record):
            event["trace"] = trace
        text = msgspec.json.encode(event, enc_hook=str).decode()
        # JSON lets them be, and some readers take them for line ends.
        return _CONTROL.sub(lambda found: f"\\u{ord(found.group()):04x}", text)


def configure_logging(settings: Settings) -> None:
    """Send every log record to standard error, in the form and from the level that are set."""
    form = JsonLines if settings.log_format == "json" else TextLines
    handler = logging.StreamHandler()
    handler.setFormatter(form(_secrets_of(settings)))
    logging.basicConfig(level=settings.log_level.upper(), handlers=[handler], force=True)


def _secrets_of(settings: Settings) -> set[str]:
    """Return the values of secret settings, and the password that one of them has in it.

    A short password could be any word; it is only taken out of URLs.
    """
    found = {
        getattr(settings, name).get_secret_value()
        for name in Settings.model_fields
        if is_secret(name)
    }
    password = urlsplit(settings.database_url.get_secret_value()).password or ""
    found |= {password, unquote(password)}
    return {secret for secret in found if len(secret) >= SECRET_CHARS_MIN}


def _time(record: logging.LogRecord) -> str:
    """Return when it was logged: ISO 8601, UTC, to the millisecond."""
    ms = int(record.created * 1000)
    seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(ms // 1000))
    return f"{seconds}.{ms % 1000:03d}Z"


def _fields(record: logging.LogRecord) -> Mapping[str, Any]:
    fields: dict[str, Any] = dict(getattr(record, "fields", {}))
    if mine := correlation_id():
        fields["request"] = mine
    return fields


def _trace(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    parts = []
    if record.exc_info:
        parts.append(formatter.formatException(record.exc_info))
    if record.stack_info:
        parts.append(formatter.formatStack(record.stack_info))
    return "\n".join(parts)


def _as_json(text: str) -> str:
    return msgspec.json.encode(text).decode()[1:-1]
