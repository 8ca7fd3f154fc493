"""What operators do: assets, markets, accounts, deposits and the fate of withdrawals."""

from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import ConfigDict, Field
from starlette.responses import Response

from api import examples
from api.custody import require_settled_by_hand
from api.documents import documents
from api.parameters import (
    Body,
    DecimalText,
    FoldexDep,
    Id,
    MinPosition,
    NoFields,
    Operator,
    OperatorReader,
    OptionalKey,
    PageDep,
    RequiredKey,
)
from api.problems import CustodyRefused
from api.replies import Done, WithdrawalReceipt, done, reply, withdrawal_done
from api.security import OPERATOR_SCOPE
from api.withdrawals import StatusFilter
from commands.credit_deposit import CreditDeposit
from commands.list_asset import ListAsset
from commands.list_market import ListMarket
from commands.open_account import OpenAccount
from commands.reverse_deposit import ReverseDeposit
from commands.set_market_status import SetMarketStatus
from commands.settle_withdrawal import (
    ApproveWithdrawal,
    CompleteWithdrawal,
    FailWithdrawal,
    RejectWithdrawal,
)
from domain import errors
from domain.market import MarketStatus
from domain.units import PPM, parse_amount
from projections.views import Views

router = APIRouter(prefix="/v1/operator", tags=["Operator"])

Symbol = Annotated[str, Path(max_length=33, examples=["BTC-USDT"])]

_DONE = {"position": 12, "repeated": False}
_SETTLED = {"withdrawal_id": 7, "status": "approved", "position": 90360, "repeated": False}
_SETTLE_REFUSALS = (errors.UnknownWithdrawal, errors.WrongState, errors.AccountInDebt)
_BY_HAND_REFUSALS = (errors.UnknownWithdrawal, errors.WrongState, CustodyRefused)


class AccountRequest(Body):
    """A new account."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"account": "alice"}]})

    account: str = Field(max_length=64, description="1 to 64 of `A-Z a-z 0-9 _ . : -`.")


class AssetRequest(Body):
    """A new asset."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"asset": "BTC", "decimals": 8}]})

    asset: str = Field(max_length=16, description="1 to 16 of `A-Z 0-9`.")
    decimals: int = Field(8, ge=0, le=18, description="Of the smallest amount that can be held.")


class MarketRequest(Body):
    """A new market. Fees are parts per million of what is received: 1000 is 0.1 %."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "market": "BTC-USDT",
                    "base_asset": "BTC",
                    "quote_asset": "USDT",
                    "tick_size": "0.01",
                    "lot_size": "0.0001",
                    "min_notional": "5",
                    "maker_fee_ppm": 500,
                    "taker_fee_ppm": 1000,
                }
            ]
        }
    )

    market: str = Field(max_length=33)
    base_asset: str = Field(max_length=16)
    quote_asset: str = Field(max_length=16)
    tick_size: DecimalText
    lot_size: DecimalText
    min_notional: DecimalText = "0"
    maker_fee_ppm: int = Field(1000, ge=0, lt=PPM)
    taker_fee_ppm: int = Field(1000, ge=0, lt=PPM)


class MarketStatusRequest(Body):
    """open: trades; cancel_only: takes cancels and reductions; halted: takes nothing."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"status": "halted", "reason": "oracle outage"}]}
    )

    status: MarketStatus
    reason: str = Field("", max_length=256)


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


@router.post("/accounts", summary="Open an account")
@documents(Done, example=_DONE, refuses=(errors.AlreadyExists,), status=201)
async def open_account(
    body: AccountRequest, who: Operator, foldex: FoldexDep, key: OptionalKey
) -> Response:
    """Open an account, so that it can hold assets and trade."""
    gateway = foldex.gateway
    command = OpenAccount(
        time_ms=gateway.clock_ms(),
        scope=OPERATOR_SCOPE,
        idempotency_key=key,
        account=body.account,
    )
    return done(await gateway.execute(command, who.signature), status=201)


@router.post("/assets", summary="List an asset")
@documents(Done, example=_DONE, refuses=(errors.AlreadyExists,), status=201)
async def list_asset(
    body: AssetRequest, who: Operator, foldex: FoldexDep, key: OptionalKey
) -> Response:
    """List an asset, so that accounts can hold it. Its decimals never change."""
    gateway = foldex.gateway
    command = ListAsset(
        time_ms=gateway.clock_ms(),
        scope=OPERATOR_SCOPE,
        idempotency_key=key,
        asset=body.asset,
        decimals=body.decimals,
    )
    return done(await gateway.execute(command, who.signature), status=201)


@router.post("/markets", summary="List a market")
@documents(
    Done,
    example=_DONE,
    refuses=(errors.AlreadyExists, errors.UnknownAsset, errors.BadDecimal, errors.NotPositive),
    status=201,
)
async def list_market(
    body: MarketRequest, who: Operator, foldex: FoldexDep, key: OptionalKey
) -> Response:
    """List a market between two listed assets; it is open at once."""
    gateway = foldex.gateway
    command = ListMarket(
        time_ms=gateway.clock_ms(),
        scope=OPERATOR_SCOPE,
        idempotency_key=key,
        **body.model_dump(),
    )
    return done(await gateway.execute(command, who.signature), status=201)


@router.post("/markets/{symbol}/status", summary="Halt or resume a market")
@documents(Done, example=_DONE, refuses=(errors.UnknownMarket,))
async def set_market_status(
    symbol: Symbol, body: MarketStatusRequest, who: Operator, foldex: FoldexDep, key: OptionalKey
) -> Response:
    """Halt a market, let it take cancels only, or open it again."""
    gateway = foldex.gateway
    command = SetMarketStatus(
        time_ms=gateway.clock_ms(),
        scope=OPERATOR_SCOPE,
        idempotency_key=key,
        market=symbol,
        status=body.status,
        reason=body.reason,
    )
    return done(await gateway.execute(command, who.signature))


@router.post("/deposits", summary="Credit a deposit")
@documents(
    Done,
    example=_DONE,
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
        time_ms=gateway.clock_ms(),
        scope=OPERATOR_SCOPE,
        idempotency_key=key,
        account=body.account,
        asset=asset.code,
        amount=parse_amount(body.amount, asset.decimals, field="amount"),
        deposit_id=body.deposit_id,
    )
    return done(await gateway.execute(command, who.signature), status=201)


@router.post("/deposits/reverse", summary="Reverse a deposit")
@documents(Done, example=_DONE, refuses=(errors.UnknownDeposit,))
async def reverse_deposit(
    body: ReversalRequest, who: Operator, foldex: FoldexDep, key: OptionalKey
) -> Response:
    """Undo a credited deposit. What the account has spent of it becomes its debt."""
    gateway = foldex.gateway
    command = ReverseDeposit(
        time_ms=gateway.clock_ms(),
        scope=OPERATOR_SCOPE,
        idempotency_key=key,
        deposit_id=body.deposit_id,
    )
    return done(await gateway.execute(command, who.signature))


@router.get("/withdrawals", summary="Withdrawals of all accounts")
@documents(Views.withdrawals, example=examples.page_of(examples.WITHDRAWAL))
async def all_withdrawals(
    who: OperatorReader,
    foldex: FoldexDep,
    page: PageDep,
    status: StatusFilter = None,
    min_position: MinPosition = 0,
) -> Response:
    """Return withdrawals, newest first; `status=requested` is the queue to approve."""
    found, position = await foldex.gateway.query(
        lambda views: views.withdrawals(None, status=status, after=page.after, limit=page.limit),
        min_position=min_position,
    )
    return reply(found, position)


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
        time_ms=gateway.clock_ms(),
        scope=OPERATOR_SCOPE,
        idempotency_key=key,
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
        time_ms=gateway.clock_ms(),
        scope=OPERATOR_SCOPE,
        idempotency_key=key,
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
        time_ms=gateway.clock_ms(),
        scope=OPERATOR_SCOPE,
        idempotency_key=key,
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
        time_ms=gateway.clock_ms(),
        scope=OPERATOR_SCOPE,
        idempotency_key=key,
        withdrawal_id=withdrawal_id,
        reason=body.reason,
    )
    return withdrawal_done(await gateway.execute(command, who.signature))
