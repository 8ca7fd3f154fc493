"""The engine's process is killed at random moments; nothing acknowledged is lost or done twice."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from random import Random

import pytest

from audit.verify import verify
from domain.events import OrderPlaced, RequestAnswered
from domain.snapshot import state_hash
from eventstore.recovery import recover
from eventstore.sqlite import open_sqlite

ROOT = Path(__file__).resolve().parents[2]
CHILD = [sys.executable, "-m", "tests.simulation.child"]
KILLS = 50
SOAK_KILLS = 500
ORDERS_PER_SUBMISSION = 10
WAIT_S_MAX = 30


class Load:
    """What was sent, and what was acknowledged. Orders are drawn once and sent until answered."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.orders: list[list[object]] = []
        self.waiting: set[int] = set()
        self.answers: dict[int, tuple[int, str]] = {}

    def next_submission(self) -> str:
        """Draw new orders."""
        first = len(self.orders)
        for number in range(first, first + ORDERS_PER_SUBMISSION):
            self.orders.append(
                [
                    number,
                    self.random.choice(("alice", "bob", "carol")),
                    self.random.choice(("buy", "sell")),
                    self.random.randint(95, 105),
                    self.random.randint(1, 3),
                ]
            )
            self.waiting.add(number)
        return json.dumps(self.orders[first:])

    def again(self) -> list[str]:
        """Return everything not acknowledged, as submissions: it may or may not be recorded."""
        numbers = sorted(self.waiting)
        return [
            json.dumps([self.orders[each] for each in numbers[first : first + 10]])
            for first in range(0, len(numbers), 10)
        ]

    def acknowledged(self, line: str) -> None:
        """Note an answer; one that was given before must be the same."""
        for number, position, code in json.loads(line):
            assert self.answers.setdefault(number, (position, code)) == (position, code)
            self.waiting.discard(number)


def _start(directory: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*CHILD, str(directory)], cwd=ROOT, text=True, stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip


def _run_and_kill(directory: Path, load: Load) -> None:
    """Start, send what is unanswered and new orders, and kill without warning."""
    child = _start(directory)
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        if load.random.random() < 0.2:
            time.sleep(load.random.random() * 0.4)  # Killed while it starts or recovers.
        else:
            assert child.stdout.readline() == "ready\n"
            deadline = time.monotonic() + load.random.random() * 0.06
            pending = load.again()
            while time.monotonic() < deadline:
                child.stdin.write((pending.pop(0) if pending else load.next_submission()) + "\n")
                child.stdin.flush()
                time.sleep(0.0005)
    finally:
        child.kill()
        answers, _ = child.communicate(timeout=WAIT_S_MAX)
    for line in answers.splitlines(keepends=True):
        if line.startswith("[") and line.endswith("\n"):
            load.acknowledged(line)


def _run_to_the_end(directory: Path, load: Load) -> None:
    """Start, send what is unanswered, and let it end: it leaves a snapshot."""
    child = _start(directory)
    answers, _ = child.communicate("".join(each + "\n" for each in load.again()), WAIT_S_MAX)
    assert child.returncode == 0
    for line in answers.splitlines()[1:]:
        load.acknowledged(line)
    assert not load.waiting


def _check_log(directory: Path, load: Load) -> None:
    """Everything acknowledged is in the log once, at the place that was said; and it verifies."""
    answered: dict[str, tuple[int, str]] = {}
    placed: list[str] = []
    with open_sqlite(directory, create=False) as store:
        for commit in store.log.read_all():
            for event in commit.events:
                if isinstance(event, RequestAnswered):
                    assert event.key not in answered, f"{event.key} was done twice"
                    answered[event.key] = (0 if event.code else event.position, event.code)
                elif isinstance(event, OrderPlaced):
                    placed.append(event.client_order_id)
        assert len(placed) == len(set(placed)), "an order was placed twice"
        assert answered == {f"k{number}": answer for number, answer in load.answers.items()}
        assert set(placed) == {key for key, (_, code) in answered.items() if not code}
        report = verify(store)
        assert report.ok, report.problems
        whole = recover(store.log, None).exchange
        shortened = recover(store.log, store.snapshots).exchange
        assert state_hash(whole) == state_hash(shortened) == report.state_hash


def _crash_often(directory: Path, kills: int) -> None:
    seed = int(os.environ.get("FOLDEX_SEED", str(time.time_ns() % 1_000_000)))
    print(f"seed {seed} (repeat with FOLDEX_SEED={seed})")
    load = Load(Random(seed))
    for kill in range(kills):
        _run_and_kill(directory, load)
        if kill % 10 == 9:
            _run_to_the_end(directory, load)
    _run_to_the_end(directory, load)
    print(f"{kills} kills, {len(load.answers)} orders answered")
    _check_log(directory, load)
    assert len(load.answers) > kills


def test_nothing_acknowledged_is_lost_or_doubled_whenever_the_process_is_killed(
    tmp_path: Path,
) -> None:
    _crash_often(tmp_path, KILLS)


@pytest.mark.soak
def test_the_same_for_many_more_kills(tmp_path: Path) -> None:
    _crash_often(tmp_path, SOAK_KILLS)
