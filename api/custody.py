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
    Operator,
    OperatorReader,
    Reader,
)
from api.problems import CustodyRefused, CustodyUnavailable
from api.replies import reply
from domain import errors
from wallet.desk import Desk
from wallet.desk_views import CustodyStatus
from wallet.errors import WalletError
from wallet.types import DepositKey

router = APIRouter(prefix="/v1")

_CHAIN: Final = "eip155:1337"
_ADDRESS: Final = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
_STATUS: Final = {
    "chain": _CHAIN,
    "height": 4711,
    "paused": "RECONCILIATION_FAILED: 1 differences, the first: ETH at 0x7099…: books 5, other 4",
    "paused_by": "",
    "differences": [{"what": "ETH at 0x7099…", "books": "5", "other": "4"}],
    "unlisted": 0,
    "mark": "1f0c3a9e5d7b2468",
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


class PauseRequest(Body):
    """Why."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "incident 12"}]})

    reason: str = Field(min_length=1, max_length=256)


class ResumeRequest(PauseRequest):
    """Why, and which differences are accepted."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"reason": "looked into", "accept": "1f0c3a9e5d7b2468"}]}
    )

    accept: str = Field(
        default="",
        max_length=64,
        description="The `mark` of the recorded differences; needed when there are any.",
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
async def resume(body: ResumeRequest, who: Operator, foldex: FoldexDep) -> Response:
    """Credit deposits and sign payments again, also with the `differences` that `accept` names.

    Refused when others are recorded meanwhile: nobody accepts what was not seen.
    """

    def go_on(desk: Desk) -> CustodyStatus:
        desk.resume(who.key_id, body.reason, body.accept)
        return desk.status()

    return reply(await ask_custody(foldex, go_on), foldex.gateway.position)
