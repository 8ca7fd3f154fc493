"""Coins from and to a chain: deposit addresses for clients, review and state for operators."""

from typing import Any, Final

import msgspec
from fastapi import APIRouter
from pydantic import ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from api.documents import documents
from api.parameters import (
    Body,
    Depositor,
    FoldexDep,
    Id,
    Operator,
    OperatorReader,
    Reader,
)
from api.problems import CustodyRefused, CustodyUnavailable
from api.replies import reply
from api.security import OPERATOR_SCOPE
from commands.settle_withdrawal import ApproveWithdrawal
from domain import errors
from projections.transfers import WithdrawalView
from wallet.desk import CustodyStatus, Desk, PaymentView, ReviewView
from wallet.errors import WalletError
from wallet.ports import ApprovedWithdrawal
from wallet.types import DepositKey, IntentId

router = APIRouter(prefix="/v1")

_CHAIN: Final = "eip155:1337"
_ADDRESS: Final = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
_INTENT: Final = {
    "id": "withdrawal-7",
    "kind": "withdrawal",
    "chain": _CHAIN,
    "to": _ADDRESS,
    "tag": None,
    "token": None,
    "amount": "250000000000000000",
    "data": "",
}
_REVIEW: Final = {"intent": _INTENT, "approvals": ["ann"], "expired": [], "needed": 2}
_STATUS: Final = {
    "chain": _CHAIN,
    "height": 4711,
    "paused": "RECONCILIATION_FAILED: 1 differences, the first: ETH at 0x7099…: books 5, other 4",
    "paused_by": "",
    "differences": [{"what": "ETH at 0x7099…", "books": "5", "other": "4"}],
    "addresses": 3,
    "deposits": {"credited": 12, "confirming": 1},
    "open_payments": 0,
    "refills": {},
    "signer_journal": 4096,
    "hot": _ADDRESS,
    "gas": _ADDRESS,
    "cold": _ADDRESS,
}
_KEY: Final = f"{_CHAIN}:0x9fc7:native"
_DEPOSIT: Final = {
    "key": _KEY,
    "account": "alice",
    "address": _ADDRESS,
    "asset": "ETH",
    "amount": "1500000000000000000",
    "status": "confirming",
    "reason": "",
    "height": 4710,
    "confirmations": 2,
    "required": 12,
}


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


class DepositAddress(msgspec.Struct, frozen=True, kw_only=True):
    """Where an account's coins are to be sent; the same whenever it asks."""

    account: str
    asset: str
    chain: str
    address: str


class AddressRequest(Body):
    """Which asset is to be deposited."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"asset": "ETH"}]})

    asset: str = Field(max_length=16)


class ApprovalRequest(Body):
    """An officer's approval, as `foldex vault approve` prints it."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"approval": "ann:1795276800000:MEUC…"}]}
    )

    approval: str = Field(max_length=256, description="`NAME:MILLISECONDS:BASE64`")


class PauseRequest(Body):
    """Why."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "incident 12"}]})

    reason: str = Field(min_length=1, max_length=256)


class PaymentRequest(Body):
    """A payment of ours."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"payment": "withdrawal-7"}]})

    payment: str = Field(
        min_length=1, max_length=256, description="Its id: `withdrawal-NUMBER` for a withdrawal."
    )


class KeyRequest(Body):
    """A deposit in quarantine."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"key": _KEY}]})

    key: str = Field(max_length=256)


async def ask_custody(foldex: Any, question: Any) -> Any:
    """Ask custody, off the event loop. Raises: CustodyUnavailable, CustodyRefused."""
    desk: Desk | None = foldex.desk
    if desk is None:
        raise CustodyUnavailable("No chain is connected to this process")
    try:
        return await run_in_threadpool(question, desk)
    except WalletError as error:
        kind = CustodyUnavailable if error.retryable else CustodyRefused
        raise kind(f"{error.code}: {error}") from error


@router.post("/deposit-addresses", summary="Deposit address", tags=["Account"])
@documents(
    DepositAddress,
    example={"account": "alice", "asset": "ETH", "chain": _CHAIN, "address": _ADDRESS},
    refuses=(errors.UnknownAsset, CustodyUnavailable, CustodyRefused),
    status=201,
)
async def deposit_address(body: AddressRequest, who: Depositor, foldex: FoldexDep) -> Response:
    """Return the account's own address on the asset's chain; it is made on first sight."""

    def ask(desk: Desk) -> DepositAddress:
        if not desk.has(body.asset):
            raise errors.UnknownAsset(f"{body.asset} cannot be deposited from a chain")
        desk.tokens.check_enabled(body.asset)
        address = desk.address(who.account)
        return DepositAddress(
            account=who.account, asset=body.asset, chain=desk.chain, address=address
        )

    return reply(await ask_custody(foldex, ask), foldex.gateway.position, status=201)


@router.get("/deposits/pending", summary="Deposits on their way", tags=["Account"])
@documents(Desk.deposits, example=[_DEPOSIT], refuses=(CustodyUnavailable,))
async def pending_deposits(who: Reader, foldex: FoldexDep) -> Response:
    """Return deposits that are seen on chain but not credited: confirmations, and what is needed.

    Amounts are in the chain's smallest unit.
    """
    found = await ask_custody(foldex, lambda desk: desk.deposits(who.account))
    return reply(found, foldex.gateway.position)


@router.get("/operator/custody", summary="State of custody", tags=["Operator"])
@documents(CustodyStatus, example=_STATUS, refuses=(CustodyUnavailable,))
async def custody_status(who: OperatorReader, foldex: FoldexDep) -> Response:
    """Return how far the chain is followed, and whether crediting and paying is paused."""
    return reply(await ask_custody(foldex, Desk.status), foldex.gateway.position)


@router.get("/operator/custody/quarantine", summary="Deposits in quarantine", tags=["Operator"])
@documents(Desk.deposits, example=[_DEPOSIT], refuses=(CustodyUnavailable,))
async def quarantine(who: OperatorReader, foldex: FoldexDep) -> Response:
    """Return deposits that wait for an operator, with the reason."""
    found = await ask_custody(foldex, lambda desk: desk.deposits(status="quarantined"))
    return reply(found, foldex.gateway.position)


@router.post("/operator/custody/quarantine/release", summary="Release a deposit", tags=["Operator"])
@documents(CustodyStatus, example=_STATUS, refuses=(CustodyUnavailable, CustodyRefused))
async def release_deposit(body: KeyRequest, who: Operator, foldex: FoldexDep) -> Response:
    """Let a deposit in quarantine be credited."""

    def release(desk: Desk) -> CustodyStatus:
        desk.release(DepositKey(body.key), who.key_id)
        return desk.status()

    return reply(await ask_custody(foldex, release), foldex.gateway.position)


@router.post("/operator/custody/pause", summary="Pause custody", tags=["Operator"])
@documents(CustodyStatus, example=_STATUS, refuses=(CustodyUnavailable, CustodyRefused))
async def pause(body: PauseRequest, who: Operator, foldex: FoldexDep) -> Response:
    """Stop crediting deposits and signing payments; what was signed may still be mined."""

    def stop(desk: Desk) -> CustodyStatus:
        desk.pause(body.reason, who.key_id)
        return desk.status()

    return reply(await ask_custody(foldex, stop), foldex.gateway.position)


@router.post("/operator/custody/resume", summary="Resume custody", tags=["Operator"])
@documents(CustodyStatus, example=_STATUS, refuses=(CustodyUnavailable, CustodyRefused))
async def resume(body: PauseRequest, who: Operator, foldex: FoldexDep) -> Response:
    """Credit deposits and sign payments again, also with the `differences` that are recorded."""

    def go_on(desk: Desk) -> CustodyStatus:
        desk.resume(who.key_id, body.reason)
        return desk.status()

    return reply(await ask_custody(foldex, go_on), foldex.gateway.position)


@router.get(
    "/operator/withdrawals/{withdrawal_id}/review",
    summary="What officers approve",
    tags=["Operator"],
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
    "/operator/withdrawals/{withdrawal_id}/approvals",
    summary="Hand in an officer's approval",
    tags=["Operator"],
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
    "/operator/withdrawals/{withdrawal_id}/cancel",
    summary="Cancel an approved withdrawal",
    tags=["Operator"],
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


@router.post(
    "/operator/custody/payments/bump", summary="Replace a stuck transaction", tags=["Operator"]
)
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
