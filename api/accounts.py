"""An account's balances, trades, deposits and statement."""

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from api import examples
from api.documents import documents
from api.orders import MarketFilter
from api.parameters import POSITION_MAX, FoldexDep, MinPosition, PageDep, Reader
from api.replies import reply
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
async def balances(who: Reader, foldex: FoldexDep, min_position: MinPosition = 0) -> Response:
    """Return what the account has of each asset: free, and held for orders and withdrawals."""
    found, position = await foldex.gateway.query(
        lambda views: views.balances(who.account), min_position=min_position
    )
    return reply(found, position)


@router.get("/trades", summary="Own trades")
@documents(
    Views.account_trades,
    example=examples.page_of(examples.ACCOUNT_TRADE),
)
async def own_trades(
    *,
    who: Reader,
    foldex: FoldexDep,
    page: PageDep,
    market: MarketFilter = "",
    order_id: OrderFilter = None,
    min_position: MinPosition = 0,
) -> Response:
    """Return the account's fills, newest first, with the fee of each."""
    found, position = await foldex.gateway.query(
        lambda views: views.account_trades(
            who.account,
            market=market or None,
            order_id=order_id,
            after=page.after,
            limit=page.limit,
        ),
        min_position=min_position,
    )
    return reply(found, position)


@router.get("/deposits", summary="Deposits")
@documents(
    Views.deposits,
    example=examples.page_of(examples.DEPOSIT),
)
async def deposits(
    who: Reader, foldex: FoldexDep, page: PageDep, min_position: MinPosition = 0
) -> Response:
    """Return the account's credited deposits, newest first."""
    found, position = await foldex.gateway.query(
        lambda views: views.deposits(who.account, after=page.after, limit=page.limit),
        min_position=min_position,
    )
    return reply(found, position)


@router.get("/statement", summary="Account statement")
@documents(
    Views.statement,
    example=examples.page_of(examples.STATEMENT_LINE),
)
async def statement(
    who: Reader,
    foldex: FoldexDep,
    page: PageDep,
    asset: AssetFilter = "",
    min_position: MinPosition = 0,
) -> Response:
    """Return each change of the account's balances, newest first, with the event that caused it."""
    found, position = await foldex.gateway.query(
        lambda views: views.statement(
            who.account, asset=asset or None, after=page.after, limit=page.limit
        ),
        min_position=min_position,
    )
    return reply(found, position)
