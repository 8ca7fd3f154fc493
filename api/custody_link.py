"""How custody reaches the exchange: commands to the engine, approved withdrawals from the log."""

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from secrets import token_bytes
from typing import Any, Final, TypeVar

from api.engine_port import EnginePort
from api.problems import ApiProblem
from api.signatures import Signature
from api.withdrawal_log import WithdrawalLog
from commands.command import Command
from commands.credit_deposit import CreditDeposit
from commands.errors import EngineError
from commands.receipt import Receipt
from commands.registry import Outcome
from commands.request_withdrawal import RequestWithdrawal
from commands.reverse_deposit import ReverseDeposit
from commands.settle_withdrawal import CompleteWithdrawal, FailWithdrawal, RejectWithdrawal
from domain.errors import Rejected
from eventstore.store import Log
from projections.database import ViewsMissing, ViewsUnavailable
from projections.views import Views
from wallet.errors import ExchangeAway
from wallet.ports import (
    ApprovedWithdrawal,
    ExchangeRefused,
    ExchangeUnavailable,
    KnownWithdrawal,
)

ANSWER_S_MAX: Final = 10.0

TEXT_CHARS_MAX: Final = 256
BUS_SCOPE: Final = "bus/withdraw"
"""Whose keys those of `withdraw` are: no account's, as no account's name has a slash."""

Answer = TypeVar("Answer")

Send = Callable[[Command], Receipt]
"""Has a command done; raises Rejected, or EngineError and ApiProblem: whether it was is unknown."""
Listed = Callable[[str], int | None]
"""Returns the decimals of a listed asset. Raises: ExchangeAway."""


def listed_in(views: Views) -> Listed:
    """Return what looks for assets in the views."""

    def decimals(asset: str) -> int | None:
        try:
            found = {each.asset: each.decimals for each in views.assets()}
        except (ViewsMissing, ViewsUnavailable) as error:
            raise ExchangeAway(str(error)) from error
        return found.get(asset)

    return decimals


class ExchangeLink:
    """`wallet.ports.Exchange` and `Requests`, on the engine and the log. For one thread.

    Positions are numbers of commits. What a withdrawal is comes from the log as well.
    """

    def __init__(self, send: Send, log: Log, clock_ms: Callable[[], int], listed: Listed) -> None:
        self.decimals = listed
        self._send = send
        self._withdrawals = WithdrawalLog(log)
        self._clock_ms = clock_ms

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
        self._do(
            FailWithdrawal(
                time_ms=self._clock_ms(), withdrawal_id=withdrawal_id, reason=_one_line(reason)
            )
        )

    def approved(self, after: int) -> tuple[Sequence[ApprovedWithdrawal], int]:
        """Return withdrawals approved in commits after a number."""
        return self._withdrawals.approved(after), self._withdrawals.read_to

    def request(
        self, *, account: str, asset: str, units: int, address: str, request_id: str
    ) -> int:
        """Request a withdrawal. The key is the exchange's, too: it is good for one account only."""
        receipt = self._do(
            RequestWithdrawal(
                time_ms=self._clock_ms(),
                scope=BUS_SCOPE,
                idempotency_key=request_id,
                account=account,
                asset=asset,
                amount=units,
                address=address,
                request_id=request_id,
            )
        )
        return receipt.withdrawal_id

    def reject(self, *, withdrawal_id: int, rejected_by: str, reason: str) -> None:
        """Reject a requested withdrawal."""
        self._do(
            RejectWithdrawal(
                time_ms=self._clock_ms(),
                withdrawal_id=withdrawal_id,
                rejected_by=rejected_by,
                reason=_one_line(reason),
            )
        )

    def find(self, withdrawal_id: int) -> KnownWithdrawal | None:
        """Return a withdrawal as the log has it."""
        return self._withdrawals.find(withdrawal_id)

    def _do(self, command: Command) -> Receipt:
        try:
            return self._send(command)
        except Rejected as refusal:
            raise ExchangeRefused(refusal.code, refusal.detail) from refusal
        except (EngineError, ApiProblem, TimeoutError) as error:
            raise ExchangeUnavailable(f"{type(error).__name__}: {error}") from error


def _one_line(text: str) -> str:
    """Return a text as the exchange takes one."""
    return "".join(each if each.isprintable() else " " for each in text)[:TEXT_CHARS_MAX]


class RemoteEngine:
    """Sends commands to an engine in another process, from any thread; has a loop of its own."""

    def __init__(self, engine: EnginePort) -> None:
        self._engine = engine
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="engine-link")
        self._thread.start()
        self._wait(self._engine.open())

    def send(self, command: Command) -> Receipt:
        """Have a command done. Raises: Rejected, EngineError, ApiProblem, TimeoutError."""
        outcome = self._wait(self._submit(command))
        if isinstance(outcome, Rejected):
            raise outcome
        return outcome

    def close(self) -> None:
        """Give the connection up."""
        self._wait(self._engine.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _submit(self, command: Command) -> Outcome:
        signature = Signature(token_bytes(32), time.time_ns() // 1_000_000)
        result = await self._engine.submit([command], key="", signature=signature)
        if isinstance(result, EngineError | ApiProblem):
            raise result
        return result[0]

    def _wait(self, coroutine: Coroutine[Any, Any, Answer]) -> Answer:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(ANSWER_S_MAX)
