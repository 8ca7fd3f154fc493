"""Is the process alive, does it take commands, and what time is it here?"""

import msgspec
from fastapi import APIRouter
from starlette.responses import Response

from api.documents import documents
from api.parameters import FoldexDep
from api.problems import NotReady
from api.replies import reply

router = APIRouter(prefix="/v1", tags=["Service"])


class Time(msgspec.Struct, frozen=True):
    """time_ms: the server's clock, ms since 1970 UTC."""

    time_ms: int


class Alive(msgspec.Struct, frozen=True):
    """status: always "alive"."""

    status: str


class Ready(msgspec.Struct, frozen=True, kw_only=True):
    """position: of the engine; view_position: of the views; queue: commands that wait."""

    status: str
    position: int
    view_position: int
    queue: int


@router.get("/time", summary="Server time")
@documents(Time, example={"time_ms": 1793265600000})
async def time(foldex: FoldexDep) -> Response:
    """Return the server's clock, to set the timestamps of signed requests by."""
    return reply(Time(foldex.gateway.clock_ms()), foldex.gateway.position)


@router.get("/health/live", summary="Liveness")
@documents(Alive, example={"status": "alive"})
async def live(foldex: FoldexDep) -> Response:
    """Answer as long as the process serves requests."""
    return reply(Alive("alive"), foldex.gateway.position)


@router.get("/health/ready", summary="Readiness")
@documents(
    Ready,
    example={"status": "ready", "position": 90331, "view_position": 90331, "queue": 0},
    refuses=(NotReady,),
)
async def ready(foldex: FoldexDep) -> Response:
    """Answer 200 while commands are taken and the views follow; 503 otherwise."""
    if not foldex.ready:
        raise NotReady
    answer = Ready(
        status="ready",
        position=foldex.gateway.position,
        view_position=await foldex.gateway.view_position(),
        queue=foldex.gateway.queue_depth,
    )
    return reply(answer, answer.view_position)
