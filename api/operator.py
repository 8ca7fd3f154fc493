"""What operators open, list and halt: accounts, assets and markets."""

from fastapi import APIRouter
from pydantic import ConfigDict, Field
from starlette.responses import Response

from api import examples
from api.documents import documents
from api.parameters import Body, DecimalText, FoldexDep, Operator, OptionalKey, Symbol
from api.replies import Done, done
from api.security import OPERATOR_SCOPE
from commands.list_asset import ListAsset
from commands.list_market import ListMarket
from commands.open_account import OpenAccount
from commands.set_market_status import SetMarketStatus
from domain import errors
from domain.market import MarketStatus
from domain.units import PPM

router = APIRouter(prefix="/v1/operator", tags=["Operator"])


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


@router.post("/accounts", summary="Open an account")
@documents(Done, example=examples.DONE, refuses=(errors.AlreadyExists,), status=201)
async def open_account(
    body: AccountRequest, who: Operator, foldex: FoldexDep, key: OptionalKey
) -> Response:
    """Open an account, so that it can hold assets and trade."""
    gateway = foldex.gateway
    command = OpenAccount(
        **gateway.stamp(OPERATOR_SCOPE, key),
        account=body.account,
    )
    return done(await gateway.execute(command, who.signature), status=201)


@router.post("/assets", summary="List an asset")
@documents(Done, example=examples.DONE, refuses=(errors.AlreadyExists,), status=201)
async def list_asset(
    body: AssetRequest, who: Operator, foldex: FoldexDep, key: OptionalKey
) -> Response:
    """List an asset, so that accounts can hold it. Its decimals never change."""
    gateway = foldex.gateway
    command = ListAsset(
        **gateway.stamp(OPERATOR_SCOPE, key),
        asset=body.asset,
        decimals=body.decimals,
    )
    return done(await gateway.execute(command, who.signature), status=201)


@router.post("/markets", summary="List a market")
@documents(
    Done,
    example=examples.DONE,
    refuses=(errors.AlreadyExists, errors.UnknownAsset, errors.BadDecimal, errors.NotPositive),
    status=201,
)
async def list_market(
    body: MarketRequest, who: Operator, foldex: FoldexDep, key: OptionalKey
) -> Response:
    """List a market between two listed assets; it is open at once."""
    gateway = foldex.gateway
    command = ListMarket(
        **gateway.stamp(OPERATOR_SCOPE, key),
        **body.model_dump(),
    )
    return done(await gateway.execute(command, who.signature), status=201)


@router.post("/markets/{symbol}/status", summary="Halt or resume a market")
@documents(Done, example=examples.DONE, refuses=(errors.UnknownMarket,))
async def set_market_status(
    symbol: Symbol, body: MarketStatusRequest, who: Operator, foldex: FoldexDep, key: OptionalKey
) -> Response:
    """Halt a market, let it take cancels only, or open it again."""
    gateway = foldex.gateway
    command = SetMarketStatus(
        **gateway.stamp(OPERATOR_SCOPE, key),
        market=symbol,
        status=body.status,
        reason=body.reason,
    )
    return done(await gateway.execute(command, who.signature))
