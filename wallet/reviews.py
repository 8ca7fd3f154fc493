"""Officers' approvals of payments: only genuine ones are taken, and old ones stop counting.

Who the officers are, how many a payment needs and how long an approval is good for is the signer's
policy: it is asked each time, so there is one place that says so, and the signer checks all again.
"""

from collections.abc import Callable
from dataclasses import dataclass

from wallet.approvals import Approval, parse_approval
from wallet.book import Book
from wallet.errors import ApprovalExpired, BadApproval, DuplicateApproval
from wallet.policy import Policy
from wallet.ports import Requirement, Signer
from wallet.records.review import Review, review_id
from wallet.types import Intent, IntentId


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewState:
    """approved: officers whose approvals count now; expired: those whose are too old.

    needed: how many have to count, by the signer's policy and by custody's.
    """

    approved: list[str]
    expired: list[str]
    needed: int

    @property
    def is_done(self) -> bool:
        """Whether enough of them count."""
        return len(self.approved) >= self.needed


class Reviews:
    """Those of one chain's payments. clock_ms: since 1970."""

    def __init__(
        self, *, book: Book, signer: Signer, policy: Policy, clock_ms: Callable[[], int]
    ) -> None:
        self._book = book
        self._signer = signer
        self._policy = policy
        self._clock_ms = clock_ms
        self._asked: set[IntentId] = set()

    def recorded(self, intent: Intent) -> dict[str, str]:
        """Return what was handed in by now, by officer, in the order of their names."""
        review = self._book.find(Review, review_id(intent.id))
        return {} if review is None else dict(sorted(review.approvals.items()))

    def state(self, intent: Intent) -> ReviewState:
        """Return who has approved a payment. Raises: PolicyDenied, SignerUnavailable."""
        requirement = self._signer.requirement(intent)
        genuine = self._genuine(intent, requirement)
        expired = [name for name, each in genuine.items() if self._is_old(each, requirement)]
        return ReviewState(
            approved=[name for name in genuine if name not in expired],
            expired=expired,
            needed=max(requirement.needed, self._policy.approvals_needed(intent)),
        )

    def is_done(self, intent: Intent) -> bool:
        """Return whether a payment has the approvals that it needs.

        The signer is asked at first sight, so that nobody waits for what no rule allows, and then
        only when custody's own policy has enough of them.
        Raises: PolicyDenied: the signer's policy does not allow it at all; SignerUnavailable.
        """
        if not self._policy.is_reviewed(intent):
            return True
        enough = len(self.recorded(intent)) >= self._policy.approvals_needed(intent)
        if intent.id in self._asked and not enough:
            return False
        done = self.state(intent).is_done
        self._asked.add(intent.id)
        return done

    def for_signer(self, intent: Intent) -> list[str]:
        """Return what the signer is shown: a bad one among good ones would be denied.

        Of a release nothing: officers approved the payment.
        Raises: PolicyDenied, SignerUnavailable.
        """
        if not self._policy.is_reviewed(intent) or not self.recorded(intent):
            return []
        genuine = self._genuine(intent, self._signer.requirement(intent))
        return [text for name, text in self.recorded(intent).items() if name in genuine]

    def approve(self, intent: Intent, text: str) -> ReviewState:
        """Record an officer's approval; the very same one again changes nothing.

        Raises: BadApproval, ApprovalExpired, DuplicateApproval: nothing was recorded. PolicyDenied,
        SignerUnavailable; RecordChanged: decide again.
        """
        try:
            approval = parse_approval(text)
        except ValueError as error:
            raise BadApproval(str(error)) from error
        name, before = approval.officer, self.recorded(intent)
        if before.get(name) != text:
            self._check(intent, approval)
            known = self._book.find(Review, review_id(intent.id))
            review = Review.open(intent.id) if known is None else self._book.copy(known)
            review.approve(name, text)
            self._book.save(review)
        return self.state(intent)

    def _check(self, intent: Intent, approval: Approval) -> None:
        requirement = self._signer.requirement(intent)
        name, officers, now_ms = approval.officer, requirement.officers, self._clock_ms()
        if name not in officers.keys:
            raise BadApproval(f"{name!r} is no officer of the signer's policy")
        if not officers.is_genuine(approval, intent):
            raise BadApproval(f"{name!r} did not sign exactly this payment")
        if officers.is_from_the_future(approval, now_ms):
            raise BadApproval(f"{name!r} dated it in the future: set the clock and approve again")
        if officers.has_expired(approval, now_ms):
            raise ApprovalExpired(f"{name!r} approved it more than {officers.age_s_max} s ago")
        earlier = self._genuine(intent, requirement).get(name)
        if earlier is not None and not self._is_old(earlier, requirement):
            raise DuplicateApproval(f"{name!r} has approved it already")

    def _genuine(self, intent: Intent, requirement: Requirement) -> dict[str, Approval]:
        """Return what counts for whoever is an officer today."""
        found: dict[str, Approval] = {}
        for name, text in self.recorded(intent).items():
            try:
                approval = parse_approval(text)
            except ValueError:
                continue  # Of an earlier version, without a time: the officer approves again.
            if requirement.officers.is_genuine(approval, intent):
                found[name] = approval
        return found

    def _is_old(self, approval: Approval, requirement: Requirement) -> bool:
        return requirement.officers.has_expired(approval, self._clock_ms())
