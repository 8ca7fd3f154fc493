"""Withdrawals, as their owner sees them."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import ConfigDict, Field
from starlette.responses import Response

from api import examples
from api.documents import documents
from api.parameters import (
    Body,
    DecimalText,
    FoldexDep,
    FromViews,
    Id,
    PageDep,
    Reader,
    RequiredKey,
    Withdrawer,
)
from api.replies import WithdrawalReceipt, withdrawal_done
from commands.request_withdrawal import RequestWithdrawal
from domain import errors
from domain.units import parse_amount
from projections.transfers import WithdrawalView
from projections.views import Views

router = APIRouter(prefix="/v1/withdrawals", tags=["Withdrawals"])

StatusFilter = Annotated[
    Literal["requested", "approved", "rejected", "completed", "failed"] | None,
    Query(description="Only withdrawals in this state."),
]


class WithdrawalRequest(Body):
    """What leaves the exchange, and to where."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "asset": "USDT",
                    "amount": "250",
                    "address": "0x71C7656EC7ab88b098defB751B7401B5f6d8976F",
                }
            ]
        }
    )

    asset: str = Field(max_length=16)
    amount: DecimalText
    address: str = Field(max_length=256, description="Where to, on the asset's chain.")
    request_id: str = Field(
        "",
        max_length=64,
        description="Your id of the withdrawal, unique in the account for ever: it is paid once "
        "however often it is asked for. Default: the Idempotency-Key.",
    )


@router.post("", summary="Request a withdrawal")
@documents(
    WithdrawalReceipt,
    example={"withdrawal_id": 7, "status": "requested", "position": 90351, "repeated": False},
    refuses=(
        errors.UnknownAsset,
        errors.UnknownAccount,
        errors.BadDecimal,
        errors.TooManyDecimals,
        errors.NotPositive,
        errors.AmountTooLarge,
        errors.AccountInDebt,
        errors.InsufficientFunds,
    ),
    status=201,
)
async def request_withdrawal(
    body: WithdrawalRequest, who: Withdrawer, foldex: FoldexDep, key: RequiredKey
) -> Response:
    """Ask for a withdrawal: the amount is held at once, and paid after an operator approves it."""
    gateway = foldex.gateway
    asset = await gateway.asset(body.asset)
    receipt = await gateway.execute(
        RequestWithdrawal(
            **gateway.stamp(who.account, key),
            account=who.account,
            asset=asset.code,
            amount=parse_amount(body.amount, asset.decimals, field="amount"),
            address=body.address,
            request_id=body.request_id or key,
        ),
        who.signature,
    )
    return withdrawal_done(receipt, status=201)


@router.get("", summary="Withdrawals")
@documents(Views.withdrawals, example=examples.page_of(examples.WITHDRAWAL))
async def withdrawals(
    who: Reader, answer: FromViews, page: PageDep, status: StatusFilter = None
) -> Response:
    """Return the account's withdrawals, newest first."""
    return await answer(
        lambda views: views.withdrawals(
            who.account, status=status, after=page.after, limit=page.limit
        )
    )


@router.get("/{withdrawal_id}", summary="One withdrawal")
@documents(Views.withdrawal, example=examples.WITHDRAWAL, refuses=(errors.UnknownWithdrawal,))
async def withdrawal(withdrawal_id: Id, who: Reader, answer: FromViews) -> Response:
    """Return one of the account's withdrawals."""

    def own(views: Views) -> WithdrawalView:
        found = views.withdrawal(withdrawal_id)
        if found is None or found.account != who.account:
            raise errors.UnknownWithdrawal
        return found

    return await answer(own)
