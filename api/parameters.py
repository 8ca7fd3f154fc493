"""What requests have in common: who asks, under which key, as of when, and which page.

Every dependency is `async`, though none waits: the framework would send any other to a thread and
wait for it there, which takes longer than all the rest of a request.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Final

from fastapi import Depends, Header, Path, Query, Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from api.bootstrap import Frontend
from api.gateway import Gateway
from api.logs import note
from api.problems import BadIdempotencyKey, IdempotencyKeyMissing, UnknownParameter
from api.replies import reply
from api.security import KEY_HEADER, OPERATOR_SCOPE, Caller, SignedRequest
from projections.views import Views

PAGE_ROWS_MAX: Final = 1_000
POSITION_MAX: Final = 2**63 - 1

_IDEMPOTENCY_KEY = re.compile(r"[A-Za-z0-9_.:-]{1,64}", re.ASCII)


class Body(BaseModel):
    """A request body: nothing is converted, and nothing unknown is taken."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class NoFields(Body):
    """A body without fields: `{}`, or none at all."""


def _decimal_text(value: Any) -> Any:
    if isinstance(value, str):
        return value
    raise PydanticCustomError("bad_decimal", "must be a decimal number in a string")


DecimalText = Annotated[
    str,
    # First, next to the type: after a validator of ours it would be checked in Python.
    Field(max_length=64, examples=["1.25"], description="A plain decimal number, as a string."),
    BeforeValidator(_decimal_text),
]
"""An amount, price or quantity: a string, because a JSON number may pass through a float."""


async def foldex_of(request: Request) -> Frontend:
    """Return the exchange that this application serves."""
    return _foldex(request)


FoldexDep = Annotated[Frontend, Depends(foldex_of)]


@dataclass(frozen=True, slots=True)
class Needs:
    """The dependency that lets a request pass only when signed by a key with one of the scopes.

    command: whether the request asks for a change; then the same signature works only once.
    """

    scopes: frozenset[str]
    command: bool

    async def __call__(self, request: Request) -> Caller:
        """Return who signed the request. Raises: what `Verifier.verify` raises; RateLimited."""
        foldex = _foldex(request)
        scope = request.scope
        signed = SignedRequest(
            method=request.method,
            path=scope.get("raw_path") or scope["path"].encode(),
            query=scope.get("query_string", b""),
            body=await request.body(),
            headers=request.headers,
        )
        verify = foldex.verifier.verify
        known = foldex.keys.cached(request.headers.get(KEY_HEADER, ""))
        if known is not None:
            caller = verify(signed, self.scopes, known)
        else:
            # The database must be asked, or another thread that asks it: not on the event loop.
            caller = await run_in_threadpool(verify, signed, self.scopes)
        note("key", caller.key_id)
        foldex.rates.requests.charge(caller.key_id)
        return caller


def may_ask(*scopes: str) -> Any:
    """Return the dependency of a query that needs one of these scopes."""
    return Depends(Needs(frozenset(scopes), command=False))


def may_command(*scopes: str) -> Any:
    """Return the dependency of a command that needs one of these scopes."""
    return Depends(Needs(frozenset(scopes), command=True))


Reader = Annotated[Caller, may_ask("read")]
Auditor = Annotated[Caller, may_ask("audit")]
OperatorReader = Annotated[Caller, may_ask("operate")]
Trader = Annotated[Caller, may_command("trade")]
Withdrawer = Annotated[Caller, may_command("withdraw")]
Operator = Annotated[Caller, may_command("operate")]
Depositor = Annotated[Caller, may_command("read", "trade", "withdraw")]
Anyone = Annotated[Caller, may_ask("read", "trade", "withdraw", "operate")]


def key_scope(caller: Caller) -> str:
    """Return whose idempotency keys a caller uses: its account's, or the operators'."""
    return caller.account or OPERATOR_SCOPE


async def optional_key(
    key: Annotated[
        str | None,
        Header(
            alias="Idempotency-Key",
            description="1 to 64 of `A-Z a-z 0-9 _ . : -`. The same command sent again with the "
            "same key within 24 hours has no further effect and gets the first answer.",
            examples=["order-2041"],
        ),
    ] = None,
) -> str:
    """Return the idempotency key, or "" without one. Raises: BadIdempotencyKey."""
    if key is None:
        return ""
    if _IDEMPOTENCY_KEY.fullmatch(key) is None:
        raise BadIdempotencyKey
    return key


async def required_key(key: Annotated[str, Depends(optional_key)]) -> str:
    """Return the idempotency key. Raises: IdempotencyKeyMissing, BadIdempotencyKey."""
    if not key:
        raise IdempotencyKeyMissing
    return key


OptionalKey = Annotated[str, Depends(optional_key)]
RequiredKey = Annotated[str, Depends(required_key)]

MinPosition = Annotated[
    int,
    Query(
        ge=0,
        le=POSITION_MAX,
        description="Wait (up to a second) until the answer includes this position: give the "
        "`position` of a command's reply to read your own write.",
    ),
]


@dataclass(frozen=True, slots=True)
class ViewAnswer:
    """Replies with what the views say once they include the position that a request gives."""

    gateway: Gateway
    min_position: int

    async def __call__(self, ask: Callable[[Views], Any]) -> Response:
        """Return the reply. Raises: as `Gateway.query`; what `ask` raises."""
        found, position = await self.gateway.query(ask, min_position=self.min_position)
        return reply(found, position)


async def view_answer(foldex: FoldexDep, min_position: MinPosition = 0) -> ViewAnswer:
    """Return how a request is answered from the views."""
    return ViewAnswer(foldex.gateway, min_position)


FromViews = Annotated[ViewAnswer, Depends(view_answer)]

Limit = Annotated[int, Query(ge=1, le=PAGE_ROWS_MAX, description="Rows in the page.")]
After = Annotated[
    int | None,
    Query(ge=0, le=POSITION_MAX, description="The `next` of the page before; none: first page."),
]
Id = Annotated[int, Path(ge=1, le=POSITION_MAX)]
Symbol = Annotated[str, Path(max_length=33, examples=["BTC-USDT"])]


@dataclass(frozen=True, slots=True)
class PageAsked:
    """after: id of the last row of the page before. limit: rows."""

    after: int | None
    limit: int


async def page_asked(after: After = None, limit: Limit = 100) -> PageAsked:
    """Return which page is asked for."""
    return PageAsked(after, limit)


PageDep = Annotated[PageAsked, Depends(page_asked)]


async def no_unknown_parameters(request: Request) -> None:
    """Refuse a misspelt filter instead of ignoring it. Raises: UnknownParameter."""
    known = _query_names(request.scope["route"])
    seen: set[str] = set()
    for name, _ in request.query_params.multi_items():
        if name not in known:
            raise UnknownParameter(f"There is no query parameter {name[:64]!r} here")
        if name in seen:
            raise UnknownParameter(f"The query parameter {name!r} is given twice")
        seen.add(name)


_QUERY_NAMES: Final[dict[Callable[..., Any], frozenset[str]]] = {}


def _query_names(route: APIRoute) -> frozenset[str]:
    """Return the query parameters of a route; walked once, because every request asks."""
    known = _QUERY_NAMES.get(route.endpoint)
    if known is None:
        known = frozenset(
            field.alias for part in dependants(route.dependant) for field in part.query_params
        )
        _QUERY_NAMES[route.endpoint] = known
    return known


def _foldex(request: Request) -> Frontend:
    foldex: Frontend = request.app.state.foldex
    return foldex


def dependants(dependant: Dependant) -> list[Dependant]:
    """Return a route's dependencies, itself first."""
    found = [dependant]
    for child in dependant.dependencies:
        found += dependants(child)
    return found


def needs_of(route: APIRoute) -> Needs | None:
    """Return what a route demands of its caller; None for public routes."""
    for part in dependants(route.dependant):
        if isinstance(part.call, Needs):
            return part.call
    return None
