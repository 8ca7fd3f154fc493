"""The one shell around the core: takes commands, decides, commits them in groups, acknowledges.

Two threads. The decider takes what is waiting, decides and applies it; the committer writes the
events of the last batch as one commit and only then answers their senders. So while one commit is
being written the next is decided, and grows; and nothing is acknowledged before it is durable.
"""

import gc
import logging
import queue
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from time import perf_counter_ns
from typing import Final

import msgspec

from commands.command import Command
from commands.errors import (
    CommandNotRecorded,
    EngineError,
    EngineStopped,
    OutcomeUnknown,
    Overloaded,
)
from commands.handover import Batch, Done, Handover
from commands.observer import EngineObserver
from commands.receipt import Receipt
from commands.registry import Outcome, handle
from domain.errors import Rejected
from domain.events import Event, WriterStarted
from domain.exchange import Exchange
from domain.snapshot import dump
from eventstore.recovery import recover
from eventstore.snapshots import Snapshot, SnapshotStore, snapshot_of
from eventstore.store import AppendFailed, Fenced, Log


class EngineLimits(msgspec.Struct, frozen=True, kw_only=True):
    """queued_commands: waiting at most, more are refused. commit_commands, commit_events: a batch
    is closed once it has this many; one submission is never split.
    """

    queued_commands: int = 20_000
    commit_commands: int = 1_000
    commit_events: int = 4_000


_log = logging.getLogger(__name__)
_DEFAULT_LIMITS: Final = EngineLimits()
_NOBODY: Final = EngineObserver()
SWITCH_S: Final = 0.000_3
"""How long a thread may keep the interpreter while another waits for it. Python's own 5 ms would be
added to the latency of each commit: the committer comes back from the disk while the decider runs.
"""


class Engine:
    """The single writer of an exchange. `failed` says why it stopped by itself, if it did.

    started_ms: when it had shut out the writer before it, by its clock.
    """

    def __init__(
        self,
        log: Log,
        snapshots: SnapshotStore,
        *,
        clock_ms: Callable[[], int],
        writer: str,
        limits: EngineLimits = _DEFAULT_LIMITS,
        observer: EngineObserver = _NOBODY,
    ) -> None:
        self.exchange = Exchange()
        self.failed: BaseException | None = None
        self.started_ms = 0
        self._log = log
        self._snapshots = snapshots
        self._clock_ms = clock_ms
        self._writer = writer
        self._limits = limits
        self._observer = observer
        self._waiting: deque[tuple[Sequence[Command], Done]] = deque()
        self._waiting_commands = 0
        self._changed = threading.Condition()
        self._running = False
        self._decided = Handover()
        self._decider = threading.Thread(target=self._decide_all, name="decider", daemon=True)
        self._committer = threading.Thread(target=self._commit_all, name="committer", daemon=True)

    def __enter__(self) -> "Engine":
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    @property
    def queue_depth(self) -> int:
        """Commands that wait to be decided."""
        return self._waiting_commands

    @property
    def running(self) -> bool:
        """Whether commands are taken."""
        return self._running

    @property
    def alive(self) -> bool:
        """Whether nothing has ended that is needed while commands are taken."""
        threads = (self._decider, self._committer)
        return not self._running or all(thread.is_alive() for thread in threads)

    def start(self) -> None:
        """Recover the state from the store, shut out the writer before us, take commands.

        Raises: StoreError: damaged, newer than this version, or another writer took over.
        """
        progress = self._observer.recovering
        self.exchange = recover(self._log, self._snapshots, progress=progress).exchange
        started = WriterStarted(max(self._clock_ms(), self.exchange.time_ms), self._writer)
        self._log.append([started], started.time_ms)
        self.exchange.apply(started)
        self.started_ms = self._clock_ms()
        gc.freeze()
        sys.setswitchinterval(SWITCH_S)
        self._running = True
        self._decider.start()
        self._committer.start()

    def stop(self, *, snapshot: bool = True) -> None:
        """Take no more commands, finish those taken, and keep a snapshot for a quick start."""
        with self._changed:
            was_running, self._running = self._running, False
            self._changed.notify()
        if self._decider.ident is not None:
            self._decider.join()
            self._committer.join()
        if was_running and snapshot and self.failed is None:
            self._snapshots.save(self.snapshot())

    def snapshot(self) -> Snapshot:
        """Return the state as of the last commit. Only while the engine is stopped."""
        return snapshot_of(self.exchange.position, self._log.head, dump(self.exchange))

    def submit(self, commands: Sequence[Command], done: Done) -> None:
        """Queue commands, in order, as one submission; `done` gets their outcomes when durable.

        Raises: Overloaded: the queue is full; EngineStopped. Then nothing was queued.
        """
        with self._changed:
            if not self._running:
                raise EngineStopped
            if self._waiting_commands + len(commands) > self._limits.queued_commands:
                raise Overloaded
            self._waiting.append((commands, done))
            self._waiting_commands += len(commands)
            self._changed.notify()

    def execute(self, command: Command, timeout_s: float = 5.0) -> Receipt:
        """Submit one command and wait until it is durable.

        Raises: Rejected: refused, nothing changed; EngineError: Overloaded, EngineStopped, or
        OutcomeUnknown when no answer came in time.
        """
        answers: queue.SimpleQueue[list[Outcome] | EngineError] = queue.SimpleQueue()
        self.submit([command], answers.put)
        try:
            answer = answers.get(timeout=timeout_s)
        except queue.Empty:
            raise OutcomeUnknown from None
        if isinstance(answer, EngineError):
            raise answer
        outcome = answer[0]
        if isinstance(outcome, Rejected):
            raise outcome
        return outcome

    # The decider's thread.

    def _decide_all(self) -> None:
        while self._decide_waiting():
            pass
        self._decided.end()

    def _decide_waiting(self) -> bool:
        """Decide what waits, or comes first; return False when stopped and all is decided."""
        with self._changed:
            while self._running and not self._waiting:
                self._changed.wait()
            if not self._waiting or self.failed is not None:
                return False
        batch = self._decided.take_back() or Batch()
        before = batch.commands
        while self._waiting and not self._is_full(batch):
            commands, done = self._waiting.popleft()
            outcomes: list[Outcome] = []
            batch.answers.append((commands, outcomes, done))
            batch.commands += len(commands)
            try:
                self._decide(commands, outcomes, batch.events)
            except Exception as error:  # noqa: BLE001  whatever it is, the state may be half applied
                self._fail(error)
                self._refuse(batch, CommandNotRecorded())
                return False
        with self._changed:
            self._waiting_commands -= batch.commands - before
        self._decided.put(batch, still_open=not self._is_full(batch))
        return True

    def _is_full(self, batch: Batch) -> bool:
        limits = self._limits
        return batch.commands >= limits.commit_commands or len(batch.events) >= limits.commit_events

    def _decide(
        self, commands: Sequence[Command], outcomes: list[Outcome], events: list[Event]
    ) -> None:
        """Decide and apply one submission; its events and outcomes are added to the lists."""
        exchange = self.exchange
        apply_all = exchange.apply_all
        for command in commands:
            caused, outcome = handle(exchange, command)
            apply_all(caused)
            events += caused
            outcomes.append(outcome)

    # The committer's thread.

    def _commit_all(self) -> None:
        while (batch := self._decided.take()) is not None:
            if self.failed is None:
                self._commit(batch)
            else:
                self._refuse(batch, EngineStopped())
        for _, done in self._drain_waiting():
            _tell(done, EngineStopped())

    def _commit(self, batch: Batch) -> None:
        began_ns = perf_counter_ns()
        try:
            if batch.events:
                self._log.append(batch.events, batch.events[-1].time_ms)
        except Exception as error:  # noqa: BLE001  whatever it is, memory is ahead of the log
            self._fail(error)
            self._refuse(batch, _after_failed_append(error))
            return
        append_ns = perf_counter_ns() - began_ns
        for _, outcomes, done in batch.answers:
            _tell(done, outcomes)
        _tell(self._observer.committed, batch.answers, len(batch.events), append_ns)

    def _refuse(self, batch: Batch, error: EngineError) -> None:
        for commands, _, done in batch.answers:
            _tell(done, error)
            _tell(self._observer.unanswered, commands, error)

    def _drain_waiting(self) -> list[tuple[Sequence[Command], Done]]:
        with self._changed:
            waiting = list(self._waiting)
            self._waiting.clear()
            self._waiting_commands = 0
        return waiting

    def _fail(self, error: BaseException) -> None:
        """Stop for good: memory may be ahead of the log now. Only a restart recovers."""
        with self._changed:
            self.failed = self.failed or error
            self._running = False
            self._changed.notify()


def _tell(told: Callable[..., None], *news: object) -> None:
    """Call a sender or the observer. One that fails must not keep the others from their news."""
    try:
        told(*news)
    except Exception:  # noqa: BLE001  it is the other's, and is logged with its traceback
        _log.exception("somebody could not be told what became of commands")


def _after_failed_append(error: Exception) -> EngineError:
    """Return what the senders of a batch learn: only a store that is sure says "not recorded"."""
    sure = isinstance(error, AppendFailed | Fenced)
    return CommandNotRecorded() if sure else OutcomeUnknown()
