"""Reconciliation while custody runs: what stays different is recorded and pauses the chain."""

import threading
from collections.abc import Callable

import pytest

from tests.custody.test_bus import Bus
from tests.custody.test_cancel import payment_of
from tests.custody.test_deposits import ONE, step
from tests.custody.world import TOKEN, WEI, World, status
from wallet.desk import Desk
from wallet.errors import DifferencesNotAccepted, NodeLagging, WrongChain
from wallet.ports import ExchangeUnavailable
from wallet.reconcile import Difference, LedgerFacts
from wallet.reconciler import LOOKS, Reconciler
from wallet.records.chain_record import DIFFERENCES_MAX, ChainRecord, mark_of


@pytest.fixture
def world() -> World:
    """Ann has ten ETH and some tokens, and a withdrawal of one was paid."""
    world = World()
    world.deposit("ann", 10 * WEI)
    world.deposit("ann", 10**6, TOKEN)
    world.settle(10)
    world.withdraw("ann", ONE)
    world.settle(4)
    return world


def reconciler(
    world: World, ledger: Callable[[], LedgerFacts] | None = None, every_s: float = 60
) -> Reconciler:
    other = world.another_process()
    return Reconciler(
        chain=world.chain,
        book=other.book,
        coins=other.coins,
        keys=world.keys,
        ledger=ledger or world.exchange.facts,
        every_s=every_s,
    )


def no_wait(_: float) -> None:
    """Look again at once."""


def look(found: Reconciler) -> bool:
    """Look and record; return whether it was news."""
    return found.record(found.look(no_wait))


def steal(world: World, amount: int = WEI) -> None:
    """Let coins vanish from the hot wallet in a way that no scan can see."""
    world.chain.state.move(world.keys.hot, "", -amount)


def facts_of(world: World, kind: type[ChainRecord.Event]) -> int:
    return sum(isinstance(event, kind) for _, event in world.custody.books.events_after(0))


def test_what_differs_is_recorded_and_pauses_but_the_chain_is_followed_on(world: World) -> None:
    assert not look(reconciler(world))
    steal(world)
    assert look(reconciler(world))
    shown = Desk(world.custody).status()
    [found] = shown.differences
    assert (found.what, int(found.books) - int(found.other)) == ("ETH at 0xhot", WEI)
    assert shown.paused.startswith("RECONCILIATION_FAILED: 1 differences, the first: ETH at 0xhot")
    assert shown.paused_by == ""
    world.deposit("bob", WEI)
    number = world.withdraw("ann", ONE)
    height = shown.height
    step(world, 5)
    assert Desk(world.custody).status().height == height + 5
    assert (world.free("bob"), status(world, number)) == (0, "approved")
    assert world.paid("0xpayee2") == 0
    Desk(world.custody).resume("op", "it was looked into", shown.mark)
    step(world, 4)
    assert (world.free("bob"), status(world, number)) == (ONE, "completed")


def test_what_was_accepted_by_resuming_pauses_no_more_but_something_else_does(world: World) -> None:
    steal(world)
    found = reconciler(world)
    look(found)
    for _ in range(3):
        assert not look(found)
    world.custody.book.catch_up()
    world.custody.resume("op", "known", world.custody.book.chain_record.mark)
    world.withdraw("ann", ONE)
    step(world, 4)
    assert not look(found), "the same amount is missing, though both sides have moved"
    assert Desk(world.custody).status().paused == ""
    steal(world, 7)
    assert look(found)
    assert Desk(world.custody).status().paused
    assert facts_of(world, ChainRecord.ReconciliationFailed) == 2


def test_nobody_accepts_a_difference_that_came_after_the_look(world: World) -> None:
    desk, found = Desk(world.custody), reconciler(world)
    steal(world)
    look(found)
    seen = desk.status().mark
    steal(world, 7)
    assert look(found)
    for accepted in ("", seen, "0" * 16):
        with pytest.raises(DifferencesNotAccepted, match="1 differences are recorded"):
            desk.resume("op", "seen", accepted)
    assert desk.status().paused
    assert facts_of(world, ChainRecord.Resumed) == 0
    now = desk.status()
    assert now.mark != seen
    desk.resume("op", "seen", now.mark)
    assert not desk.status().paused
    [resumed] = [
        event
        for _, event in world.custody.books.events_after(0)
        if isinstance(event, ChainRecord.Resumed)
    ]
    assert resumed.accepted == now.mark


def test_without_differences_there_is_nothing_to_accept(world: World) -> None:
    desk, found = Desk(world.custody), reconciler(world)
    steal(world)
    look(found)
    steal(world, -WEI)
    look(found)
    shown = desk.status()
    assert (bool(shown.paused), shown.mark, shown.unlisted) == (True, "", 0)
    desk.resume("op", "it is over")
    assert not desk.status().paused


def test_what_was_recorded_before_there_were_marks_has_one(world: World) -> None:
    steal(world)
    look(reconciler(world))
    world.custody.book.catch_up()
    record = world.custody.book.copy(world.custody.book.chain_record)
    [failed] = [
        event
        for _, event in world.custody.books.events_after(0)
        if isinstance(event, ChainRecord.ReconciliationFailed)
    ]
    for name in ("mark", "unlisted"):
        del failed.__dict__[name]
    failed.apply(record)
    assert (record.unlisted, record.mark) == (0, mark_of(failed.differences))
    with pytest.raises(DifferencesNotAccepted):
        record.resume("op", "why", "")
    record.resume("op", "why", record.mark)


def test_when_nothing_differs_any_more_that_is_recorded_and_people_resume(world: World) -> None:
    steal(world)
    found = reconciler(world)
    look(found)
    steal(world, -WEI)
    assert look(found)
    assert not look(found)
    shown = Desk(world.custody).status()
    assert shown.differences == []
    assert shown.paused.startswith("RECONCILIATION_FAILED")
    assert facts_of(world, ChainRecord.ReconciliationPassed) == 1


def test_what_differs_only_at_one_look_is_no_difference(world: World) -> None:
    """A deposit is credited between two of the readings."""
    real, looks = world.exchange.facts, [0]

    def late() -> LedgerFacts:
        looks[0] += 1
        facts = real()
        credited = {} if looks[0] < LOOKS else facts.credited
        return LedgerFacts(credited=credited, completed=facts.completed)

    assert reconciler(world, late).look(no_wait).differences == []
    assert looks[0] == LOOKS
    looks[0] = -LOOKS

    def never() -> LedgerFacts:
        return LedgerFacts(credited={}, completed=real().completed)

    assert len(reconciler(world, never).look(no_wait).differences) == 2


def test_a_withdrawal_that_fails_when_it_is_mined_again_is_found(world: World) -> None:
    """Its first end was believed, and the exchange was told that it is paid."""
    number = world.withdraw("ann", 90_000, "TOK")
    step(world, 4)
    assert status(world, number) == "completed"
    depth = world.chain.tip().height - payment_of(world, number).final.height + 1  # type: ignore[union-attr]
    world.chain.reorganise(depth, drop=1)
    world.chain.state.balances["0xhot", TOKEN] = 0
    step(world, 4)
    assert world.paid("0xpayee2", TOKEN) == 0
    found = [str(each) for each in reconciler(world).look(no_wait).differences]
    assert f"withdrawal-{number} paid: books paid, other failed" in found


@pytest.mark.parametrize("heard", [False, True])
def test_a_withdrawal_that_the_ledger_is_about_to_hear_of_is_no_difference(
    world: World, monkeypatch: pytest.MonkeyPatch, *, heard: bool
) -> None:
    """heard: it was told, but a crash came before the books said so."""
    real = world.exchange.complete

    def lost(*, withdrawal_id: int, txid: str) -> None:
        if heard:
            real(withdrawal_id=withdrawal_id, txid=txid)
        raise ExchangeUnavailable("no answer")

    monkeypatch.setattr(world.exchange, "complete", lost)
    number = world.withdraw("ann", ONE)
    for _ in range(4):
        world.chain.mine()
        world.step()
    assert status(world, number) == ("completed" if heard else "approved")
    payment = payment_of(world, number)
    assert (payment.status, payment.told) == ("paid", False)
    assert reconciler(world).look(no_wait).differences == []


def test_a_withdrawal_that_somebody_else_completed_is_a_difference(world: World) -> None:
    facts = world.exchange.facts()
    forged = LedgerFacts(credited=facts.credited, completed={**facts.completed, 1: "0xother"})
    [found] = reconciler(world, lambda: forged).look(no_wait).differences
    assert (found.what, found.other) == ("withdrawal 1", "0xother")


def test_books_on_another_branch_are_not_compared(world: World) -> None:
    world.chain.reorganise(3)
    with pytest.raises(NodeLagging):
        reconciler(world).look(no_wait)
    step(world, 2)
    assert reconciler(world).look(no_wait).differences == []


def test_a_busy_writer_does_not_lose_the_fact(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process that runs custody saves the chain's record in between, again and again."""
    found = reconciler(world)
    real, left = found._book.save, [3]

    def save(*records: object) -> None:
        if left[0]:
            left[0] -= 1
            step(world)
        real(*records)  # type: ignore[arg-type]

    steal(world)
    report = found.look(no_wait)
    monkeypatch.setattr(found._book, "save", save)
    assert found.record(report)
    assert left[0] == 0
    assert Desk(world.custody).status().paused


def test_of_very_many_differences_the_first_are_kept(world: World) -> None:
    found = reconciler(world)
    report = found.look(no_wait)
    report.differences = [Difference(f"deposit {n}", "1", "0") for n in range(DIFFERENCES_MAX + 50)]
    assert found.record(report)
    assert not found.record(report)
    shown = Desk(world.custody).status()
    assert (len(shown.differences), shown.unlisted) == (DIFFERENCES_MAX, 50)
    assert f"{DIFFERENCES_MAX + 50} differences" in shown.paused
    report.differences[-1] = Difference("deposit other", "1", "0")
    assert found.record(report), "one that is not listed is another one"
    assert Desk(world.custody).status().mark != shown.mark


def test_it_looks_again_and_again_until_it_is_stopped(world: World) -> None:
    stop, looked, real = threading.Event(), [0], world.exchange.facts

    def facts() -> LedgerFacts:
        looked[0] += 1
        if looked[0] == 2:
            raise ExchangeUnavailable("the log cannot be read now")
        if looked[0] == 4:
            stop.set()
        return real()

    reconciler(world, facts, every_s=0.001).run(stop)
    assert looked[0] == 4


def test_what_does_not_pass_ends_it(world: World) -> None:
    def facts() -> LedgerFacts:
        raise WrongChain("another chain")

    with pytest.raises(WrongChain):
        reconciler(world, facts).run(threading.Event())


def test_pausing_and_resuming_over_the_bus_tells_who_and_why(world: World) -> None:
    bus = Bus(world)
    bus.ask({"type": "pause_chain", "reason": "a drill", "idempotency_key": "p"})
    shown = Desk(world.custody).status()
    assert (shown.paused, shown.paused_by) == ("a drill", "command p")
    refused = bus.ask({"type": "resume_chain", "idempotency_key": "r1"})
    assert refused.body["error_code"] == "BAD_REQUEST"
    assert Desk(world.custody).status().paused == "a drill"
    bus.ask({"type": "resume_chain", "reason": "over", "idempotency_key": "r2"})
    [resumed] = [
        event
        for _, event in world.custody.books.events_after(0)
        if isinstance(event, ChainRecord.Resumed)
    ]
    assert (resumed.resumed_by, resumed.reason) == ("command r2", "over")


def test_over_the_bus_differences_are_accepted_by_their_mark(world: World) -> None:
    steal(world)
    look(reconciler(world))
    bus = Bus(world)
    resume = {"type": "resume_chain", "reason": "known"}
    refused = bus.ask({**resume, "idempotency_key": "r1"})
    assert refused.body["error_code"] == "DIFFERENCES_NOT_ACCEPTED"
    mark = Desk(world.custody).status().mark
    assert bus.ask({**resume, "accept": mark, "idempotency_key": "r2"}).body["status"] == "resumed"
    assert not Desk(world.custody).status().paused
