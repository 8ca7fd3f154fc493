"""What the exchange's log says of deposits and paid withdrawals: for reconciliation."""

from collections.abc import Collection

from domain.events import DepositCredited, DepositReversed, Event, WithdrawalCompleted
from eventstore.errors import StoreError
from eventstore.store import Log
from wallet.ports import ExchangeUnavailable
from wallet.reconcile import LedgerFacts


class LedgerReader:
    """Reads the log from its first commit, and then only what is new. For one thread."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._read_to = 0
        self._credited: dict[str, int] = {}
        self._completed: dict[int, WithdrawalCompleted] = {}

    def facts(self, assets: Collection[str]) -> LedgerFacts:
        """Return what the log says now; of withdrawals, those of the assets.

        Raises: ExchangeUnavailable: the log cannot be read now.
        """
        try:
            while commits := self._log.read(self._read_to):
                for commit in commits:
                    for event in commit.events:
                        self._fold(event)
                    self._read_to = commit.number
        except StoreError as error:
            raise ExchangeUnavailable(str(error)) from error
        completed = {
            number: each.txid for number, each in self._completed.items() if each.asset in assets
        }
        return LedgerFacts(credited=self._credited, completed=completed)

    def _fold(self, event: Event) -> None:
        if isinstance(event, DepositCredited):
            self._credited[event.deposit_id] = event.amount
        elif isinstance(event, DepositReversed):
            self._credited.pop(event.deposit_id, None)
        elif isinstance(event, WithdrawalCompleted):
            self._completed[event.withdrawal_id] = event
