"""Withdrawals as the exchange's log has them: what each is, and what became of it."""

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
        self._approved_in: dict[int, int] = {}
        """Of each withdrawal that is approved now: the number of the commit."""

    def find(self, withdrawal_id: int) -> KnownWithdrawal | None:
        """Return a withdrawal as the log has it now. Raises: ExchangeUnavailable."""
        self._follow()
        return self._known.get(withdrawal_id)

    def approved(self, after: int) -> list[ApprovedWithdrawal]:
        """Return what was approved in commits after a number and is not settled since, in order.

        Asked again it answers the same: whoever asked may have failed before it could record what
        it was told. Raises: ExchangeUnavailable.
        """
        self._follow()
        return [
            self._known[withdrawal_id].withdrawal
            for withdrawal_id, number in self._approved_in.items()
            if number > after
        ]

    def _follow(self) -> None:
        """Read what is new. Raises: ExchangeUnavailable: the log cannot be read now."""
        try:
            while commits := self._log.read(self.read_to):
                for commit in commits:
                    for event in commit.events:
                        self._fold(event, commit.number)
                    self.read_to = commit.number
        except StoreError as error:
            raise ExchangeUnavailable(str(error)) from error

    def _fold(self, event: Event, number: int) -> None:
        if isinstance(event, WithdrawalRequested):
            self._known[event.withdrawal_id] = KnownWithdrawal("requested", _payment(event))
        elif (status := _STATUS.get(type(event))) is not None:
            withdrawal_id: int = event.withdrawal_id  # type: ignore[attr-defined]
            known = KnownWithdrawal(status, self._known[withdrawal_id].withdrawal)
            self._known[withdrawal_id] = known
            if status == "approved":
                self._approved_in[withdrawal_id] = number
            else:
                self._approved_in.pop(withdrawal_id, None)


def _payment(request: WithdrawalRequested) -> ApprovedWithdrawal:
    return ApprovedWithdrawal(
        withdrawal_id=request.withdrawal_id,
        account=request.account,
        asset=request.asset,
        amount=request.amount,
        address=request.address,
    )
