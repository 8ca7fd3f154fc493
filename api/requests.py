"""What became of a command, by its idempotency key: for whoever had no answer."""

from typing import Annotated, Literal

import msgspec
from fastapi import APIRouter, Path
from starlette.responses import Response

from api.documents import documents
from api.engine_questions import KeyAnswers
from api.parameters import Anyone, FoldexDep, key_scope
from api.replies import reply
from domain.events import RequestAnswered

router = APIRouter(prefix="/v1/requests", tags=["Requests"])

Status = Literal["accepted", "rejected", "pending", "never_seen"]


class Answered(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """pending: taken, no outcome yet: ask again. never_seen: not taken in the last 24 hours.

    code, detail: why it was rejected. order_id, withdrawal_id, result: what was accepted, with the
    status it had then. position: includes its effect. items: the orders of a batch, in order.
    """

    idempotency_key: str
    status: Status
    code: str = ""
    detail: str = ""
    order_id: int = 0
    withdrawal_id: int = 0
    result: str = ""
    position: int = 0
    items: list["Answered"] = []


@router.get("/{idempotency_key:path}", summary="What became of a command")
@documents(
    Answered,
    example={
        "idempotency_key": "order-2041",
        "status": "accepted",
        "order_id": 1042,
        "result": "open",
        "position": 90331,
    },
)
async def request_answer(
    idempotency_key: Annotated[str, Path(min_length=1, max_length=70, examples=["order-2041"])],
    who: Anyone,
    foldex: FoldexDep,
) -> Response:
    """Return whether a command was accepted, rejected, is still under way, or was never seen.

    After a time-out or a 5xx the outcome is unknown: ask here before doing anything else. Answers
    are kept for 24 hours. Sending the command again with the same key is safe, too.
    """
    answers = await foldex.gateway.answers(key_scope(who), idempotency_key)
    return reply(_told(idempotency_key, answers), answers.position)


def _told(key: str, answers: KeyAnswers) -> Answered:
    if answers.pending:
        return Answered(idempotency_key=key, status="pending")
    items = [_shown(answer) for answer in answers.found]
    if not items:
        return Answered(idempotency_key=key, status="never_seen")
    if items[0].idempotency_key == key:
        return items[0]
    position = max(item.position for item in items)
    return Answered(idempotency_key=key, status="accepted", position=position, items=items)


def _shown(answer: RequestAnswered) -> Answered:
    return Answered(
        idempotency_key=answer.key,
        status="rejected" if answer.code else "accepted",
        code=answer.code,
        detail=answer.detail,
        order_id=answer.order_id,
        withdrawal_id=answer.withdrawal_id,
        result=answer.status,
        position=answer.position,
    )
