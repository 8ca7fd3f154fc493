"""Withdrawals as the exchange's log has them: what each is, and what became of it."""

from collections.abc import Iterator
from typing import Final

from domain.events import (
    Event,
    WithdrawalApproved,
    WithdrawalCompleted,
    WithdrawalFailed,
    WithdrawalRejected,
    WithdrawalRequested,
)
from eventstore.errors import StoreError
from eventstore.store import Log
from wallet.ports import ApprovedWithdrawal, ExchangeUnavailable, KnownWithdrawal

_STATUS: Final[dict[type[Event], str]] = {
    WithdrawalApproved: "approved",
    WithdrawalRejected: "rejected",
    WithdrawalCompleted: "completed",
    WithdrawalFailed: "failed",
}


class WithdrawalLog:
    """Every withdrawal since the first commit. For one thread. read_to: the last commit read."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self.read_to = 0
        self._known: dict[int, KnownWithdrawal] = {}

    def find(self, withdrawal_id: int) -> KnownWithdrawal | None:
        """Return a withdrawal as the log has it now. Raises: ExchangeUnavailable."""
        for _ in self.follow():
            pass
        return self._known.get(withdrawal_id)

    def follow(self) -> Iterator[tuple[int, KnownWithdrawal]]:
        """Yield what became of withdrawals in new commits, with the commits' numbers.

        Raises: ExchangeUnavailable: the log cannot be read now.
        """
        try:
            while commits := self._log.read(self.read_to):
                for commit in commits:
                    changed = [each for each in map(self._fold, commit.events) if each is not None]
                    self.read_to = commit.number
                    yield from ((commit.number, each) for each in changed)
        except StoreError as error:
            raise ExchangeUnavailable(str(error)) from error

    def _fold(self, event: Event) -> KnownWithdrawal | None:
        if isinstance(event, WithdrawalRequested):
            known = KnownWithdrawal("requested", _payment(event))
        elif (status := _STATUS.get(type(event))) is not None:
            number: int = event.withdrawal_id  # type: ignore[attr-defined]
            known = KnownWithdrawal(status, self._known[number].withdrawal)
        else:
            return None
        self._known[known.withdrawal.withdrawal_id] = known
        return known


def _payment(request: WithdrawalRequested) -> ApprovedWithdrawal:
    return ApprovedWithdrawal(
        withdrawal_id=request.withdrawal_id,
        account=request.account,
        asset=request.asset,
        amount=request.amount,
        address=request.address,
    )
