"""Is the process alive, is it ready, and what time is it here?"""

import msgspec
from fastapi import APIRouter
from starlette.responses import Response

from api.documents import documents
from api.monitor import Reason, Report
from api.parameters import FoldexDep
from api.problems import NotAlive, NotReady, problem, respond
from api.replies import reply

router = APIRouter(tags=["Service"])


class Time(msgspec.Struct, frozen=True):
    """time_ms: the server's clock, ms since 1970 UTC."""

    time_ms: int


class Alive(msgspec.Struct, frozen=True):
    """status: always "alive"."""

    status: str


class Ready(msgspec.Struct, frozen=True, kw_only=True):
    """position: of the engine; queue: commands that wait."""

    status: str
    position: int
    queue: int


@router.get("/v1/time", summary="Server time")
@documents(Time, example={"time_ms": 1793265600000})
async def time(foldex: FoldexDep) -> Response:
    """Return the server's clock, to set the timestamps of signed requests by."""
    return reply(Time(foldex.gateway.clock_ms()), foldex.gateway.position)


@router.get("/health/live", summary="Liveness")
@documents(Alive, example={"status": "alive"}, refuses=(NotAlive,))
async def live(foldex: FoldexDep) -> Response:
    """Answer 200 while the process works, or may again by itself; 503: it has to be restarted."""
    report = foldex.monitor.live()
    if not report.good:
        return _refused(NotAlive.code, report, "/health/live")
    return reply(Alive(report.status), foldex.gateway.position)


@router.get("/health/ready", summary="Readiness")
@documents(
    Ready,
    example={"status": "ready", "position": 90331, "queue": 0},
    refuses=(NotReady,),
)
async def ready(foldex: FoldexDep) -> Response:
    """Answer 200 while commands are taken and the views follow; 503, with the reasons, otherwise.

    The reasons are in `errors`: the part of the process, and what is wrong with it.
    """
    report = foldex.monitor.ready()
    if not (report.good and foldex.gateway.ready):
        return _refused(NotReady.code, report, "/health/ready")
    position, queue = foldex.gateway.position, foldex.gateway.queue_depth
    return reply(Ready(status=report.status, position=position, queue=queue), position)


def _refused(code: str, report: Report, path: str) -> Response:
    reasons = report.reasons or [Reason("process", "it is shutting down")]
    rows = [{"pointer": each.part, "code": code, "detail": each.detail} for each in reasons]
    detail = "; ".join(f"{each.part}: {each.detail}" for each in reasons)
    return respond(problem(code, detail, path, fields=rows))
