"""How custody reaches the exchange: commands to the engine, approved withdrawals from the log."""

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from secrets import token_bytes
from typing import Any, Final

from api.engine_port import EnginePort
from api.problems import ApiProblem
from api.signatures import Signature
from commands.command import Command
from commands.credit_deposit import CreditDeposit
from commands.errors import EngineError
from commands.reverse_deposit import ReverseDeposit
from commands.settle_withdrawal import CompleteWithdrawal, FailWithdrawal
from domain.errors import Rejected
from domain.events import (
    DepositCredited,
    DepositReversed,
    WithdrawalApproved,
    WithdrawalCompleted,
    WithdrawalRequested,
)
from eventstore.errors import StoreError
from eventstore.store import Log
from wallet.ports import ApprovedWithdrawal, ExchangeRefused, ExchangeUnavailable
from wallet.reconcile import LedgerFacts

ANSWER_S_MAX: Final = 10.0

Send = Callable[[Command], object]
"""Has a command done; raises Rejected, or EngineError and ApiProblem: whether it was is unknown."""


class ExchangeLink:
    """`wallet.ports.Exchange`, on the engine and the log. For one thread.

    Positions are numbers of commits. What a withdrawal is comes from the log as well: requests are
    remembered until they are approved, beginning with the first commit ever.
    """

    def __init__(self, send: Send, log: Log, clock_ms: Callable[[], int]) -> None:
        self._send = send
        self._log = log
        self._clock_ms = clock_ms
        self._read_to = 0
        self._requested: dict[int, WithdrawalRequested] = {}

    def credit(self, *, account: str, asset: str, units: int, deposit_id: str) -> None:
        """Credit a deposit."""
        self._do(
            CreditDeposit(
                time_ms=self._clock_ms(),
                account=account,
                asset=asset,
                amount=units,
                deposit_id=deposit_id,
            )
        )

    def reverse(self, *, deposit_id: str) -> None:
        """Reverse a deposit."""
        self._do(ReverseDeposit(time_ms=self._clock_ms(), deposit_id=deposit_id))

    def complete(self, *, withdrawal_id: int, txid: str) -> None:
        """Record that a withdrawal was paid."""
        self._do(
            CompleteWithdrawal(time_ms=self._clock_ms(), withdrawal_id=withdrawal_id, txid=txid)
        )

    def fail(self, *, withdrawal_id: int, reason: str) -> None:
        """Give the held amount back."""
        printable = "".join(each if each.isprintable() else " " for each in reason)[:256]
        self._do(
            FailWithdrawal(time_ms=self._clock_ms(), withdrawal_id=withdrawal_id, reason=printable)
        )

    def approved(self, after: int) -> tuple[Sequence[ApprovedWithdrawal], int]:
        """Return withdrawals approved in commits after a number."""
        found: list[ApprovedWithdrawal] = []
        try:
            while commits := self._log.read(self._read_to):
                for commit in commits:
                    for event in commit.events:
                        if isinstance(event, WithdrawalRequested):
                            self._requested[event.withdrawal_id] = event
                        elif isinstance(event, WithdrawalApproved):
                            request = self._requested.pop(event.withdrawal_id)
                            if commit.number > after:
                                found.append(_approved(request))
                    self._read_to = commit.number
        except StoreError as error:
            raise ExchangeUnavailable(str(error)) from error
        return found, self._read_to

    def _do(self, command: Command) -> None:
        try:
            self._send(command)
        except Rejected as refusal:
            raise ExchangeRefused(refusal.code, refusal.detail) from refusal
        except (EngineError, ApiProblem, TimeoutError) as error:
            raise ExchangeUnavailable(f"{type(error).__name__}: {error}") from error


def _approved(request: WithdrawalRequested) -> ApprovedWithdrawal:
    return ApprovedWithdrawal(
        withdrawal_id=request.withdrawal_id,
        account=request.account,
        asset=request.asset,
        amount=request.amount,
        address=request.address,
    )


def ledger_facts(log: Log, assets: set[str]) -> LedgerFacts:
    """Return what the log says of the assets' deposits and paid withdrawals. Raises: StoreError."""
    credited: dict[str, int] = {}
    completed: dict[int, str] = {}
    for commit in log.read_all():
        for event in commit.events:
            if isinstance(event, DepositCredited):
                credited[event.deposit_id] = event.amount
            elif isinstance(event, DepositReversed):
                credited.pop(event.deposit_id, None)
            elif isinstance(event, WithdrawalCompleted) and event.asset in assets:
                completed[event.withdrawal_id] = event.txid
    return LedgerFacts(credited=credited, completed=completed)


class RemoteEngine:
    """Sends commands to an engine in another process, from any thread; has a loop of its own."""

    def __init__(self, engine: EnginePort) -> None:
        self._engine = engine
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="engine-link")
        self._thread.start()
        self._wait(self._engine.open())

    def send(self, command: Command) -> None:
        """Have a command done. Raises: Rejected, EngineError, ApiProblem, TimeoutError."""
        outcome = self._wait(self._submit(command))
        if isinstance(outcome, Rejected):
            raise outcome

    def close(self) -> None:
        """Give the connection up."""
        self._wait(self._engine.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _submit(self, command: Command) -> object:
        signature = Signature(token_bytes(32), time.time_ns() // 1_000_000)
        result = await self._engine.submit([command], key="", signature=signature)
        if isinstance(result, EngineError | ApiProblem):
            raise result
        return result[0]

    def _wait(self, coroutine: Coroutine[Any, Any, object]) -> object:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(ANSWER_S_MAX)
