"""What operators do about money: deposits, and the fate of withdrawals."""

from fastapi import APIRouter
from pydantic import ConfigDict, Field
from starlette.responses import Response

from api import examples
from api.custody_payments import require_settled_by_hand
from api.documents import documents
from api.parameters import (
    Body,
    DecimalText,
    FoldexDep,
    FromViews,
    Id,
    NoFields,
    Operator,
    OperatorReader,
    OptionalKey,
    PageDep,
    RequiredKey,
)
from api.problems import CustodyRefused
from api.replies import Done, WithdrawalReceipt, done, withdrawal_done
from api.security import OPERATOR_SCOPE
from api.withdrawals import StatusFilter
from commands.credit_deposit import CreditDeposit
from commands.reverse_deposit import ReverseDeposit
from commands.settle_withdrawal import (
    ApproveWithdrawal,
    CompleteWithdrawal,
    FailWithdrawal,
    RejectWithdrawal,
)
from domain import errors
from domain.units import parse_amount
from projections.views import Views

router = APIRouter(prefix="/v1/operator", tags=["Operator"])

_SETTLED = {"withdrawal_id": 7, "status": "approved", "position": 90360, "repeated": False}
_SETTLE_REFUSALS = (errors.UnknownWithdrawal, errors.WrongState, errors.AccountInDebt)
_BY_HAND_REFUSALS = (errors.UnknownWithdrawal, errors.WrongState, CustodyRefused)


class DepositRequest(Body):
    """An amount that came in. deposit_id names it for ever: the same one is credited once."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "account": "alice",
                    "asset": "USDT",
                    "amount": "10000",
                    "deposit_id": "eth:0x9fc7:0",
                }
            ]
        }
    )

    account: str = Field(max_length=64)
    asset: str = Field(max_length=16)
    amount: DecimalText
    deposit_id: str = Field(max_length=256, description="Such as chain:txid:ordinal.")


class ReversalRequest(Body):
    """A credited deposit to undo."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"deposit_id": "eth:0x9fc7:0"}]})

    deposit_id: str = Field(max_length=256)


class ReasonRequest(Body):
    """Why."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "address is blocked"}]})

    reason: str = Field(min_length=1, max_length=256)


class CompletionRequest(Body):
    """The transaction that paid the withdrawal."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"txid": "0x5c504ed4"}]})

    txid: str = Field(min_length=1, max_length=256)


@router.post("/deposits", summary="Credit a deposit")
@documents(
    Done,
    example=examples.DONE,
    refuses=(
        errors.UnknownAccount,
        errors.UnknownAsset,
        errors.BadDecimal,
        errors.TooManyDecimals,
        errors.NotPositive,
        errors.AmountTooLarge,
    ),
    status=201,
)
async def credit_deposit(
    body: DepositRequest, who: Operator, foldex: FoldexDep, key: RequiredKey
) -> Response:
    """Credit an amount to an account. The same deposit_id is credited once, whoever repeats it."""
    gateway = foldex.gateway
    asset = await gateway.asset(body.asset)
    command = CreditDeposit(
        **gateway.stamp(OPERATOR_SCOPE, key),
        account=body.account,
        asset=asset.code,
        amount=parse_amount(body.amount, asset.decimals, field="amount"),
        deposit_id=body.deposit_id,
    )
    return done(await gateway.execute(command, who.signature), status=201)


@router.post("/deposits/reverse", summary="Reverse a deposit")
@documents(Done, example=examples.DONE, refuses=(errors.UnknownDeposit,))
async def reverse_deposit(
    body: ReversalRequest, who: Operator, foldex: FoldexDep, key: OptionalKey
) -> Response:
    """Undo a credited deposit. What the account has spent of it becomes its debt."""
    gateway = foldex.gateway
    command = ReverseDeposit(
        **gateway.stamp(OPERATOR_SCOPE, key),
        deposit_id=body.deposit_id,
    )
    return done(await gateway.execute(command, who.signature))


@router.get("/withdrawals", summary="Withdrawals of all accounts")
@documents(Views.withdrawals, example=examples.page_of(examples.WITHDRAWAL))
async def all_withdrawals(
    who: OperatorReader, answer: FromViews, page: PageDep, status: StatusFilter = None
) -> Response:
    """Return withdrawals, newest first; `status=requested` is the queue to approve."""
    return await answer(
        lambda views: views.withdrawals(None, status=status, after=page.after, limit=page.limit)
    )


@router.post("/withdrawals/{withdrawal_id}/approve", summary="Approve a withdrawal")
@documents(WithdrawalReceipt, example=_SETTLED, refuses=_SETTLE_REFUSALS)
async def approve_withdrawal(
    withdrawal_id: Id,
    who: Operator,
    foldex: FoldexDep,
    key: OptionalKey,
    body: NoFields | None = None,
) -> Response:
    """Allow a requested withdrawal to be paid. The API key is recorded as the approver."""
    gateway = foldex.gateway
    command = ApproveWithdrawal(
        **gateway.stamp(OPERATOR_SCOPE, key),
        withdrawal_id=withdrawal_id,
        approved_by=who.key_id,
    )
    return withdrawal_done(await gateway.execute(command, who.signature))


@router.post("/withdrawals/{withdrawal_id}/reject", summary="Reject a withdrawal")
@documents(WithdrawalReceipt, example={**_SETTLED, "status": "rejected"}, refuses=_SETTLE_REFUSALS)
async def reject_withdrawal(
    withdrawal_id: Id, body: ReasonRequest, who: Operator, foldex: FoldexDep, key: OptionalKey
) -> Response:
    """Refuse a requested withdrawal; the amount is free again."""
    gateway = foldex.gateway
    command = RejectWithdrawal(
        **gateway.stamp(OPERATOR_SCOPE, key),
        withdrawal_id=withdrawal_id,
        rejected_by=who.key_id,
        reason=body.reason,
    )
    return withdrawal_done(await gateway.execute(command, who.signature))


@router.post("/withdrawals/{withdrawal_id}/complete", summary="Record a paid withdrawal")
@documents(
    WithdrawalReceipt, example={**_SETTLED, "status": "completed"}, refuses=_BY_HAND_REFUSALS
)
async def complete_withdrawal(
    withdrawal_id: Id, body: CompletionRequest, who: Operator, foldex: FoldexDep, key: OptionalKey
) -> Response:
    """Record that an approved withdrawal left the exchange in a transaction."""
    await require_settled_by_hand(foldex, withdrawal_id)
    gateway = foldex.gateway
    command = CompleteWithdrawal(
        **gateway.stamp(OPERATOR_SCOPE, key),
        withdrawal_id=withdrawal_id,
        txid=body.txid,
    )
    return withdrawal_done(await gateway.execute(command, who.signature))


@router.post("/withdrawals/{withdrawal_id}/fail", summary="Record a failed withdrawal")
@documents(WithdrawalReceipt, example={**_SETTLED, "status": "failed"}, refuses=_BY_HAND_REFUSALS)
async def fail_withdrawal(
    withdrawal_id: Id, body: ReasonRequest, who: Operator, foldex: FoldexDep, key: OptionalKey
) -> Response:
    """Record that an approved withdrawal could not be paid; the amount is free again."""
    await require_settled_by_hand(foldex, withdrawal_id)
    gateway = foldex.gateway
    command = FailWithdrawal(
        **gateway.stamp(OPERATOR_SCOPE, key),
        withdrawal_id=withdrawal_id,
        reason=body.reason,
    )
    return withdrawal_done(await gateway.execute(command, who.signature))
