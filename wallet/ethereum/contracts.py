"""Deploy contracts, call them, and make transactions of their methods."""

from collections.abc import Sequence
from typing import Any

from wallet.call_text import CallText, Interface
from wallet.chain import Artefact
from wallet.errors import CallFailed, UnknownContract
from wallet.ethereum import abi, calls
from wallet.ethereum.chain import EthereumChain
from wallet.ethereum.compiled import artefact_of, own_artefact, own_artefacts
from wallet.ethereum.reverts import why
from wallet.ethereum.rpc import RpcError
from wallet.types import Address, BlockRef, Intent, IntentId, IntentKind


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

    def interface(self, artefact: Artefact, intent: Intent) -> Interface | None:
        """See `Contracts.interface`."""
        return calls.interface_of(artefact, intent)

    def explain(self, intent: Intent, interface: Interface | None) -> CallText:
        """See `Contracts.explain`."""
        return calls.explain(intent, own_artefacts(), interface)

    def _require_code(self, address: Address, where: Any) -> None:
        if self._chain.rpc.call("eth_getCode", address, where) == "0x":
            raise UnknownContract(f"there is no contract at {address}")
