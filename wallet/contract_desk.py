"""What people ask of contracts: deploy, call, have a method called in a transaction, approve.

The command line, HTTP and Kafka all come here, with the same JSON: so they accept, refuse and
answer alike. A deployment or call is a payment: planned once for a key, approved by officers, then
signed within the signer's policy and followed until it is deep enough.
"""

from collections.abc import Sequence
from typing import Any, Final, Protocol

import msgspec

from wallet.call_text import CallText, IntentFile, Interface, as_text
from wallet.chain import Contracts
from wallet.errors import BadInterface, BadRequest
from wallet.records.payment import Payment
from wallet.types import Address, Intent, IntentId, IntentKind

KINDS: Final = (IntentKind.DEPLOY, IntentKind.CALL)
KEY_CHARS_MAX: Final = 128
DIGITS_MAX: Final = 78
"""Of 2^256, the most that a transaction can carry."""


class ContractView(msgspec.Struct, frozen=True, kw_only=True):
    """A deployment (`deploy`) or a method that is called in a transaction (`call`).

    contract: the called one's address, or where it was deployed once that is deep enough. value:
    wei that goes along, as text. status: planned, slotted, signed, paid or failed. reason: why it
    failed, beginning with an error's code. txids: all attempts, the newest last; any may be mined.
    intent: what officers sign, with how its data is said to be read. call: what its data means, as
    far as this process can tell. approvals: by whom so far; needed: how many custody waits for.
    """

    id: str
    kind: str
    sender: str
    contract: str
    value: str
    status: str
    txids: list[str]
    reason: str
    intent: IntentFile
    call: CallText
    approvals: list[str]
    needed: int


class Planner(Protocol):
    """What a desk does for contracts."""

    def plan(self, intent: Intent, interface: Interface | None) -> None:
        """Plan a payment from the hot wallet, once. Raises: DuplicateMismatch."""

    def approve_payment(self, intent_id: IntentId, approval: str) -> Any:
        """Record an officer's approval. Raises: BadRequest."""

    def contract_payments(self) -> list[ContractView]:
        """Return those of `KINDS`, the oldest first."""

    def contract_payment(self, intent_id: IntentId) -> ContractView | None:
        """Return one of them, if there is one."""


def contract_intent_id(key: str) -> IntentId:
    """Return the id of what is asked for under a key: never that of a withdrawal or a sweep."""
    if not 0 < len(key) <= KEY_CHARS_MAX or not key.isprintable():
        raise BadRequest(f"a key has 1 to {KEY_CHARS_MAX} printable characters")
    return IntentId(f"contract-{key}")


class ContractDesk:
    """One chain's. Threads may share it."""

    def __init__(self, planner: Planner, contracts: Contracts | None, chain: str) -> None:
        self._planner = planner
        self._contracts = contracts
        self._chain = chain

    def deploy(self, key: str, artifact: Any, args: Any = (), value: Any = "0") -> ContractView:
        """Plan the deployment of a contract; asked for again it changes nothing.

        artifact: the name of one of ours, or what a compiler wrote. args: of its constructor.
        value: wei that goes along, as text.
        Raises: BadRequest; UnknownContract: there is none of that name; UnknownMethod: not these
        arguments; DuplicateMismatch: the key was for something else.
        """
        contracts = self._of_chain()
        made = contracts.artefact(artifact)
        intent = contracts.deploy(contract_intent_id(key), made, _list(args), value=_wei(value))
        return self._plan(intent, contracts.interface(made, intent))

    def transact(
        self,
        key: str,
        artifact: Any,
        contract: str,
        method: str,
        *,
        args: Any = (),
        value: Any = "0",
    ) -> ContractView:
        """Plan the call of a method in a transaction.

        Raises: as `deploy`; BadAddress; UnknownContract: there is none at the address.
        """
        contracts = self._of_chain()
        made = contracts.artefact(artifact)
        intent = contracts.transact(
            contract_intent_id(key),
            made,
            Address(contract),
            method,
            _list(args),
            value=_wei(value),
        )
        return self._plan(intent, contracts.interface(made, intent))

    def call(self, artifact: Any, contract: str, method: str, args: Any = ()) -> Any:
        """Return what a method answers, as JSON: numbers are text, as they exceed 64 bits.

        Raises: BadRequest, BadAddress, UnknownContract, UnknownMethod; CallFailed: it refused.
        """
        contracts = self._of_chain()
        made = contracts.artefact(artifact)
        return as_text(contracts.call(made, Address(contract), method, _list(args)))

    def list(self) -> list[ContractView]:
        """Return every deployment and call, the oldest first, with what became of it."""
        return self._planner.contract_payments()

    def get(self, intent_id: str) -> ContractView:
        """Return one of them. Raises: BadRequest: there is none."""
        view = self._planner.contract_payment(IntentId(intent_id))
        if view is None:
            raise BadRequest(f"there is no deployment or call {intent_id}")
        return view

    def approve(self, intent_id: str, approval: str) -> ContractView:
        """Record an officer's approval; the signer checks it. Raises: BadRequest."""
        self.get(intent_id)
        self._planner.approve_payment(IntentId(intent_id), approval)
        return self.get(intent_id)

    def explain(self, payment: Payment) -> CallText:
        """Return what the data of a deployment or call means; why nobody can tell, if so."""
        if self._contracts is None:
            return CallText(unknown=f"{self._chain} has no contracts")
        try:
            return self._contracts.explain(payment.intent, payment.interface)
        except BadInterface as error:
            return CallText(unknown=error.reason)

    def _plan(self, intent: Intent, interface: Interface | None) -> ContractView:
        self._planner.plan(intent, interface)
        return self.get(intent.id)

    def _of_chain(self) -> Contracts:
        if self._contracts is None:
            raise BadRequest(f"{self._chain} has no contracts")
        return self._contracts


def contract_view(
    payment: Payment, approvals: Sequence[str], needed: int, call: CallText
) -> ContractView:
    """Return a payment of `KINDS` as it is shown."""
    intent = payment.intent
    made = payment.final.contract if payment.final else ""
    return ContractView(
        id=intent.id,
        kind=intent.kind.value,
        sender=payment.owner,
        contract=intent.to or made,
        value=str(intent.amount),
        status=payment.status,
        txids=[each.txid for each in payment.signed],
        reason=payment.failure,
        intent=IntentFile.with_interface(intent, payment.interface),
        call=call,
        approvals=list(approvals),
        needed=needed,
    )


def _list(args: Any) -> Sequence[Any]:
    if not isinstance(args, list | tuple):
        raise BadRequest("the arguments are a list")
    return args


def _wei(value: Any) -> int:
    digits = isinstance(value, str) and value.isascii() and value.isdigit()
    if not digits or len(value) > DIGITS_MAX:
        raise BadRequest("a value is a whole number of wei, as text")
    return int(value)
