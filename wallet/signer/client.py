"""Ask the signer, from the processes that are online."""

import socket
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from wallet.approvals import IntentText, Officers, parse_approval
from wallet.errors import (
    ApprovalRequired,
    FeeAboveCap,
    LimitExceeded,
    NonceConflict,
    PolicyDenied,
    SignerRolledBack,
    SignerUnavailable,
    WalletError,
)
from wallet.keys.online import OnlineKeys
from wallet.ports import Requirement, Signed
from wallet.signer.denials import Denial
from wallet.signer.memory import Memory, check_not_behind
from wallet.signer.messages import (
    Answer,
    Ask,
    AskMessage,
    AskRequirement,
    AskSignature,
    AskStatus,
    AskXpub,
    BadFrame,
    Behind,
    Failed,
    MessageSignature,
    No,
    RequirementText,
    Signature,
    SlotText,
    Status,
    Xpub,
    receive,
    rule_name,
    send,
)
from wallet.types import Address, ChainId, Intent, IntentKind, TokenId, TxId, Unsigned

TIMEOUT_S: Final = 10.0
ATTEMPTS: Final = 2
"""A connection that the signer closed when it restarted is noticed only when it is used."""

Kind = TypeVar("Kind", Status, Xpub, RequirementText, Signature, MessageSignature)


class StoppedByOperator(SignerUnavailable):
    """The stop file is there. The same request may be allowed when it is gone."""


class DayLimitReached(LimitExceeded):
    """The limit of 24 hours is reached. The same request may be allowed later."""

    retryable = True


ERRORS: Final[dict[str, type[WalletError]]] = {
    Denial.STOPPED: StoppedByOperator,
    Denial.FEE_PRICE: FeeAboveCap,
    Denial.FEE: FeeAboveCap,
    Denial.FEE_SHARE: FeeAboveCap,
    Denial.AMOUNT: LimitExceeded,
    Denial.AMOUNT_OF_DAY: DayLimitReached,
    Denial.FEES_OF_DAY: DayLimitReached,
    Denial.APPROVALS: ApprovalRequired,
    Denial.BAD_APPROVAL: ApprovalRequired,
    Denial.APPROVAL_EXPIRED: ApprovalRequired,
    Denial.WRONG_NONCE: NonceConflict,
    Denial.SECOND_SLOT: NonceConflict,
    Denial.SLOT_TAKEN: NonceConflict,
    Denial.SLOT_RELEASED: NonceConflict,
    Denial.FEE_NOT_HIGHER: NonceConflict,
}
"""All other denials are PolicyDenied. The text begins with the signer's own code."""

IndexOf = Callable[[Address], int | None]


def _no_index(_: Address) -> int | None:
    return None


class SignerClient:
    """A connection to the signer, made when it is needed; threads may share it."""

    def __init__(
        self, path: Path, *, timeout_s: float = TIMEOUT_S, index_of: IndexOf = _no_index
    ) -> None:
        """index_of: which deposit address one is; the signer needs to know for top-ups."""
        self._path = path
        self._timeout_s = timeout_s
        self._index_of = index_of
        self._connection: socket.socket | None = None
        self._one_at_a_time = threading.Lock()
        self.memory: Memory | None = None
        """Where it is remembered how far the signer's journal was seen; None: nowhere."""

    def status(self) -> Status:
        """Return how the signer is. Raises: SignerUnavailable."""
        return self._ask(AskStatus(), Status)

    def keys(self) -> OnlineKeys:
        """Return the public side of the signer's keys. Raises: SignerUnavailable."""
        roles = self.status().roles
        return OnlineKeys({role: self._ask(AskXpub(role=role), Xpub).text for role in roles})

    def requirement(self, intent: Intent) -> Requirement:
        """Return whose approvals a payment needs. Raises: PolicyDenied, SignerUnavailable."""
        answer = self._ask(AskRequirement(intent=IntentText.of(intent)), RequirementText)
        keys = {officer.name: officer.key for officer in answer.officers}
        return Requirement(
            officers=Officers(keys=keys, age_s_max=answer.age_s_max), needed=answer.needed
        )

    def sign(
        self,
        intent: Intent,
        unsigned: Unsigned,
        approvals: Sequence[str] = (),
        index: int | None = None,
    ) -> Signed:
        """Return the signed transaction; the same request has the same answer, so retries are safe.

        approvals: of officers, `NAME:MILLISECONDS:BASE64`. index: of the deposit address that
        sends; None for the hot wallet or the gas tank.
        Raises: PolicyDenied, ApprovalRequired, LimitExceeded, FeeAboveCap, NonceConflict: it was
        not signed. SignerUnavailable: whether it was is unknown: ask the same again.
        """
        try:
            officers = tuple(map(parse_approval, approvals))
        except ValueError as error:
            raise ApprovalRequired(f"{Denial.BAD_APPROVAL}: {error}") from None
        slot = unsigned.slot
        ask = AskSignature(
            intent=IntentText.of(intent),
            slot=SlotText(slot.chain, slot.owner, slot.anchor),
            raw=unsigned.raw,
            approvals=officers,
            index=index,
            to_index=None if intent.to is None else self._index_of(intent.to),
        )
        answer = self._ask(ask, Signature)
        return Signed(txid=TxId(answer.txid), raw=answer.raw)

    def allows(self, chain: ChainId, kind: IntentKind, token: TokenId | None) -> bool:
        """Return whether the policy has a rule for such payments. Raises: SignerUnavailable."""
        return rule_name(chain, kind, token) in self.status().rules

    def sign_message(self, role: str, index: int, text: str) -> tuple[Address, bytes]:
        """Return an address and its signature of a text.

        Raises: PolicyDenied, SignerUnavailable.
        """
        answer = self._ask(AskMessage(role=role, index=index, text=text), MessageSignature)
        return Address(answer.address), answer.signature

    def close(self) -> None:
        """End the connection; the next question makes a new one."""
        with self._one_at_a_time:
            self._disconnect()

    def _ask(self, ask: Ask, kind: type[Kind]) -> Kind:
        with self._one_at_a_time:
            answer = self._asked(ask)
        if isinstance(answer, No):
            raise ERRORS.get(answer.code, PolicyDenied)(f"{answer.code}: {answer.message}")
        if isinstance(answer, Failed):
            raise SignerUnavailable(f"the signer has stopped: {answer.message}")
        if not isinstance(answer, kind):
            raise SignerUnavailable("the signer answered another question")
        return answer

    def _asked(self, ask: Ask) -> Answer:
        """Ask, and compare the signer's journal with what is known of it.

        Raises: SignerRolledBack: it is an older copy; what it answered is not used.
        """
        if self.memory is None:
            return self._exchange(ask)
        known = self.memory.known()
        answer = self._exchange(msgspec.structs.replace(ask, known=known))
        if isinstance(answer, Failed):
            return answer
        if isinstance(answer, Behind):
            raise SignerRolledBack(f"the signer refuses: {answer.message}")
        if answer.at is None:
            raise SignerRolledBack("the signer does not say where its journal is")
        check_not_behind(answer.at, known)
        self.memory.saw(answer.at)
        return answer

    def _exchange(self, ask: Ask) -> Answer:
        for attempt in range(1, ATTEMPTS + 1):
            is_fresh = self._connection is None
            try:
                return self._exchange_once(ask)
            except (OSError, BadFrame, msgspec.MsgspecError) as error:
                self._disconnect()
                if is_fresh or attempt == ATTEMPTS or isinstance(error, TimeoutError):
                    raise SignerUnavailable(f"no answer on {self._path}: {error}") from None
        raise AssertionError("the last attempt returns or raises")

    def _exchange_once(self, ask: Ask) -> Answer:
        if self._connection is None:
            self._connection = socket.socket(socket.AF_UNIX)
            self._connection.settimeout(self._timeout_s)
            self._connection.connect(str(self._path))
        send(self._connection, ask)
        frame = receive(self._connection)
        if frame is None:
            raise BadFrame("it closed the connection")
        answer: Answer = msgspec.msgpack.decode(frame, type=Answer)
        return answer

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
