"""Whatever is asked of the signer, in whatever order, with a power cut between any two steps.

The laws are checked against all signatures that ever left, not against what the signer believes.
"""

import itertools
import os
import tempfile
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tests.signer_world import (
    ETHER,
    GWEI,
    HOT,
    OTHER,
    PAYEE,
    World,
    new_contents,
    payload,
    withdrawal,
)
from wallet.signer import journal, transaction
from wallet.signer.denials import Denied
from wallet.signer.history import DAY_MS
from wallet.signer.records import SignedPayment
from wallet.signer.rules import KeyRef, Request
from wallet.signer.verify import verify
from wallet.types import Intent, IntentId, IntentKind
from wallet.vault.document import Role

PER_DAY = 20 * ETHER
FEES_PER_DAY = ETHER // 10
CHANGES = {'fees_per_day = "500000000000000000"': f'fees_per_day = "{FEES_PER_DAY}"'}
HOT_1 = KeyRef(role=Role.HOT, index=1)
CONTENTS = new_contents()
"""Made once: deriving keys takes longer than everything else here."""

INTENTS = st.builds(
    lambda number, to, amount, release: (
        Intent(id=IntentId(f"w{number}"), kind=IntentKind.RELEASE, chain=withdrawal().chain)
        if release
        else withdrawal(f"w{number}", amount * ETHER, to=to)
    ),
    st.integers(0, 7),
    st.sampled_from([PAYEE, PAYEE, PAYEE, OTHER]),
    st.sampled_from([4, 4, 4, 5, 3]),
    st.sampled_from([False, False, False, True]),
)
NONCES = st.integers(0, 3)
FEES = st.tuples(st.integers(30, 50), st.sampled_from([100_000, 100_000, 1_000_000]))


class PowerCut(Exception):
    """The machine stopped here."""


@dataclass(frozen=True)
class Seen:
    """A signature that left, or may have."""

    intent: Intent
    key: str
    transaction: transaction.Transaction
    raw: bytes
    time_ms: int


class AnySequence(RuleBasedStateMachine):
    """Requests, repeated requests, time and power cuts."""

    def __init__(self) -> None:
        super().__init__()
        self.temporary = tempfile.TemporaryDirectory()
        self.world = World(Path(self.temporary.name), contents=CONTENTS, changes=CHANGES)
        self.seen: list[Seen] = []
        self.asked: list[Request] = []

    def teardown(self) -> None:
        """Let the files go."""
        self.world.journal.close()
        self.temporary.cleanup()

    def ask(self, request: Request) -> None:
        """Ask for a signature and remember it when it comes."""
        self.asked.append(request)
        try:
            signed = self.world.signer.sign(request)
        except Denied:
            return
        self.seen.append(
            Seen(
                request.intent, str(request.key), request.transaction, signed.raw, self.world.now_ms
            )
        )

    @rule(
        intent=INTENTS,
        nonce=NONCES,
        fees=FEES,
        tip=st.integers(1, 20),
        key=st.sampled_from([HOT, HOT, HOT_1]),
    )
    def sign(
        self, intent: Intent, nonce: int, fees: tuple[int, int], tip: int, key: KeyRef
    ) -> None:
        """Ask for anything."""
        price, gas = fees
        parts = {"price": price * GWEI, "gas": gas, "tip": tip * GWEI}
        self.ask(self.world.request(intent, "ann", "ben", nonce=nonce, key=key, **parts))  # type: ignore[arg-type]

    @rule(which=st.integers(0, 1_000))
    def sign_again(self, which: int) -> None:
        """Ask for what was asked before: the same answer, if there was one."""
        if not self.asked:
            return
        request = self.asked[which % len(self.asked)]
        before = {
            seen.raw
            for seen in self.seen
            if seen.transaction == request.transaction and seen.intent == request.intent
        }
        self.ask(request)
        if before and self.seen[-1].transaction == request.transaction:
            assert self.seen[-1].raw in before

    @rule(
        change=st.sampled_from([{"to": OTHER}, {"amount": 5 * ETHER}]), which=st.integers(0, 1_000)
    )
    def sign_the_same_bytes_for_another_intent(self, change: dict[str, object], which: int) -> None:
        """Ask for known bytes under another intent."""
        if self.asked:
            request = self.asked[which % len(self.asked)]
            intent = withdrawal(request.intent.id, **change)  # type: ignore[arg-type]
            self.ask(
                Request(
                    intent=intent,
                    transaction=request.transaction,
                    slot=request.slot,
                    key=request.key,
                )
            )

    @rule(hours=st.sampled_from([-30, 1, 5, 11, 23, 24]))
    def wait(self, hours: int) -> None:
        """Let time pass, or set the clock back."""
        self.world.now_ms += hours * 3_600_000

    @rule()
    def restart(self) -> None:
        """Stop in order and start again."""
        self.world.restart()

    @rule(intent=INTENTS, nonce=NONCES, at=st.integers(1, 4), torn=st.integers(0, 2_000))
    def cut_power(self, intent: Intent, nonce: int, at: int, torn: int) -> None:
        """Cut the power at one of the waits for the disk; what was not on it may be torn."""
        path = self.world.directory / journal.FILE
        on_disk = path.stat().st_size
        calls, sync = itertools.count(1), os.fdatasync

        def maybe_cut(descriptor: int) -> None:
            if next(calls) == at:
                raise PowerCut
            sync(descriptor)

        with mock.patch("os.fdatasync", maybe_cut):
            try:
                self.ask(self.world.request(intent, "ann", "ben", nonce=nonce))
            except PowerCut:
                if at == 1:
                    size = path.stat().st_size
                    os.truncate(path, on_disk + torn % (size - on_disk + 1))
        self.world.restart()

    @invariant()
    def each_payment_excludes_itself(self) -> None:
        """All that was signed for one payment has one slot and pays the same."""
        payments: dict[str, set[tuple[object, ...]]] = defaultdict(set)
        slots: dict[tuple[str, int], set[str]] = defaultdict(set)
        for seen in self.seen:
            if seen.intent.kind is IntentKind.RELEASE:
                continue
            tx = seen.transaction
            payments[seen.intent.id].add((seen.key, tx.nonce, tx.to, tx.value, tx.data))
            slots[seen.key, tx.nonce].add(seen.intent.id)
        assert all(len(ways) == 1 for ways in payments.values())
        assert all(len(ids) == 1 for ids in slots.values())

    @invariant()
    def each_signature_does_what_was_asked(self) -> None:
        """Whatever the asker says that the bytes are for."""
        for seen in self.seen[-1:]:
            own = self.world.signer.address(HOT if seen.key == str(HOT) else HOT_1)
            to, value, data = payload(seen.intent, own)
            tx = seen.transaction
            assert (tx.to or b"", tx.value, tx.data) == (to, value, data)

    @invariant()
    def no_day_is_over_its_limits(self) -> None:
        """Sum every window of 24 hours, over the times at which signatures were made."""
        everything = [record for record, _ in journal.records(self.world.directory)]
        times = [record.time_ms for record in everything]
        assert times == sorted(times)
        found = [record for record in everything if isinstance(record, SignedPayment)]
        first: dict[str, SignedPayment] = {}
        fee_of_slot: dict[str, int] = defaultdict(int)
        fees: list[tuple[int, int]] = []
        for record in found:
            first.setdefault(f"{record.intent.kind} {record.intent.id}", record)
            more = max(int(record.fee_max) - fee_of_slot[record.slot], 0)
            fee_of_slot[record.slot] += more
            fees.append((record.time_ms, more))
        paid = [(record.time_ms, int(record.intent.amount)) for record in first.values()]
        for entries, limit in ((paid, PER_DAY), (fees, FEES_PER_DAY)):
            for end, _ in entries:
                assert sum(a for t, a in entries if end - DAY_MS < t <= end) <= limit

    @invariant()
    def every_signature_is_in_the_journal(self) -> None:
        """And the journal is whole."""
        head = verify(self.world.directory, self.world.keyring.authenticate)
        assert head.records == self.world.signer.position.count
        found = {
            (r.intent.id, r.digest)
            for r, _ in journal.records(self.world.directory)
            if isinstance(r, SignedPayment)
        }
        assert {(s.intent.id, s.transaction.digest.hex()) for s in self.seen} <= found


SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]
TestAnySequence = AnySequence.TestCase
TestAnySequence.settings = settings(
    max_examples=40, stateful_step_count=40, deadline=None, suppress_health_check=SLOW
)


@pytest.mark.soak
def test_any_long_sequence() -> None:
    """The same, longer."""

    class LongSequence(AnySequence):
        pass

    case = LongSequence.TestCase
    case.settings = settings(
        max_examples=1_000, stateful_step_count=80, deadline=None, suppress_health_check=SLOW
    )
    case("runTest").runTest()


def test_these_requests_are_signed_and_denied_both() -> None:
    """The machine above would pass with a signer that always says no: this one does not."""
    with tempfile.TemporaryDirectory() as directory:
        world = World(Path(directory), contents=CONTENTS)
        outcomes = []
        for number in range(6):
            request = world.request(withdrawal(f"w{number}", 4 * ETHER), "ann", "ben", nonce=number)
            try:
                outcomes.append(bool(world.signer.sign(request).raw))
            except Denied:
                outcomes.append(False)
        world.journal.close()
    assert outcomes == [True] * 5 + [False]
