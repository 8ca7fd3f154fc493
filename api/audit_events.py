"""The events themselves, one by one, for auditors."""

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from api import examples
from api.documents import documents
from api.parameters import POSITION_MAX, Auditor, FoldexDep, MinPosition, PageDep
from api.replies import reply
from projections.views import Views

router = APIRouter(prefix="/v1/events", tags=["Audit"])

TextFilter = Annotated[str, Query(max_length=80)]


@router.get("", summary="Events")
@documents(
    Views.events,
    example=examples.page_of(examples.EVENT),
)
async def events(
    *,
    who: Auditor,
    foldex: FoldexDep,
    page: PageDep,
    stream: TextFilter = "",
    type: TextFilter = "",
    account: TextFilter = "",
    market: TextFilter = "",
    order_id: Annotated[int | None, Query(ge=1, le=POSITION_MAX)] = None,
    min_position: MinPosition = 0,
) -> Response:
    """Return recorded events, oldest first, of a stream, a type, an account, market or order."""
    found, position = await foldex.gateway.query(
        lambda views: views.events(
            stream=stream or None,
            type=type or None,
            account=account or None,
            market=market or None,
            order_id=order_id,
            after=page.after,
            limit=page.limit,
        ),
        min_position=min_position,
    )
    return reply(found, position)
