"""The HTTP application: its routes, and how anything that goes wrong becomes a problem document."""

from typing import Any, Final

from fastapi import Depends, FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from api import (
    accounts,
    audit_events,
    contracts,
    custody,
    custody_payments,
    custody_tokens,
    health,
    market_data,
    operator,
    operator_funds,
    order_changes,
    orders,
    requests,
    withdrawals,
)
from api.access import Access
from api.bodies import Guard
from api.bootstrap import Frontend
from api.error_page import error_page
from api.openapi import build_openapi
from api.parameters import no_unknown_parameters
from api.problems import ApiProblem, RateLimited, problem, problem_of, respond
from api.version import VERSION
from commands.errors import EngineError
from domain.errors import Rejected

FIELDS_SHOWN_MAX: Final = 20

ROUTERS: Final = (
    orders.router,
    order_changes.router,
    accounts.router,
    withdrawals.router,
    market_data.router,
    requests.router,
    operator.router,
    operator_funds.router,
    custody.router,
    custody_payments.router,
    contracts.router,
    custody_tokens.router,
    audit_events.router,
    health.router,
)


def create_app(foldex: Frontend) -> FastAPI:
    """Return the application that serves an exchange. Whoever started the exchange stops it."""
    app = FastAPI(
        title="Foldex",
        version=VERSION,
        default_response_class=Response,
        dependencies=[Depends(no_unknown_parameters)],
        redirect_slashes=False,
        routes=[Route("/docs/errors", error_page, include_in_schema=False)],
    )
    app.state.foldex = foldex
    for router in ROUTERS:
        app.include_router(router)
    for kind in (ApiProblem, Rejected, EngineError):
        app.add_exception_handler(kind, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_middleware(Guard, body_bytes_max=foldex.settings.body_bytes_max)
    app.add_middleware(Access, observe=foldex.monitor.metrics.observe_request)
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]
    return app


def api_routes() -> list[APIRoute]:
    """Return every route of the API."""
    return [route for router in ROUTERS for route in router.routes if isinstance(route, APIRoute)]


def _openapi(app: FastAPI) -> dict[str, Any]:
    if app.openapi_schema is None:
        app.openapi_schema = build_openapi(app, api_routes())
    return app.openapi_schema


def _refused(request: Request, error: Exception) -> Response:
    headers = {}
    if isinstance(error, RateLimited):
        headers["Retry-After"] = str(error.retry_after_s)
    return respond(problem_of(error, request.url.path), headers)


def _http_error(request: Request, error: Exception) -> Response:
    """Return the problem of what the framework refuses: routes, methods, unreadable JSON."""
    assert isinstance(error, HTTPException)
    code = {404: "not_found", 405: "method_not_allowed", 400: "malformed_json"}.get(
        error.status_code, "internal_error"
    )
    headers = dict(error.headers or {})
    return respond(problem(code, str(error.detail), request.url.path), headers)


def _invalid(request: Request, error: Exception) -> Response:
    """Return the problem of a field that is missing, unknown or malformed: the first one's code.

    What was sent is never repeated: it may be a secret in the wrong place.
    """
    assert isinstance(error, RequestValidationError)
    found = error.errors()
    fields = [
        {"pointer": _pointer(row), "code": _code(row), "detail": str(row["msg"])} for row in found
    ]
    first = fields[0]
    detail = f"{first['pointer']}: {first['detail']}"
    return respond(
        problem(first["code"], detail, request.url.path, fields=fields[:FIELDS_SHOWN_MAX])
    )


def _pointer(row: dict[str, Any]) -> str:
    """Return where in the body (RFC 6901), or the name of the parameter, cut to a sane length."""
    place, *names = row["loc"]
    if row["type"] == "json_invalid":
        return "body"
    if place == "body":
        return "".join(f"/{str(name)[:64]}" for name in names) or "body"
    return str(names[-1])[:64]


_CODES: Final = {
    "json_invalid": "malformed_json",
    "extra_forbidden": "unknown_parameter",
    "missing": "missing_field",
    "bad_decimal": "bad_decimal",
}


def _code(row: dict[str, Any]) -> str:
    if row["loc"][0] == "query" and row["loc"][-1] == "limit":
        return "bad_limit"
    return _CODES.get(row["type"], "bad_field")
