"""Every error the API can answer, once: its code, status and text, and how it is rendered.

RFC 9457 problem documents. The registry below feeds the handlers, the OpenAPI document and the
page /docs/errors, so that the three cannot disagree.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import msgspec
from starlette.responses import Response

import commands.errors
import domain.errors
from api.logs import correlation_id, note
from commands.errors import EngineError
from domain.errors import Rejected

MEDIA_TYPE: Final = "application/problem+json"
TYPE_PREFIX: Final = "/docs/errors#"


class ApiProblem(Exception):
    """A request was refused before it became a command. `code` never changes."""

    code: ClassVar[str]
    status: ClassVar[int]
    title: ClassVar[str]
    retryable: ClassVar[bool] = False

    def __init__(self, detail: str = "") -> None:
        super().__init__(detail or self.title)
        self.detail = detail or self.title


class MalformedJson(ApiProblem):
    code, status, title = "malformed_json", 400, "The body is not valid JSON"


class UnknownParameter(ApiProblem):
    code, status, title = "unknown_parameter", 400, "A field or query parameter that does not exist"


class MissingField(ApiProblem):
    code, status, title = "missing_field", 422, "A required field is missing"


class BadLimit(ApiProblem):
    code, status, title = "bad_limit", 422, "The page size is out of range"


class BodyTooLarge(ApiProblem):
    code, status, title = "body_too_large", 413, "The body is larger than is taken"


class UnsupportedMediaType(ApiProblem):
    code, status, title = "unsupported_media_type", 415, "Bodies are application/json"


class UnexpectedBody(ApiProblem):
    code, status, title = "unexpected_body", 400, "This request takes no body"


class NotFound(ApiProblem):
    code, status, title = "not_found", 404, "There is no such resource"


class MethodNotAllowed(ApiProblem):
    code, status, title = "method_not_allowed", 405, "The resource does not take this method"


class IdempotencyKeyMissing(ApiProblem):
    code, status = "idempotency_key_missing", 400
    title = "This command needs the header Idempotency-Key"


class BadIdempotencyKey(ApiProblem):
    code, status = "bad_idempotency_key", 400
    title = "Idempotency-Key is 1 to 64 of A-Z a-z 0-9 _ . : -"


class SignatureMissing(ApiProblem):
    code, status = "signature_missing", 401
    title = "A header of the signature is missing or not in its form"


class UnknownKey(ApiProblem):
    code, status, title = "unknown_key", 401, "There is no such API key, or it was revoked"


class BadSignature(ApiProblem):
    code, status, title = "bad_signature", 401, "The signature does not match the request"


class TimestampStale(ApiProblem):
    code, status, title = "timestamp_stale", 401, "The request is older than its receive window"
    retryable = True


class TimestampFuture(ApiProblem):
    code, status, title = "timestamp_future", 401, "The request's timestamp lies in the future"
    retryable = True


class SignatureReplayed(ApiProblem):
    code, status, title = "signature_replayed", 401, "This very request was received before"


class WrongScope(ApiProblem):
    code, status, title = "wrong_scope", 403, "The API key may not do this"


class RateLimited(ApiProblem):
    """The header Retry-After says in how many seconds there is room again."""

    code, status, title = "rate_limited", 429, "The API key has sent more than it may"
    retryable = True

    def __init__(self, detail: str = "", *, retry_after_s: int = 1) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


class ViewBehind(ApiProblem):
    code, status, title = "view_behind", 503, "The view has not reached min_position yet"
    retryable = True


class CustodyUnavailable(ApiProblem):
    """Also where this process knows no chain; then trying again does not help."""

    code, status, title = "custody_unavailable", 503, "Custody cannot be asked now"
    retryable = True


class CustodyRefused(ApiProblem):
    """The detail begins with custody's own code, one of those of the topic `errors`."""

    code, status, title = "custody_refused", 409, "Custody could not do this"


class NotReady(ApiProblem):
    code, status, title = "not_ready", 503, "The exchange does not take commands now"
    retryable = True


class NotAlive(ApiProblem):
    code, status, title = "not_alive", 503, "The process works no more and has to be restarted"
    retryable = True


class TooManySignatures(ApiProblem):
    code, status, title = "too_many_signatures", 503, "More signed requests than can be remembered"
    retryable = True


class InternalError(ApiProblem):
    code, status, title = "internal_error", 500, "Something went wrong on our side"


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """RFC 9457. `code` is stable: branch on it, show `detail` to people.

    retryable: whether the same request may succeed later; commands: send the same Idempotency-Key.
    errors: each field that is wrong, by JSON pointer (body) or name. correlation_id: quote it.
    """

    type: str
    title: str
    status: int
    detail: str
    code: str
    instance: str
    retryable: bool
    errors: list[dict[str, str]] | None = None
    correlation_id: str | None = None


@dataclass(frozen=True, slots=True)
class ErrorInfo:
    """One row of the registry. about: the class's docstring, where it says more than the title."""

    code: str
    status: int
    title: str
    retryable: bool
    about: str


# Tests may define refusals of their own; only these modules' are part of the API.
_OWNERS: Final = frozenset({__name__, domain.errors.__name__, commands.errors.__name__})

ErrorType = type[ApiProblem] | type[Rejected] | type[EngineError]


def error_info(kind: ErrorType) -> ErrorInfo:
    """Return the registry's row of an error class."""
    # Whatever stopped the engine from answering may pass; a refused command stays refused.
    retryable = kind.retryable if issubclass(kind, ApiProblem) else issubclass(kind, EngineError)
    about = " ".join((kind.__dict__.get("__doc__") or "").split())
    return ErrorInfo(kind.code, kind.status, kind.title, retryable, about)


def _leaves(kind: type[Any]) -> Iterator[type[Any]]:
    for child in kind.__subclasses__():
        if not child.__name__.startswith("_"):
            yield child
        yield from _leaves(child)


def _registry() -> dict[str, ErrorInfo]:
    rows = [
        error_info(kind)
        for root in (ApiProblem, Rejected, EngineError)
        for kind in _leaves(root)
        if "code" in kind.__dict__ and kind.__module__ in _OWNERS
    ]
    return {row.code: row for row in sorted(rows, key=lambda row: (row.status, row.code))}


REGISTRY: Final[dict[str, ErrorInfo]] = _registry()
"""Every code, by status and then by name."""


def problem_of(error: BaseException, instance: str) -> Problem:
    """Return the problem document of a refusal; anything not in the registry is internal_error."""
    info = REGISTRY.get(getattr(error, "code", ""), REGISTRY["internal_error"])
    known = info.code != "internal_error"
    detail = (getattr(error, "detail", "") or str(error)) if known else info.title
    return problem(info.code, detail or info.title, instance)


def problem(
    code: str,
    detail: str,
    instance: str,
    *,
    fields: list[dict[str, str]] | None = None,
) -> Problem:
    """Return the problem document of a code in the registry."""
    info = REGISTRY[code]
    return Problem(
        type=TYPE_PREFIX + code,
        title=info.title,
        status=info.status,
        detail=detail,
        code=code,
        instance=instance,
        retryable=info.retryable,
        errors=fields,
    )


def respond(document: Problem, headers: dict[str, str] | None = None) -> Response:
    """Return the HTTP response of a problem document, with the request's correlation id."""
    note("code", document.code)
    document = msgspec.structs.replace(document, correlation_id=correlation_id() or None)
    sent = dict(headers or {})
    if document.status == 503:
        sent["Retry-After"] = "1"
    if document.status == 401:
        sent["WWW-Authenticate"] = "Foldex"
    return Response(
        msgspec.json.encode(document),
        status_code=document.status,
        headers=sent,
        media_type=MEDIA_TYPE,
    )
