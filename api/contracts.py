"""Contracts over HTTP, for operators: deploy, call, transact, approve, and what became of it.

All of it goes through `wallet.contract_desk`, as the command line and Kafka do.
"""

from typing import Any, Final

import msgspec
from fastapi import APIRouter
from pydantic import ConfigDict, Field
from starlette.responses import Response

from api.custody import ask_custody
from api.documents import documents
from api.parameters import Body, FoldexDep, Operator, OperatorReader, RequiredKey
from api.problems import CustodyRefused, CustodyUnavailable
from api.replies import reply
from wallet.contract_desk import ContractDesk, ContractView

router = APIRouter(prefix="/v1/operator/contracts", tags=["Operator"])

_HOT: Final = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
_CONTRACT: Final = "0x5FbDB2315678afecb367f032d93F642f64180aa3"
_PAYEE: Final = "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC"
_VIEW: Final = {
    "id": "contract-token-1",
    "kind": "deploy",
    "sender": _HOT,
    "contract": _CONTRACT,
    "value": "0",
    "status": "paid",
    "txids": ["0x9fc7"],
    "reason": "",
    "intent": {
        "id": "contract-token-1",
        "kind": "deploy",
        "chain": "eip155:1337",
        "to": None,
        "tag": None,
        "token": None,
        "amount": "0",
        "data": "YIA=",
        "interface": {"method": "", "inputs": [], "code_bytes": 2},
    },
    "call": {
        "method": "constructor()",
        "arguments": [],
        "code": "0x1a578b7a4b0b5755db6d121b4118d4bc68fe170dca840c59bc922f14175a76b0",
        "source": "",
        "unknown": "",
    },
    "approvals": ["ann"],
    "needed": 1,
}
_REFUSES: Final = (CustodyUnavailable, CustodyRefused)


class CallAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What a method answered: numbers are text, bytes `0x…`, several values a list."""

    result: Any


class _Contract(Body):
    artifact: str | dict[str, Any] = Field(
        description="The name of a contract of ours (`erc20`), or what a compiler wrote:"
        " `abi` and `bytecode`."
    )
    args: list[Any] = Field(default=[], max_length=64, description="Numbers may be text.")


class DeployRequest(_Contract):
    """A contract and its constructor's arguments."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"artifact": "erc20", "args": ["Test", "TST", 6, "1000"]}]}
    )

    value: str = Field(default="0", max_length=78, description="Wei that goes along.")


class CallRequest(_Contract):
    """A method and its arguments."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "artifact": "erc20",
                    "contract": _CONTRACT,
                    "method": "balanceOf",
                    "args": [_PAYEE],
                }
            ]
        }
    )

    contract: str = Field(max_length=64, description="Its address.")
    method: str = Field(
        max_length=256, description="Its name, or its signature where names repeat."
    )


class TransactRequest(CallRequest):
    """A method to be called in a transaction."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "artifact": "erc20",
                    "contract": _CONTRACT,
                    "method": "transfer",
                    "args": [_PAYEE, "25"],
                }
            ]
        }
    )

    value: str = Field(default="0", max_length=78, description="Wei that goes along.")


class ContractApproval(Body):
    """An officer's approval of a deployment or call, as `foldex vault approve` prints it."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"id": "contract-token-1", "approval": "ann:1795276800000:MEUC…"}]
        }
    )

    id: str = Field(max_length=200)
    approval: str = Field(max_length=256, description="`NAME:MILLISECONDS:BASE64`")


async def _ask(foldex: Any, question: Any) -> Any:
    return await ask_custody(foldex, lambda desk: question(desk.contracts))


@router.get("", summary="Deployments and calls")
@documents(ContractDesk.list, example=[_VIEW], refuses=(CustodyUnavailable,))
async def contracts(who: OperatorReader, foldex: FoldexDep) -> Response:
    """Return every deployment and call, the oldest first, and what became of it."""
    return reply(await _ask(foldex, ContractDesk.list), foldex.gateway.position)


@router.post("/deploy", summary="Deploy a contract")
@documents(ContractView, example=_VIEW, refuses=_REFUSES, status=201)
async def deploy_contract(
    body: DeployRequest, who: Operator, foldex: FoldexDep, key: RequiredKey
) -> Response:
    """Plan the deployment; with enough approvals of `intent` it is signed and sent.

    The key is the deployment's for ever: the same request again changes nothing.
    """

    def plan(desk: ContractDesk) -> ContractView:
        return desk.deploy(key, body.artifact, body.args, body.value)

    return reply(await _ask(foldex, plan), foldex.gateway.position, status=201)


@router.post("/transact", summary="Call a method in a transaction")
@documents(ContractView, example=_VIEW, refuses=_REFUSES, status=201)
async def transact_contract(
    body: TransactRequest, who: Operator, foldex: FoldexDep, key: RequiredKey
) -> Response:
    """Plan the call; with enough approvals of `intent` it is signed and sent.

    The signer allows the methods that its policy names, and no others.
    """

    def plan(desk: ContractDesk) -> ContractView:
        return desk.transact(
            key, body.artifact, body.contract, body.method, args=body.args, value=body.value
        )

    return reply(await _ask(foldex, plan), foldex.gateway.position, status=201)


@router.post("/call", summary="Ask a method")
@documents(CallAnswer, example={"result": "1000"}, refuses=_REFUSES)
async def call_contract(body: CallRequest, who: OperatorReader, foldex: FoldexDep) -> Response:
    """Return what a method answers now, changing nothing."""

    def ask(desk: ContractDesk) -> CallAnswer:
        result = desk.call(body.artifact, body.contract, body.method, body.args)
        return CallAnswer(result=result)

    return reply(await _ask(foldex, ask), foldex.gateway.position)


@router.post("/approvals", summary="Hand in an officer's approval of a deployment or call")
@documents(ContractView, example=_VIEW, refuses=_REFUSES)
async def approve_contract(body: ContractApproval, who: Operator, foldex: FoldexDep) -> Response:
    """Record the approval; refused as those of withdrawals are. The signer checks it again."""

    def hand_in(desk: ContractDesk) -> ContractView:
        return desk.approve(body.id, body.approval)

    return reply(await _ask(foldex, hand_in), foldex.gateway.position)
