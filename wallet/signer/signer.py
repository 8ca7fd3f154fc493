"""The signer itself: checks, remembers, signs; in this order nothing can be paid twice."""

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from wallet.approvals import IntentText, content_hash
from wallet.keys.ethereum import message_digest
from wallet.keys.hashes import keccak256
from wallet.signer import rules
from wallet.signer.denials import Denial, Denied
from wallet.signer.history import History, name_of
from wallet.signer.journal import Journal, JournalError, Position
from wallet.signer.policy import Policy
from wallet.signer.records import Opened, Refused, SignedMessage, SignedPayment
from wallet.signer.rules import KeyRef, Request
from wallet.vault.document import Role
from wallet.vault.keyring import Keyring

MESSAGE_CHARS_MAX: Final = 1024

Clock = Callable[[], int]
"""Milliseconds since 1970."""


@dataclass(frozen=True, slots=True)
class Signed:
    """A signed transaction, ready to broadcast, and its hash (0x…)."""

    raw: bytes
    txid: str


class Signer:
    """Signs what its policy allows. Its journal is its memory; one signer has one journal."""

    def __init__(self, *, keyring: Keyring, policy: Policy, journal: Journal, clock: Clock) -> None:
        """Read the journal and start.

        Raises: JournalError: it is damaged, or not of this vault or an older copy of the vault.
        """
        self._keyring = keyring
        self._policy = policy
        self._journal = journal
        self._clock = clock
        self._history = History()
        self._one_at_a_time = threading.Lock()
        for record in journal.replay():
            self._history.apply(record)
        self._record_opening()

    @property
    def policy(self) -> Policy:
        """What it allows."""
        return self._policy

    @property
    def keyring(self) -> Keyring:
        """Its keys."""
        return self._keyring

    @property
    def position(self) -> Position:
        """How far its journal is."""
        return self._journal.position

    def has_been_at(self, position: Position) -> bool:
        """Return whether its journal once ended there; if not, it is not the one it should be."""
        return self._journal.has(position)

    def is_stopped(self) -> bool:
        """Return whether the stop file is there; also when we cannot see whether it is."""
        try:
            os.lstat(self._policy.stop_file)
        except FileNotFoundError:
            return False
        except OSError:
            return True
        return True

    def sign(self, request: Request) -> Signed:
        """Return the signed transaction; the same request always has the same answer.

        Raises: Denied: it is not allowed; the journal says so too. JournalError: stop.
        """
        with self._one_at_a_time:
            try:
                return self._sign(request)
            except Denied as denied:
                self._record_denial(
                    denied, request.intent.id, str(request.slot), request.transaction.digest.hex()
                )
                raise

    def sign_message(self, key: KeyRef, text: str) -> tuple[str, bytes]:
        """Return an address of ours and its signature of a text (EIP-191).

        Raises: Denied: the text does not begin as the policy says, or is no plain text.
        """
        with self._one_at_a_time:
            try:
                return self._sign_message(key, text)
            except Denied as denied:
                self._record_denial(denied, "", str(key), "")
                raise

    def refuse(self, denied: Denied) -> None:
        """Remember a request that was too wrong to be understood."""
        with self._one_at_a_time:
            self._record_denial(denied, "", "", "")

    def address(self, key: KeyRef) -> str:
        """Return an address of ours. Raises: KeysError: there is none."""
        return self._keyring.address(key.role, key.index)

    def _sign(self, request: Request) -> Signed:
        self._refuse_when_stopped()
        if self._was_signed(request):
            return self._signature(request)
        now_ms = self._now_ms()
        allowed = rules.check(request, self._policy, self._history, self.address, now_ms)
        if not self._keyring.can_sign(request.key.role):
            raise Denied(Denial.WRONG_KEY, f"the seed of {request.key.role} is not here")
        signed = self._signature(request)
        self._remember(_record(request, allowed, signed, now_ms))
        return signed

    def _was_signed(self, request: Request) -> bool:
        """Return whether exactly this was signed before, so that answering again changes nothing.

        The content is compared too: the same transaction under another intent is another request.
        """
        intent, digest = request.intent, request.transaction.digest.hex()
        name = name_of(intent.kind, intent.id)
        slot = self._history.digests.get((name, digest))
        if slot is None or slot != rules.slot_of(request, self.address):
            return False
        return self._history.contents[name] == (content_hash(intent), slot)

    def _signature(self, request: Request) -> Signed:
        transaction, key = request.transaction, request.key
        raw = transaction.signed(self._keyring.sign(key.role, key.index, transaction.digest))
        return Signed(raw, "0x" + keccak256(raw).hex())

    def _sign_message(self, key: KeyRef, text: str) -> tuple[str, bytes]:
        self._refuse_when_stopped()
        if not text.startswith(self._policy.message_prefix):
            raise Denied(Denial.MESSAGE, f"a text begins with {self._policy.message_prefix!r}")
        if len(text) > MESSAGE_CHARS_MAX or not text.isprintable():
            raise Denied(Denial.MESSAGE, f"a text is one line of up to {MESSAGE_CHARS_MAX} chars")
        if not self._keyring.can_sign(key.role):
            raise Denied(Denial.WRONG_KEY, f"the seed of {key.role} is not here")
        signature = self._keyring.sign(key.role, key.index, message_digest(text.encode()))
        self._remember(SignedMessage(time_ms=self._now_ms(), key=str(key), text=text))
        return self.address(key), signature

    def _refuse_when_stopped(self) -> None:
        if self.is_stopped():
            raise Denied(Denial.STOPPED, f"the stop file {self._policy.stop_file} is there")

    def _now_ms(self) -> int:
        """Return the time, never earlier than before: a clock set back gives no new limits."""
        return max(self._clock(), self._history.time_ms)

    def _remember(self, record: Opened | SignedPayment | SignedMessage | Refused) -> None:
        self._journal.append(record)
        self._history.apply(record)

    def _record_denial(self, denied: Denied, intent_id: str, slot: str, digest: str) -> None:
        self._remember(
            Refused(
                time_ms=self._now_ms(),
                code=denied.code,
                message=denied.message[:500],
                intent_id=intent_id[: rules.ID_CHARS_MAX],
                slot=slot[:200],
                digest=digest,
            )
        )

    def _record_opening(self) -> None:
        keyring = self._keyring
        keys = {role.value: keyring.xpub(role).text for role in keyring.roles}
        before = self._history.opened
        if before is not None:
            _compare(before, keyring, keys)
        self._remember(
            Opened(
                time_ms=self._now_ms(),
                vault_id=keyring.vault_id,
                generation=keyring.generation,
                policy=self._policy.hash,
                keys=keys,
            )
        )


def _compare(before: Opened, keyring: Keyring, keys: dict[str, str]) -> None:
    """Refuse keys that are not those of before; new roles may come."""
    if before.vault_id != keyring.vault_id:
        raise JournalError("the journal is of another vault")
    if before.generation > keyring.generation:
        raise JournalError(
            f"the vault is an old copy: generation {keyring.generation}, and the journal knows"
            f" {before.generation}. Bring back the newest one"
        )
    for role, xpub in before.keys.items():
        if keys.get(Role(role)) != xpub:
            raise JournalError(f"the key of {role} is not the one that the journal knows")


def _record(request: Request, allowed: rules.Allowed, signed: Signed, now_ms: int) -> SignedPayment:
    intent, transaction = request.intent, request.transaction
    return SignedPayment(
        time_ms=now_ms,
        intent=IntentText.of(intent),
        content=content_hash(intent),
        rule=allowed.rule.name,
        slot=allowed.slot,
        key=str(request.key),
        digest=transaction.digest.hex(),
        txid=signed.txid,
        tip=str(transaction.tip),
        price=str(transaction.price),
        fee_max=str(transaction.fee_max),
        approved_by=allowed.approved_by,
    )
