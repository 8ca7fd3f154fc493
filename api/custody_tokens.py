"""Tokens over HTTP, for operators: take one, list them, stop one; and look at blocks again."""

from typing import Annotated, Any, Final

from fastapi import APIRouter
from pydantic import ConfigDict, Field
from starlette.responses import Response

from api.custody import ask_custody
from api.documents import documents
from api.parameters import (
    POSITION_MAX,
    Body,
    DecimalText,
    FoldexDep,
    Operator,
    OperatorReader,
    RequiredKey,
)
from api.problems import CustodyRefused, CustodyUnavailable
from api.replies import reply
from domain.units import DECIMALS_MAX
from wallet.desk import Desk
from wallet.token_desk import RescanView, TokenDesk, TokenView
from wallet.tokens import TokenRequest

router = APIRouter(prefix="/v1/operator/custody", tags=["Operator"])

_CHAIN: Final = "eip155:1337"
_CONTRACT: Final = "0x5FbDB2315678afecb367f032d93F642f64180aa3"
_TERMS: Final[dict[str, Any]] = {
    "contract": _CONTRACT,
    "asset": "USDC",
    "decimals": 6,
    "decimals_untold": False,
    "minimum": "1.000000",
    "hot_low": "0.000000",
    "hot_target": "1000.000000",
    "hot_high": "2000.000000",
    "sweep_from": "20.000000",
    "review": True,
    "measured": True,
}
_TOKEN: Final = {
    "chain": _CHAIN,
    **_TERMS,
    "watched_after": 4711,
    "disabled": "",
    "allowed": ["withdrawal", "sweep", "top_up"],
}
_RESCAN: Final = {
    "chain": _CHAIN,
    "name": "before-usdc",
    "first": 4000,
    "last": 4711,
    "next": 4200,
    "found": 1,
    "status": "running",
    "reason": "",
}
_REFUSES: Final = (CustodyUnavailable, CustodyRefused)

Contract = Annotated[str, Field(max_length=64, description="The token's contract.")]
Height = Annotated[int, Field(ge=0, le=POSITION_MAX)]


class TokenBody(Body):
    """A token, and on what terms it is taken. Amounts are of whole tokens.

    decimals: as you know them: the contract must say the same. decimals_untold: you know that it
    tells none, so that yours are believed. sweep_from 0: deposits stay where
    they came. hot_low, hot_target, hot_high: what the hot wallet holds. review: each deposit waits
    for an operator. measured: only what the balance grew by is credited.
    """

    model_config = ConfigDict(json_schema_extra={"examples": [_TERMS]})

    contract: Contract
    asset: str = Field(max_length=16)
    decimals: int = Field(ge=0, le=DECIMALS_MAX)
    decimals_untold: bool = False
    minimum: DecimalText = "0"
    hot_low: DecimalText = "0"
    hot_target: DecimalText = "0"
    hot_high: DecimalText = "0"
    sweep_from: DecimalText = "0"
    review: bool = True
    measured: bool = True


class ContractBody(Body):
    """Which token."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"contract": _CONTRACT}]})

    contract: Contract


class DisableBody(ContractBody):
    """Which token, and why."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"contract": _CONTRACT, "reason": "incident 12"}]}
    )

    reason: str = Field(min_length=1, max_length=256)


class RescanBody(Body):
    """Blocks, both ends included. last: without it, the last one that was followed."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"first": 4000}]})

    first: Height
    last: Height | None = None


@router.get("/tokens", summary="Tokens")
@documents(TokenDesk.all, example=[_TOKEN], refuses=(CustodyUnavailable,))
async def tokens(who: OperatorReader, foldex: FoldexDep) -> Response:
    """Return every registered token, and what the signer's own policy allows of it."""
    found = await ask_custody(foldex, lambda desk: desk.tokens.all())
    return reply(found, foldex.gateway.position)


@router.post("/tokens", summary="Register a token")
@documents(TokenView, example=_TOKEN, refuses=_REFUSES, status=201)
async def add_token(body: TokenBody, who: Operator, foldex: FoldexDep) -> Response:
    """Take a token's deposits and withdrawals from the next block on.

    What was said is compared with what the contract says. A known token is taken on the new terms;
    the same again changes nothing. The signer's policy file must list the token, too.
    """
    request = TokenRequest(**body.model_dump())

    def add(desk: Desk) -> TokenView:
        return desk.tokens.add(request, who.key_id)

    return reply(await ask_custody(foldex, add), foldex.gateway.position, status=201)


@router.post("/tokens/disable", summary="Disable a token")
@documents(TokenView, example=_TOKEN | {"disabled": "incident 12"}, refuses=_REFUSES)
async def disable_token(body: DisableBody, who: Operator, foldex: FoldexDep) -> Response:
    """Send a token's deposits to quarantine, refuse its withdrawals, sweep it no more."""

    def disable(desk: Desk) -> TokenView:
        return desk.tokens.disable(body.contract, body.reason, who.key_id)

    return reply(await ask_custody(foldex, disable), foldex.gateway.position)


@router.post("/tokens/enable", summary="Enable a token")
@documents(TokenView, example=_TOKEN, refuses=_REFUSES)
async def enable_token(body: ContractBody, who: Operator, foldex: FoldexDep) -> Response:
    """Let a token come and go again. What is in quarantine is released one by one."""

    def enable(desk: Desk) -> TokenView:
        return desk.tokens.enable(body.contract, who.key_id)

    return reply(await ask_custody(foldex, enable), foldex.gateway.position)


@router.get("/rescans", summary="Rescans")
@documents(TokenDesk.rescans, example=[_RESCAN], refuses=(CustodyUnavailable,))
async def rescans(who: OperatorReader, foldex: FoldexDep) -> Response:
    """Return every rescan, how far it is and what it found."""
    found = await ask_custody(foldex, lambda desk: desk.tokens.rescans())
    return reply(found, foldex.gateway.position)


@router.post("/rescans", summary="Look at blocks again")
@documents(RescanView, example=_RESCAN, refuses=_REFUSES, status=201)
async def rescan(body: RescanBody, who: Operator, foldex: FoldexDep, key: RequiredKey) -> Response:
    """Look for deposits that were not looked for, as of a token that was registered later.

    Nothing is credited twice. The idempotency key is the rescan's name, for ever.
    """

    def ask(desk: Desk) -> RescanView:
        return desk.tokens.rescan(key, body.first, body.last, who.key_id)

    return reply(await ask_custody(foldex, ask), foldex.gateway.position, status=201)
