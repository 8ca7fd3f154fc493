"""A payment: one transaction of ours, whatever for, from its plan to its end.

    planned -> slotted      it has the slot that all its attempts share
    slotted -> signed       an attempt is recorded; only then it is broadcast, as often as needed
    signed  -> paid         one attempt is deep enough, and it did what it should
    signed  -> failed       deep enough, but it failed, or the slot was released
    planned -> failed       it cannot be made, or was cancelled; nothing was ever signed

Only an end that is deep enough, or that nothing was signed for, may give money back.
"""

from typing import Any, Final, Literal
from uuid import NAMESPACE_URL, UUID, uuid5

import msgspec
from eventsourcing.domain import Aggregate

from wallet.call_text import Interface
from wallet.errors import AlreadyEnded, AlreadySigned, NotSigned, TxReverted
from wallet.types import (
    Address,
    Attempt,
    ChainId,
    Intent,
    IntentId,
    IntentKind,
    Mined,
    Slot,
    TokenId,
    TxId,
    Unsigned,
)

CANCELLED: Final = "CANCELLED"
"""What the reason of a payment that was cancelled begins with."""
REASON_CHARS_MAX: Final = 256

Status = Literal["planned", "slotted", "signed", "paid", "failed"]


def payment_record_id(intent: IntentId) -> UUID:
    """Return the id of a payment's record."""
    return uuid5(NAMESPACE_URL, f"foldex:payment:{intent}")


class Payment(Aggregate):
    """asset: what it pays, of the ledger. withdrawal_id: 0 when it is none. told: the exchange.

    interface: how the data of a deployment or call is to be read, as far as its planner knew.

    releasing: why the slot is being released instead; empty when it is not. built: what the signer
    is asked for. abandoned: what it was asked for and may have signed, but is not asked for any
    more. bumping: an operator wants a higher fee. denied_height: of the tip when the signer last
    said no. final: how it ended.
    """

    TOPIC = "payment"

    class Created(Aggregate.Created):
        TOPIC = "payment_planned.v1"
        intent_id: str
        kind: str
        chain: str
        owner: str
        to: str
        tag: int
        token: str
        amount: int
        data: str
        asset: str
        withdrawal_id: int
        interface: str = ""

    class SlotGiven(Aggregate.Event):
        TOPIC = "payment_slot_given.v1"
        anchor: str

        def apply(self, aggregate: Any) -> None:
            aggregate.anchor, aggregate.status = self.anchor, "slotted"

    class Built(Aggregate.Event):
        """A transaction that the signer is asked for from now on, the same until it answers.

        So a crash between its signature and our record gets that very signature again.
        """

        TOPIC = "payment_built.v1"
        unsigned: str
        fee_max: int
        release: bool

        def apply(self, aggregate: Any) -> None:
            aggregate.built = self

    class Signed(Aggregate.Event):
        """An attempt to be broadcast. height: of the tip then. release: it pays nobody."""

        TOPIC = "payment_signed.v1"
        txid: str
        raw: str
        height: int
        release: bool

        def apply(self, aggregate: Any) -> None:
            aggregate.signed.append(self)
            aggregate.built, aggregate.bumping = None, False
            if aggregate.final is None:
                aggregate.status = "signed"

    class ReleaseAsked(Aggregate.Event):
        """The payment shall not be made: its slot is used up by a transaction that pays nobody."""

        TOPIC = "payment_release_asked.v1"
        reason: str

        def apply(self, aggregate: Any) -> None:
            if aggregate.built is not None:
                aggregate.abandoned.append(aggregate.built.unsigned)
            aggregate.releasing, aggregate.built = self.reason, None
            aggregate.denied_height = None

    class AttemptDenied(Aggregate.Event):
        """The signer refused what was built, so it never signed it. height: of the tip then."""

        TOPIC = "payment_attempt_denied.v1"
        reason: str
        height: int

        def apply(self, aggregate: Any) -> None:
            aggregate.denied_height = self.height
            aggregate.built, aggregate.bumping = None, False

    class BumpAsked(Aggregate.Event):
        """The newest attempt shall be replaced at a higher fee, without waiting any longer."""

        TOPIC = "payment_bump_asked.v1"
        asked_by: str

        def apply(self, aggregate: Any) -> None:
            aggregate.bumping = True

    class Ended(Aggregate.Event):
        """An attempt is deep enough. moved: to the payee. fee: of the chain, base units."""

        TOPIC = "payment_ended.v1"
        txid: str
        height: int
        hash: str
        paid: bool
        moved: int
        fee: int
        contract: str
        reason: str

        def apply(self, aggregate: Any) -> None:
            aggregate.final = self
            aggregate.status = "paid" if self.paid else "failed"

    class GivenUp(Aggregate.Event):
        """Nothing was signed for it and nothing will be, or a refill's slot was used otherwise."""

        TOPIC = "payment_given_up.v1"
        reason: str

        def apply(self, aggregate: Any) -> None:
            aggregate.status, aggregate.reason = "failed", self.reason

    class Told(Aggregate.Event):
        """The exchange knows how its withdrawal ended."""

        TOPIC = "payment_told.v1"

        def apply(self, aggregate: Any) -> None:
            aggregate.told = True

    def __init__(
        self,
        *,
        intent_id: str,
        kind: str,
        chain: str,
        owner: str,
        to: str,
        tag: int,
        token: str,
        amount: int,
        data: str,
        asset: str,
        withdrawal_id: int,
        interface: str = "",
    ) -> None:
        self.interface = msgspec.json.decode(interface, type=Interface) if interface else None
        self.intent = Intent(
            id=IntentId(intent_id),
            kind=IntentKind(kind),
            chain=ChainId(chain),
            to=Address(to) if to else None,
            tag=tag if tag >= 0 else None,
            token=TokenId(token) if token else None,
            amount=amount,
            data=bytes.fromhex(data),
        )
        self.owner = Address(owner)
        self.asset = asset
        self.withdrawal_id = withdrawal_id
        self.status: Status = "planned"
        self.anchor = ""
        self.built: Payment.Built | None = None
        self.signed: list[Payment.Signed] = []
        self.releasing = ""
        self.abandoned: list[str] = []
        self.bumping = False
        self.denied_height: int | None = None
        self.final: Payment.Ended | None = None
        self.reason = ""
        self.told = False

    @property
    def slot(self) -> Slot:
        """The slot of all its attempts."""
        return Slot(chain=self.intent.chain, owner=self.owner, anchor=self.anchor)

    @property
    def attempts(self) -> list[Attempt]:
        """What was signed, the newest last; any of it may be mined."""
        return [
            Attempt(
                intent_id=self.intent.id,
                slot=self.slot,
                txid=TxId(each.txid),
                raw=bytes.fromhex(each.raw),
            )
            for each in self.signed
        ]

    @property
    def outbid(self) -> list[Attempt]:
        """Return what the next attempt must offer more than: all that the signer may have signed.

        What was abandoned is not signed as far as we know, so it has no hash.
        """
        asked = [
            Attempt(
                intent_id=self.intent.id, slot=self.slot, txid=TxId(""), raw=bytes.fromhex(each)
            )
            for each in self.abandoned
        ]
        return [*asked, *self.attempts]

    @property
    def is_cancelled(self) -> bool:
        """Whether it was cancelled; its slot, if it had one, may still have to be used up."""
        return (self.releasing or self.failure).startswith(CANCELLED)

    @property
    def failure(self) -> str:
        """Why it failed."""
        return self.reason or (self.final.reason if self.final else "")

    def is_release(self, txid: str) -> bool:
        """Return whether an attempt pays nobody."""
        return any(each.txid == txid and each.release for each in self.signed)

    @classmethod
    def plan(
        cls,
        intent: Intent,
        owner: Address,
        *,
        asset: str,
        withdrawal_id: int = 0,
        interface: Interface | None = None,
    ) -> "Payment":
        """Return the record of a transaction to be made by `owner`."""
        return cls._create(
            cls.Created,
            id=payment_record_id(intent.id),
            intent_id=intent.id,
            kind=intent.kind.value,
            chain=intent.chain,
            owner=owner,
            to=intent.to or "",
            tag=-1 if intent.tag is None else intent.tag,
            token=intent.token or "",
            amount=intent.amount,
            data=intent.data.hex(),
            asset=asset,
            withdrawal_id=withdrawal_id,
            interface=msgspec.json.encode(interface).decode() if interface else "",
        )

    def give_slot(self, anchor: str) -> None:
        """Record the slot."""
        self.trigger_event(self.SlotGiven, anchor=anchor)

    def build(self, unsigned: Unsigned, *, release: bool) -> None:
        """Record what the signer will be asked for."""
        self.trigger_event(
            self.Built, unsigned=unsigned.raw.hex(), fee_max=unsigned.fee_max, release=release
        )

    def sign(self, txid: TxId, raw: bytes, height: int, *, release: bool) -> None:
        """Record a signed attempt, before it is broadcast."""
        self.trigger_event(self.Signed, txid=txid, raw=raw.hex(), height=height, release=release)

    def ask_release(self, reason: str) -> None:
        """Decide that the slot is to be used up by a transaction that pays nobody."""
        if not self.releasing:
            self.trigger_event(self.ReleaseAsked, reason=reason[:REASON_CHARS_MAX])

    def cancel(self, reason: str) -> None:
        """Decide that it is not to be made; decided again it changes nothing.

        A slot that it has is used up by a transaction that pays nobody, for later ones wait for it.
        Raises: AlreadySigned, AlreadyEnded.
        """
        if self.is_cancelled:
            return
        if self.status in ("paid", "failed"):
            raise AlreadyEnded(f"{self.intent.id} is {self.status}")
        if self.signed:
            raise AlreadySigned(f"{self.intent.id} is signed: {self.signed[-1].txid} may be mined")
        why = f"{CANCELLED}: {reason}"
        if self.anchor:
            self.ask_release(why)
        else:
            self.give_up(why)

    def bump(self, asked_by: str) -> None:
        """Ask for an attempt at a higher fee; asked again before it is made it changes nothing.

        Raises: NotSigned, AlreadyEnded.
        """
        if self.status in ("paid", "failed"):
            raise AlreadyEnded(f"{self.intent.id} is {self.status}")
        if not self.signed:
            raise NotSigned(f"{self.intent.id} is {self.status}")
        if not self.bumping:
            self.trigger_event(self.BumpAsked, asked_by=asked_by)

    def deny(self, reason: str, height: int) -> None:
        """Record that the signer refused what was built, which was never signed."""
        self.trigger_event(self.AttemptDenied, reason=reason[:REASON_CHARS_MAX], height=height)

    def end(self, mined: Mined) -> None:
        """Record how it ended, once that is deep enough."""
        released = self.is_release(mined.txid)
        reason = self.releasing if released else "" if mined.ok else _failure(mined)
        self.trigger_event(
            self.Ended,
            txid=mined.txid,
            height=mined.block.height,
            hash=mined.block.hash,
            paid=mined.ok and not released,
            moved=mined.moved,
            fee=mined.fee,
            contract=mined.contract or "",
            reason=reason,
        )

    def give_up(self, reason: str) -> None:
        """Record that it cannot be made: while nothing was signed, or that gives nothing back."""
        if (self.signed or self.anchor) and self.intent.kind is not IntentKind.REFILL:
            raise ValueError("a payment with a slot ends on chain only")
        self.trigger_event(self.GivenUp, reason=reason[:REASON_CHARS_MAX])

    def tell(self) -> None:
        """Record that the exchange knows."""
        self.trigger_event(self.Told)


def _failure(mined: Mined) -> str:
    return TxReverted(mined.reason or "the transaction failed").reason[:REASON_CHARS_MAX]
