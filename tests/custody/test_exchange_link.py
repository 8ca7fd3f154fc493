"""What custody is told of the exchange's log: nothing of it is lost when something fails."""

from collections.abc import Iterator

import pytest

from api.custody_link import ExchangeLink
from commands.command import Command
from commands.engine import Engine
from commands.request_withdrawal import RequestWithdrawal
from commands.settle_withdrawal import ApproveWithdrawal, CompleteWithdrawal, FailWithdrawal
from eventstore.errors import StoreError
from eventstore.memory import open_memory
from eventstore.store import Commit, Log
from tests.engine_world import open_engine
from tests.given import NOW_MS
from wallet.ports import ExchangeUnavailable


class Exchange:
    """An engine, and the link to it that custody has."""

    def __init__(self) -> None:
        store = open_memory()
        self.engine: Engine = open_engine(store)
        self.log: Log = store.log
        self.link = self.linked(self.log)

    def linked(self, log: Log) -> ExchangeLink:
        return ExchangeLink(self.engine.execute, log, lambda: NOW_MS, lambda asset: 8)

    def do(self, command: Command) -> None:
        self.engine.execute(command)

    def approve(self, request_id: str) -> int:
        """Have a withdrawal requested and approved; return its number."""
        receipt = self.engine.execute(
            RequestWithdrawal(
                time_ms=NOW_MS, account="alice", asset="BTC", amount=1, address="somewhere",
                request_id=request_id,
            )
        )  # fmt: skip
        number: int = receipt.withdrawal_id
        self.do(ApproveWithdrawal(time_ms=NOW_MS, withdrawal_id=number, approved_by="olga"))
        return number


@pytest.fixture
def exchange() -> Iterator[Exchange]:
    made = Exchange()
    yield made
    made.engine.stop()


def approved(link: ExchangeLink, after: int = 0) -> list[int]:
    return [each.withdrawal_id for each in link.approved(after)[0]]


def test_approved_withdrawals_are_told_until_they_are_recorded(exchange: Exchange) -> None:
    first = exchange.approve("1")
    assert approved(exchange.link) == [first]
    # Custody could not save that it knows, as somebody else changed the same record.
    assert approved(exchange.link) == [first]
    _, recorded = exchange.link.approved(0)
    assert approved(exchange.link, recorded) == []
    second = exchange.approve("2")
    assert approved(exchange.link, recorded) == [second]


class FailsOnce(Log):
    """Cannot be read any further, once, after the first page."""

    reads = 0

    def read(self, *arguments: int, **more: object) -> list[Commit]:
        self.reads += 1
        if self.reads == 2:
            raise StoreError("the connection was cut")
        return super().read(*arguments, **more)  # type: ignore[arg-type]


def test_a_log_that_fails_on_the_way_hides_no_approved_withdrawal(exchange: Exchange) -> None:
    number = exchange.approve("1")
    link = exchange.linked(FailsOnce(exchange.log.recorder))
    with pytest.raises(ExchangeUnavailable, match="cut"):
        link.approved(0)
    assert approved(link) == [number]


def test_what_was_settled_before_custody_knew_of_it_is_not_to_be_paid(exchange: Exchange) -> None:
    failed, completed, left = (exchange.approve(each) for each in "123")
    exchange.do(FailWithdrawal(time_ms=NOW_MS, withdrawal_id=failed, reason="by hand"))
    exchange.do(CompleteWithdrawal(time_ms=NOW_MS, withdrawal_id=completed, txid="0xhand"))
    assert approved(exchange.link) == [left]
