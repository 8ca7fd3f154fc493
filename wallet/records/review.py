"""The review of a withdrawal: which officers approved it, with their signatures."""

from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from eventsourcing.domain import Aggregate

from wallet.types import IntentId


def review_id(intent: IntentId) -> UUID:
    """Return the id of a payment's review."""
    return uuid5(NAMESPACE_URL, f"foldex:review:{intent}")


class Review(Aggregate):
    """approvals: by officer, as the signer checks them."""

    TOPIC = "review"

    class Created(Aggregate.Created):
        TOPIC = "review_opened.v1"
        intent_id: str

    class Approved(Aggregate.Event):
        TOPIC = "review_approved.v1"
        officer: str
        approval: str

        def apply(self, aggregate: Any) -> None:
            aggregate.approvals[self.officer] = self.approval

    def __init__(self, intent_id: str) -> None:
        self.intent_id = IntentId(intent_id)
        self.approvals: dict[str, str] = {}

    @classmethod
    def open(cls, intent: IntentId) -> "Review":
        """Return a review without approvals."""
        return cls._create(cls.Created, id=review_id(intent), intent_id=intent)

    def approve(self, officer: str, approval: str) -> None:
        """Record an officer's approval; the same again changes nothing."""
        if self.approvals.get(officer) != approval:
            self.trigger_event(self.Approved, officer=officer, approval=approval)
