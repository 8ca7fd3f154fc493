"""Payments over HTTP, for operators: what officers approve, what is taken back or replaced."""

from typing import Any, Final

from fastapi import APIRouter
from pydantic import ConfigDict, Field
from starlette.responses import Response

from api.custody import PauseRequest, ask_custody
from api.documents import documents
from api.parameters import Body, FoldexDep, Id, Operator, OperatorReader
from api.problems import CustodyRefused, CustodyUnavailable
from api.replies import reply
from api.security import OPERATOR_SCOPE
from commands.settle_withdrawal import ApproveWithdrawal
from domain import errors
from projections.transfers import WithdrawalView
from wallet.desk_views import PaymentView, ReviewView
from wallet.ports import ApprovedWithdrawal
from wallet.types import IntentId

router = APIRouter(prefix="/v1/operator", tags=["Operator"])

_ADDRESS: Final = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
_INTENT: Final = {
    "id": "withdrawal-7",
    "kind": "withdrawal",
    "chain": "eip155:1337",
    "to": _ADDRESS,
    "tag": None,
    "token": None,
    "amount": "250000000000000000",
    "data": "",
}
_REVIEW: Final = {"intent": _INTENT, "approvals": ["ann"], "expired": [], "needed": 2}
_PAYMENT: Final = {
    "id": "withdrawal-7",
    "kind": "withdrawal",
    "owner": _ADDRESS,
    "to": _ADDRESS,
    "asset": "ETH",
    "amount": "250000000000000000",
    "status": "signed",
    "txids": ["0x5c504ed4"],
    "reason": "",
    "contract": "",
}


class ApprovalRequest(Body):
    """An officer's approval, as `foldex vault approve` prints it."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"approval": "ann:1795276800000:MEUC…"}]}
    )

    approval: str = Field(max_length=256, description="`NAME:MILLISECONDS:BASE64`")


class PaymentRequest(Body):
    """A payment of ours."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"payment": "withdrawal-7"}]})

    payment: str = Field(
        min_length=1, max_length=256, description="Its id: `withdrawal-NUMBER` for a withdrawal."
    )


@router.get(
    "/withdrawals/{withdrawal_id}/review",
    summary="What officers approve",
)
@documents(
    ReviewView,
    example=_REVIEW,
    refuses=(errors.UnknownWithdrawal, CustodyUnavailable, CustodyRefused),
)
async def review(withdrawal_id: Id, who: OperatorReader, foldex: FoldexDep) -> Response:
    """Return the payment that a withdrawal asks for; each officer signs `intent` as it is."""
    withdrawal = await _withdrawal(foldex, withdrawal_id)
    found = await ask_custody(foldex, lambda desk: desk.review(_as_approved(withdrawal)))
    return reply(found, foldex.gateway.position)


@router.post(
    "/withdrawals/{withdrawal_id}/approvals",
    summary="Hand in an officer's approval",
)
@documents(
    ReviewView,
    example=_REVIEW,
    refuses=(
        errors.UnknownWithdrawal,
        errors.WrongState,
        errors.AccountInDebt,
        CustodyUnavailable,
        CustodyRefused,
    ),
)
async def approve(
    withdrawal_id: Id, body: ApprovalRequest, who: Operator, foldex: FoldexDep
) -> Response:
    """Record the approval; with the last one that is needed the withdrawal is approved.

    Refused, and nothing is recorded: not signed by one of the officers for exactly this payment
    (`BAD_APPROVAL`), too old (`APPROVAL_EXPIRED`), by one whose approval counts already
    (`DUPLICATE_APPROVAL`). Sending the very same one again is safe. The signer checks all of them
    again, as it does not trust this server.
    """
    withdrawal = await _withdrawal(foldex, withdrawal_id)
    if withdrawal.status not in ("requested", "approved"):
        raise errors.WrongState(f"The withdrawal is {withdrawal.status}, not requested")
    found: ReviewView = await ask_custody(
        foldex, lambda desk: desk.approve(_as_approved(withdrawal), body.approval)
    )
    if len(found.approvals) >= found.needed:
        command = ApproveWithdrawal(
            time_ms=foldex.gateway.clock_ms(),
            scope=OPERATOR_SCOPE,
            withdrawal_id=withdrawal_id,
            approved_by=who.key_id,
        )
        await foldex.gateway.execute(command, who.signature)
    return reply(found, foldex.gateway.position)


@router.post(
    "/withdrawals/{withdrawal_id}/cancel",
    summary="Cancel an approved withdrawal",
)
@documents(
    PaymentView,
    example={**_PAYMENT, "status": "failed", "txids": [], "reason": "CANCELLED: client asked"},
    refuses=(errors.UnknownWithdrawal, errors.WrongState, CustodyUnavailable, CustodyRefused),
)
async def cancel_withdrawal(
    withdrawal_id: Id, body: PauseRequest, who: Operator, foldex: FoldexDep
) -> Response:
    """Take an approved withdrawal back while nothing is signed for it (`ALREADY_SIGNED`).

    Its amount is free again once the payment has `failed`: at once, or when the place that it had
    in the order of our transactions is used up. One that is not approved yet is rejected instead.
    """
    withdrawal = await _withdrawal(foldex, withdrawal_id)
    if withdrawal.status != "approved":
        raise errors.WrongState(f"The withdrawal is {withdrawal.status}, not approved")
    reason = f"{body.reason} (by {who.key_id})"
    found = await ask_custody(foldex, lambda desk: desk.cancel(_as_approved(withdrawal), reason))
    return reply(found, foldex.gateway.position)


@router.post("/custody/payments/bump", summary="Replace a stuck transaction")
@documents(PaymentView, example=_PAYMENT, refuses=(CustodyUnavailable, CustodyRefused))
async def bump_payment(body: PaymentRequest, who: Operator, foldex: FoldexDep) -> Response:
    """Have a transaction that waits too long replaced in its place, at a higher fee.

    Asked again before the replacement is signed it changes nothing. Refused: nothing is signed yet
    (`NOT_SIGNED`), it has ended (`ALREADY_ENDED`), the policy pays no more (`FEE_CAP_REACHED`).
    """
    payment = IntentId(body.payment)
    found = await ask_custody(foldex, lambda desk: desk.bump(payment, who.key_id))
    return reply(found, foldex.gateway.position)


async def require_settled_by_hand(foldex: Any, withdrawal_id: int) -> None:
    """Raises: CustodyRefused: custody pays this withdrawal; who settles it too could pay twice."""
    if foldex.desk is None:
        return
    withdrawal = await _withdrawal(foldex, withdrawal_id)
    if await ask_custody(foldex, lambda desk: desk.has(withdrawal.asset)):
        raise CustodyRefused(f"Custody pays {withdrawal.asset} and settles what it pays")


async def _withdrawal(foldex: Any, withdrawal_id: int) -> WithdrawalView:
    found, _ = await foldex.gateway.query(lambda views: views.withdrawal(withdrawal_id))
    if not isinstance(found, WithdrawalView):
        raise errors.UnknownWithdrawal
    return found


def _as_approved(withdrawal: WithdrawalView) -> ApprovedWithdrawal:
    """Return it with its amount in ledger units: views show exactly the ledger's decimals."""
    return ApprovedWithdrawal(
        withdrawal_id=withdrawal.id,
        account=withdrawal.account,
        asset=withdrawal.asset,
        amount=int(withdrawal.amount.replace(".", "")),
        address=withdrawal.address,
    )
