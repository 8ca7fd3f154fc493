"""A deposit: from the block it was first seen in to its credit, and back when the block goes.

    confirming -> credited          enough blocks are on top of it
    confirming -> small             deep enough, but less than the minimum so far
    small      -> credited          with those that came later, there is enough of it
    confirming -> quarantined       an operator must look: unknown token, the exchange refused it
    confirming -> orphaned          its block is gone; confirming again when it is mined again
    credited   -> orphaned          as before, and the credit is reversed

The exchange is told of each credit and reversal in order, under an id of its own: `owed` is what it
was not told yet. A crash between telling and recording repeats it, which changes nothing there.
"""

from typing import Any, Literal
from uuid import NAMESPACE_URL, UUID, uuid5

from eventsourcing.domain import Aggregate

from wallet.block_scan import TransferSeen
from wallet.types import Address, BlockRef, DepositKey, TokenId

Status = Literal["confirming", "small", "orphaned", "credited", "quarantined"]


def deposit_record_id(key: DepositKey) -> UUID:
    """Return the id of a deposit's record."""
    return uuid5(NAMESPACE_URL, f"foldex:deposit:{key}")


class Deposit(Aggregate):
    """sender: empty where the chain does not tell. amount: base units.

    units, dust: what is credited in ledger units, and what is below one, in base units. epoch: how
    often it was credited and reversed before. owed: `[what, deposit id]` for the exchange, what
    being `credit` or `reverse`.
    """

    TOPIC = "deposit"

    class Created(Aggregate.Created):
        TOPIC = "deposit_seen.v1"
        key: str
        txid: str
        account: str
        address: str
        sender: str
        asset: str
        token: str
        amount: int
        height: int
        hash: str

    class MinedAgain(Aggregate.Event):
        TOPIC = "deposit_mined_again.v1"
        height: int
        hash: str

        def apply(self, aggregate: Any) -> None:
            aggregate.status = "confirming"
            aggregate.height, aggregate.hash = self.height, self.hash

    class Orphaned(Aggregate.Event):
        """Its block is gone; a credit is to be reversed."""

        TOPIC = "deposit_orphaned.v1"

        def apply(self, aggregate: Any) -> None:
            if aggregate.units:
                aggregate.owed.append(["reverse", aggregate.deposit_id])
                aggregate.epoch += 1
            aggregate.status = "orphaned"
            aggregate.units = aggregate.dust = 0

    class Credited(Aggregate.Event):
        """It has the confirmations that the policy asks for."""

        TOPIC = "deposit_credited.v1"
        units: int
        dust: int

        def apply(self, aggregate: Any) -> None:
            aggregate.status = "credited"
            aggregate.units, aggregate.dust = self.units, self.dust
            if self.units:
                aggregate.owed.append(["credit", aggregate.deposit_id])

    class SetAside(Aggregate.Event):
        """It is deep enough but less than the minimum."""

        TOPIC = "deposit_set_aside.v1"

        def apply(self, aggregate: Any) -> None:
            aggregate.status = "small"

    class Quarantined(Aggregate.Event):
        TOPIC = "deposit_quarantined.v1"
        reason: str

        def apply(self, aggregate: Any) -> None:
            aggregate.status, aggregate.reason = "quarantined", self.reason

    class Released(Aggregate.Event):
        """An operator lets it be credited."""

        TOPIC = "deposit_released.v1"
        released_by: str

        def apply(self, aggregate: Any) -> None:
            aggregate.status, aggregate.released = "confirming", True

    class Told(Aggregate.Event):
        """The exchange was told the first of what is owed."""

        TOPIC = "deposit_told.v1"

        def apply(self, aggregate: Any) -> None:
            aggregate.owed.pop(0)

    class CreditRefused(Aggregate.Event):
        """The exchange refused the credit, so there is nothing to reverse either."""

        TOPIC = "deposit_credit_refused.v1"
        reason: str

        def apply(self, aggregate: Any) -> None:
            refused = aggregate.owed.pop(0)[1]
            aggregate.owed = [owed for owed in aggregate.owed if owed[1] != refused]
            aggregate.units = aggregate.dust = 0
            if aggregate.status == "credited":
                aggregate.status = "quarantined"
            aggregate.reason, aggregate.released = self.reason, False

    def __init__(
        self,
        *,
        key: str,
        txid: str,
        account: str,
        address: str,
        sender: str,
        asset: str,
        token: str,
        amount: int,
        height: int,
        hash: str,
    ) -> None:
        self.key = DepositKey(key)
        self.txid = txid
        self.account = account
        self.address = Address(address)
        self.sender = sender
        self.asset = asset
        self.token = TokenId(token) if token else None
        self.amount = amount
        self.height = height
        self.hash = hash
        self.status: Status = "confirming"
        self.epoch = 0
        self.units = 0
        self.dust = 0
        self.reason = ""
        self.released = False
        self.owed: list[list[str]] = []

    @property
    def deposit_id(self) -> str:
        """What the exchange knows it by in this epoch."""
        return self.key if self.epoch == 0 else f"{self.key}#{self.epoch}"

    @classmethod
    def see(cls, transfer: TransferSeen, block: BlockRef, account: str, asset: str) -> "Deposit":
        """Return the record of a transfer that was seen for the first time."""
        return cls._create(
            cls.Created,
            id=deposit_record_id(transfer.key),
            key=transfer.key,
            txid=transfer.txid,
            account=account,
            address=transfer.address,
            sender=transfer.sender or "",
            asset=asset,
            token=transfer.token or "",
            amount=transfer.amount,
            height=block.height,
            hash=block.hash,
        )

    def mined_again(self, block: BlockRef) -> None:
        """Record the block it is in now."""
        self.trigger_event(self.MinedAgain, height=block.height, hash=block.hash)

    def orphan(self) -> None:
        """Record that its block is gone."""
        self.trigger_event(self.Orphaned)

    def credit(self, units: int, dust: int) -> None:
        """Decide that the account gets the ledger units."""
        self.trigger_event(self.Credited, units=units, dust=dust)

    def set_aside(self) -> None:
        """Wait until more small deposits of the asset came to the address."""
        self.trigger_event(self.SetAside)

    def quarantine(self, reason: str) -> None:
        """Wait for an operator."""
        self.trigger_event(self.Quarantined, reason=reason)

    def release(self, released_by: str) -> None:
        """End the quarantine."""
        self.trigger_event(self.Released, released_by=released_by)

    def told(self) -> None:
        """Record that the exchange knows the first of what it was owed."""
        self.trigger_event(self.Told)

    def refuse(self, reason: str) -> None:
        """Record that the exchange refused the credit."""
        self.trigger_event(self.CreditRefused, reason=reason)
