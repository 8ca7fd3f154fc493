"""An account's balances, trades, deposits and statement."""

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from api import examples
from api.documents import documents
from api.orders import MarketFilter
from api.parameters import POSITION_MAX, FromViews, PageDep, Reader
from projections.views import Views

router = APIRouter(prefix="/v1", tags=["Account"])

AssetFilter = Annotated[
    str, Query(max_length=16, description="Only this asset.", examples=["USDT"])
]
OrderFilter = Annotated[
    int | None, Query(ge=1, le=POSITION_MAX, description="Only fills of this order.")
]


@router.get("/balances", summary="Balances")
@documents(Views.balances, example=[examples.BALANCE])
async def balances(who: Reader, answer: FromViews) -> Response:
    """Return what the account has of each asset: free, and held for orders and withdrawals."""
    return await answer(lambda views: views.balances(who.account))


@router.get("/trades", summary="Own trades")
@documents(
    Views.account_trades,
    example=examples.page_of(examples.ACCOUNT_TRADE),
)
async def own_trades(
    *,
    who: Reader,
    answer: FromViews,
    page: PageDep,
    market: MarketFilter = "",
    order_id: OrderFilter = None,
) -> Response:
    """Return the account's fills, newest first, with the fee of each."""
    return await answer(
        lambda views: views.account_trades(
            who.account,
            market=market or None,
            order_id=order_id,
            after=page.after,
            limit=page.limit,
        )
    )


@router.get("/deposits", summary="Deposits")
@documents(
    Views.deposits,
    example=examples.page_of(examples.DEPOSIT),
)
async def deposits(who: Reader, answer: FromViews, page: PageDep) -> Response:
    """Return the account's credited deposits, newest first."""
    return await answer(
        lambda views: views.deposits(who.account, after=page.after, limit=page.limit)
    )


@router.get("/statement", summary="Account statement")
@documents(
    Views.statement,
    example=examples.page_of(examples.STATEMENT_LINE),
)
async def statement(
    who: Reader, answer: FromViews, page: PageDep, asset: AssetFilter = ""
) -> Response:
    """Return each change of the account's balances, newest first, with the event that caused it."""
    return await answer(
        lambda views: views.statement(
            who.account, asset=asset or None, after=page.after, limit=page.limit
        )
    )
