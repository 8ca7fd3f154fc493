"""The bus's commands about payments: `withdraw`, `cancel_withdrawal` and `bump_fee`.

A withdrawal that is asked for here is a request like any other: the exchange holds its amount, and
officers review it.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from typing import Annotated, Any, Final, TypeVar

import msgspec

from wallet.bus import TRANSACTION, Action, Message, answer_of
from wallet.desk import Desk
from wallet.desk_views import PaymentView
from wallet.errors import BadRequest, DuplicateMismatch, ExchangeAway, ExchangeSaysNo
from wallet.ports import ExchangeRefused, ExchangeUnavailable, Requests
from wallet.records.payment import CANCELLED
from wallet.types import IntentId
from wallet.withdrawals import withdrawal_intent_id

KEY_REUSED: Final = "idempotency_key_reused"
WRONG_STATE: Final = "wrong_state"
NOT_TAKEN: Final = ("withdrawal_id", "fee_policy", "max_fee", "approvals")
"""The exchange numbers a withdrawal, custody's policy caps its fees, and officers approve what was
numbered: a `withdraw` that says otherwise is refused rather than half obeyed."""

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
Fields = TypeVar("Fields", bound=msgspec.Struct)


class Withdraw(msgspec.Struct, frozen=True, kw_only=True):
    """value: base units, as text."""

    idempotency_key: Name
    account: Name
    asset: Name
    to: Name
    value: Annotated[str, msgspec.Meta(pattern=r"^[0-9]{1,78}$")]
    tag: None = None


class Cancel(msgspec.Struct, frozen=True, kw_only=True):
    """withdrawal_id: as the answer to `withdraw` has it."""

    withdrawal_id: Annotated[int, msgspec.Meta(ge=1)]
    reason: Name = "by command"


class Bump(msgspec.Struct, frozen=True, kw_only=True):
    """A withdrawal, or the key of any payment of ours, as `transaction` has it."""

    withdrawal_id: Annotated[int, msgspec.Meta(ge=1)] | None = None
    key: Name | None = None

    @property
    def payment(self) -> IntentId:
        """Which payment. Raises: BadRequest: none, or two."""
        if (self.withdrawal_id is None) == (self.key is None):
            raise BadRequest("bump_fee has either a withdrawal_id or a payment's key")
        if self.withdrawal_id is not None:
            return withdrawal_intent_id(self.withdrawal_id)
        return IntentId(self.key or "")


class WithdrawalCommands:
    """One chain's. For one thread."""

    def __init__(self, desk: Desk, requests: Requests) -> None:
        self._desk = desk
        self._requests = requests

    @property
    def actions(self) -> Mapping[str, Action]:
        """What `Commands` is to do, by the type of the command."""
        return {
            "withdraw": self._withdraw,
            "cancel_withdrawal": self._cancel,
            "bump_fee": self._bump,
        }

    def _withdraw(self, command: dict[str, Any], key: str) -> Message:
        """Its number at the exchange hangs on the key, so a repeat after a crash is the same one.

        Raises: ExchangeAway: ask again; BadRequest, BadAddress, TagRequired, ExchangeSaysNo.
        """
        asked = _fields(command, Withdraw)
        unknown = [name for name in NOT_TAKEN if command.get(name) is not None]
        if unknown:
            raise BadRequest(f"withdraw takes no {', '.join(unknown)}")
        units = self._desk.payable(asked.asset, asked.to, int(asked.value))
        with _exchange():
            number = self._requests.request(
                account=asked.account,
                asset=asked.asset,
                units=units,
                address=asked.to,
                request_id=_request_id(self._desk.chain, key),
            )
        body = {
            "txid": "",
            "value": str(int(asked.value)),
            "to": asked.to,
            "from": self._desk.hot,
            "asset": asked.asset,
            "direction": "out",
            "status": "requested",
            "key": withdrawal_intent_id(number),
            "withdrawal_id": number,
        }
        return self._answer(key, body, command)

    def _cancel(self, command: dict[str, Any], key: str) -> Message:
        """Reject one that is not approved yet; one that is, take back while nothing is signed."""
        asked = _fields(command, Cancel)
        with _exchange():
            known = self._requests.find(asked.withdrawal_id)
            if known is not None and known.status == "requested":
                self._reject(asked, key)
                known = self._requests.find(asked.withdrawal_id)
        if known is None:
            raise BadRequest(f"there is no withdrawal {asked.withdrawal_id}")
        withdrawal = known.withdrawal
        if known.status == "rejected":
            body = {
                "txid": "",
                "value": "0",
                "to": withdrawal.address,
                "from": "",
                "asset": withdrawal.asset,
                "key": withdrawal_intent_id(asked.withdrawal_id),
            }
            return self._told(key, body, command, "cancelled", asked.withdrawal_id)
        payment = self._desk.cancel(withdrawal, asked.reason)
        status = "cancelled" if payment.status == "failed" else "cancelling"
        return self._told(key, _body(payment), command, status, asked.withdrawal_id)

    def _reject(self, asked: Cancel, key: str) -> None:
        """Reject it, unless it is approved meanwhile, which is seen when it is read again."""
        try:
            self._requests.reject(
                withdrawal_id=asked.withdrawal_id,
                rejected_by=_request_id(self._desk.chain, key),
                reason=f"{CANCELLED}: {asked.reason}",
            )
        except ExchangeRefused as refusal:
            if refusal.code != WRONG_STATE:
                raise

    def _bump(self, command: dict[str, Any], key: str) -> Message:
        asked = _fields(command, Bump)
        payment = self._desk.bump(asked.payment, f"command {key}")
        body = {**_body(payment), "txid": payment.txids[-1], "replaces": payment.txids[:-1]}
        return self._told(key, body, command, "replacing", asked.withdrawal_id)

    def _told(
        self,
        key: str,
        body: dict[str, Any],
        command: dict[str, Any],
        status: str,
        withdrawal_id: int | None,
    ) -> Message:
        number = {} if withdrawal_id is None else {"withdrawal_id": withdrawal_id}
        shown = {**body, "direction": "out", "status": status, **number}
        return self._answer(key, shown, command)

    def _answer(self, key: str, body: dict[str, Any], command: dict[str, Any]) -> Message:
        return answer_of(self._desk.chain, TRANSACTION, key, body, command)


def _body(payment: PaymentView) -> dict[str, Any]:
    return {
        "txid": "",
        "value": payment.amount,
        "to": payment.to,
        "from": payment.owner,
        "asset": payment.asset,
        "key": payment.id,
    }


def _fields(command: dict[str, Any], kind: type[Fields]) -> Fields:
    """Return what a command says. Raises: BadRequest: which field is missing or wrong."""
    try:
        return msgspec.convert(command, kind)
    except msgspec.ValidationError as error:
        raise BadRequest(f"a field is missing or wrong: {error}") from error


def _request_id(chain: str, key: str) -> str:
    return f"bus-{sha256(f'{chain}|{key}'.encode()).hexdigest()[:32]}"


@contextmanager
def _exchange() -> Iterator[None]:
    """Turn what the exchange says into errors of the bus."""
    try:
        yield
    except ExchangeRefused as refusal:
        if refusal.code == KEY_REUSED:
            raise DuplicateMismatch("the key came with another withdrawal before") from refusal
        raise ExchangeSaysNo(f"{refusal.code}: {refusal}") from refusal
    except ExchangeUnavailable as error:
        raise ExchangeAway(str(error)) from error
