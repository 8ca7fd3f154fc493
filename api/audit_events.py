"""The events themselves, one by one, for auditors."""

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from api import examples
from api.documents import documents
from api.parameters import POSITION_MAX, Auditor, FromViews, PageDep
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
    answer: FromViews,
    page: PageDep,
    stream: TextFilter = "",
    type: TextFilter = "",
    account: TextFilter = "",
    market: TextFilter = "",
    order_id: Annotated[int | None, Query(ge=1, le=POSITION_MAX)] = None,
) -> Response:
    """Return recorded events, oldest first, of a stream, a type, an account, market or order."""
    return await answer(
        lambda views: views.events(
            stream=stream or None,
            type=type or None,
            account=account or None,
            market=market or None,
            order_id=order_id,
            after=page.after,
            limit=page.limit,
        )
    )
