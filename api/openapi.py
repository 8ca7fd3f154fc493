"""The OpenAPI document: FastAPI's, completed from the registries of answers and of errors."""

from collections.abc import Iterable
from typing import Any, Final

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from api.documents import DOCUMENTED, Documentation
from api.parameters import Needs, needs_of
from api.problems import MEDIA_TYPE, REGISTRY, Problem, problem
from api.replies import POSITION_HEADER, answer_type
from api.security import KEY_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER, WINDOW_HEADER

DESCRIPTION: Final = """
The command and query API of a Foldex exchange.

**Amounts, prices and quantities are decimal strings**, in and out; a JSON number is refused.
Times are ms since 1970 UTC. Clients must ignore fields that they do not know.

**Signing.** Send `X-Foldex-Key`, `X-Foldex-Timestamp` (ms), `X-Foldex-Recv-Window` (ms, 5000
without it, at most 60000) and `X-Foldex-Signature`: the hex HMAC-SHA256 under your secret of

    timestamp \\n recv_window \\n METHOD \\n path \\n query \\n body

joined by line feeds: path and query string exactly as sent, without the question mark, and the
body's bytes. The signature of a command works once; sign again to send it again.

**Exactly once.** Give each command an `Idempotency-Key`. After a time-out or a 5xx, ask
`GET /v1/requests/{idempotency_key}`, or send the command again with the same key.

**Read your writes.** Each command's reply has a `position`; give it to a query as `min_position`.

**Paging.** `next` of a page is the `after` of the following one; `null`: there is none.

**Limits.** A key may send so many requests and orders a second as the exchange allows; beyond that
the answer is 429 `rate_limited`, and `Retry-After` says in how many seconds to try again. Cancels
count as requests only.

**Errors** are [RFC 9457](https://www.rfc-editor.org/rfc/rfc9457) problems. Branch on `code`, which
never changes; all codes: [/docs/errors](/docs/errors).
"""

TAGS: Final = [
    {"name": "Orders", "description": "Place, amend and cancel orders. Scopes: trade, read."},
    {"name": "Account", "description": "What an account has and what happened to it."},
    {"name": "Withdrawals", "description": "Ask for coins to be paid out. Scope: withdraw."},
    {"name": "Market data", "description": "Public: markets, trades, K-lines, books, tickers."},
    {"name": "Requests", "description": "What became of a command whose answer you did not get."},
    {"name": "Operator", "description": "Running the exchange. Scope: operate."},
    {"name": "Audit", "description": "The events themselves. Scope: audit."},
    {"name": "Service", "description": "Time and health."},
]

_SIGNATURE_CODES: Final = (
    "signature_missing",
    "unknown_key",
    "bad_signature",
    "timestamp_stale",
    "timestamp_future",
    "wrong_scope",
    "rate_limited",
)
_COMMAND_CODES: Final = (
    "signature_replayed",
    "bad_idempotency_key",
    "idempotency_key_reused",
    "bad_field",
    "overloaded",
    "engine_stopped",
    "not_recorded",
    "not_ready",
    "too_many_signatures",
    "outcome_unknown",
)
_BODY_CODES: Final = (
    "malformed_json",
    "missing_field",
    "bad_field",
    "body_too_large",
    "unsupported_media_type",
)
_COMMON_CODES: Final = ("unknown_parameter", "internal_error")


def build_openapi(app: FastAPI, routes: Iterable[APIRoute]) -> dict[str, Any]:
    """Return the whole document, the same each time for the same code."""
    routes = list(routes)
    document = get_openapi(
        title=app.title,
        version=app.version,
        description=DESCRIPTION,
        routes=app.routes,
        tags=TAGS,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
    )
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for left_over in ("HTTPValidationError", "ValidationError"):
        schemas.pop(left_over, None)
    answers = [answer_type(DOCUMENTED[route.endpoint].answer) for route in routes]
    references, components = msgspec.json.schema_components(
        [Problem, *answers], ref_template="#/components/schemas/{name}"
    )
    schemas.update(components)
    document["components"]["schemas"] = dict(sorted(schemas.items()))
    document["components"]["securitySchemes"] = _security_schemes()
    for route, reference in zip(routes, references[1:], strict=True):
        for method in route.methods or ():
            operation = document["paths"][route.path_format][method.lower()]
            _complete(operation, route, reference)
    return document


def _complete(operation: dict[str, Any], route: APIRoute, schema: dict[str, Any]) -> None:
    documentation = DOCUMENTED[route.endpoint]
    needs = needs_of(route)
    codes = _codes(operation, documentation, needs)
    answers = {str(documentation.status): _answer(documentation, schema)}
    for status in sorted({REGISTRY[code].status for code in codes}):
        same = [code for code in REGISTRY if code in codes and REGISTRY[code].status == status]
        answers[str(status)] = _refusals(same, route.path_format)
    operation["responses"] = answers
    operation["operationId"] = route.name
    if needs is not None:
        operation["security"] = [{name: [] for name in _security_schemes()}]
        scopes = " or ".join(f"`{scope}`" for scope in sorted(needs.scopes))
        operation["description"] = f"{operation['description']}\n\nScope: {scopes}."


def _codes(
    operation: dict[str, Any], documentation: Documentation, needs: Needs | None
) -> frozenset[str]:
    codes = {*documentation.refuses, *_COMMON_CODES}
    names = {parameter["name"]: parameter for parameter in operation.get("parameters", ())}
    if needs is not None:
        codes.update(_SIGNATURE_CODES)
        if needs.command:
            codes.update(_COMMAND_CODES)
    if "requestBody" in operation:
        codes.update(_BODY_CODES)
    if "min_position" in names:
        codes.update(("view_behind", "bad_field"))
    if "limit" in names:
        codes.add("bad_limit")
    if names.keys() - {"min_position", "limit", "Idempotency-Key"}:
        codes.add("bad_field")
    return frozenset(codes)


def _answer(documentation: Documentation, schema: dict[str, Any]) -> dict[str, Any]:
    return {
        "description": "Accepted and durable" if documentation.status == 201 else "The answer",
        "headers": {
            POSITION_HEADER: {
                "description": "A position in the log that the answer includes.",
                "schema": {"type": "integer"},
            }
        },
        "content": {"application/json": {"schema": schema, "example": documentation.example}},
    }


def _refusals(codes: list[str], instance: str) -> dict[str, Any]:
    shown = {
        code: {
            "summary": REGISTRY[code].title,
            "value": msgspec.to_builtins(problem(code, REGISTRY[code].title, instance)),
        }
        for code in codes
    }
    return {
        "description": ", ".join(f"`{code}`" for code in codes),
        "content": {
            MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}, "examples": shown}
        },
    }


def _security_schemes() -> dict[str, dict[str, str]]:
    about = {
        "key": (KEY_HEADER, "The API key's id."),
        "timestamp": (TIMESTAMP_HEADER, "When it was signed, ms since 1970 UTC."),
        "recvWindow": (WINDOW_HEADER, "How many ms it may be old: 5000 without it, at most 60000."),
        "signature": (SIGNATURE_HEADER, "Hex HMAC-SHA256; see the introduction."),
    }
    return {
        name: {"type": "apiKey", "in": "header", "name": header, "description": text}
        for name, (header, text) in about.items()
    }
