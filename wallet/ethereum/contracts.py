"""Deploy contracts, call them, and make transactions of their methods."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from wallet.chain import Artefact
from wallet.errors import BadRequest, CallFailed, UnknownContract
from wallet.ethereum import abi
from wallet.ethereum.chain import EthereumChain
from wallet.ethereum.reverts import why
from wallet.ethereum.rpc import RpcError
from wallet.types import Address, BlockRef, Intent, IntentId, IntentKind

OWN_ARTEFACTS = Path(__file__).parent / "artefacts"


class EthereumContracts:
    """The contracts of a chain. What it returns is an intent: it is signed and sent as others."""

    def __init__(self, chain: EthereumChain) -> None:
        self._chain = chain

    def artefact(self, given: Any) -> Artefact:
        """See `Contracts.artefact`."""
        return own_artefact(given) if isinstance(given, str) else artefact_of(given)

    def deploy(
        self, intent_id: IntentId, artefact: Artefact, arguments: Sequence[Any], *, value: int = 0
    ) -> Intent:
        """See `Contracts.deploy`."""
        return Intent(
            id=intent_id,
            kind=IntentKind.DEPLOY,
            chain=self._chain.id,
            amount=value,
            data=artefact.bytecode + abi.encode_constructor(artefact.abi, arguments),
        )

    def transact(
        self,
        intent_id: IntentId,
        artefact: Artefact,
        address: Address,
        method: str,
        arguments: Sequence[Any],
        *,
        value: int = 0,
    ) -> Intent:
        """See `Contracts.transact`."""
        data, _ = abi.encode_call(artefact.abi, method, arguments)
        there = self._chain.validate_address(address)
        self._require_code(there, "latest")
        return Intent(
            id=intent_id,
            kind=IntentKind.CALL,
            chain=self._chain.id,
            to=there,
            amount=value,
            data=data,
        )

    def call(
        self,
        artefact: Artefact,
        address: Address,
        method: str,
        arguments: Sequence[Any],
        *,
        at: BlockRef | None = None,
    ) -> Any:
        """See `Contracts.call`."""
        data, entry = abi.encode_call(artefact.abi, method, arguments)
        there = self._chain.validate_address(address)
        where = "latest" if at is None else {"blockHash": at.hash}
        call = {"to": there, "data": "0x" + data.hex()}
        try:
            answer = self._chain.rpc.call("eth_call", call, where)
        except RpcError as error:
            raise CallFailed(why(error)) from error
        if answer == "0x":
            self._require_code(there, where)
        return abi.decode_answer(entry, bytes.fromhex(answer[2:]))

    def _require_code(self, address: Address, where: Any) -> None:
        if self._chain.rpc.call("eth_getCode", address, where) == "0x":
            raise UnknownContract(f"there is no contract at {address}")


def read_artefact(text: str) -> Artefact:
    """Return the compiled contract in a JSON text. Raises: BadRequest: see `artefact_of`."""
    try:
        return artefact_of(json.loads(text))
    except ValueError as error:
        raise BadRequest(f"this is no JSON: {error}") from error


def artefact_of(found: Any) -> Artefact:
    """Return a compiled contract: ours, or as solc, Hardhat or Foundry write it.

    Raises: BadRequest: it is none, or its code still lacks the addresses of libraries.
    """
    try:
        code = found["bytecode"]
        code = code["object"] if isinstance(code, dict) else code
        return Artefact(
            name=str(found.get("name") or found.get("contractName") or ""),
            abi=found["abi"],
            bytecode=bytes.fromhex(code.removeprefix("0x")),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadRequest(f"this is no compiled contract: {error}") from error


def own_artefact(name: str) -> Artefact:
    """Return a contract that comes with Foldex: `erc20`. Raises: UnknownContract."""
    file = OWN_ARTEFACTS / f"{name}.json"
    if not name.isidentifier() or not file.is_file():
        raise UnknownContract(f"there is no contract {name} here")
    return read_artefact(file.read_text())
