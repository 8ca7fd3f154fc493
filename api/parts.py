"""The parts of a process that are watched: each says whether it lives and whether it is ready.

What takes time is done by `Asked.ask`, on a thread of its own; everything else answers at once.
"""

import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final, Protocol

from api.engine_port import EnginePort
from api.lag import LagClock
from api.metrics import Reading
from commands.engine import Engine
from domain.order_book import BookSide, Level
from eventstore.store import Store

if TYPE_CHECKING:
    from eventstore.publisher import Publisher


STALE_S: Final = 5.0
"""After this long without an answer a database or a loop counts as not answering."""


class Part:
    """Something that a process needs. `name`: for people and metrics."""

    def __init__(self, name: str) -> None:
        self.name = name

    def dead(self) -> str:
        """Return why this never works again without a restart; "" while it does."""
        return ""

    def unready(self) -> str:
        """Return what is not as it should be now; "" when all is well."""
        return self.dead()

    def readings(self) -> Iterator[Reading]:
        """Return what metrics want to know."""
        yield from ()


class Asked(Part):
    """A part that must be asked, and may not answer."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._answered_s: float | None = None
        self._error = ""
        self._began_s = time.monotonic()
        self.asked_once = threading.Event()

    def ask(self) -> None:
        """Find out how it is. May raise: then it does not answer."""
        raise NotImplementedError

    def try_to_ask(self) -> Exception | None:
        """Ask; return what was raised, if anything was."""
        failure = None
        try:
            self.ask()
        except Exception as error:  # noqa: BLE001  whatever it is, there was no answer
            failure = error
        # Its text may quote addresses and users: the reports tell only its type.
        self._error = type(failure).__name__ if failure else ""
        if failure is None:
            self._answered_s = time.monotonic()
        self.asked_once.set()
        return failure

    def unready(self) -> str:
        """Return that there was no answer, or what else is wrong."""
        dead = self.dead()
        if dead:
            return dead
        if self._error:
            return f"it does not answer ({self._error})"
        since_s = time.monotonic() - (self._answered_s or self._began_s)
        if self._answered_s is None or since_s > STALE_S:
            return f"no answer for {since_s:.0f} s"
        return self.behind()

    def behind(self) -> str:
        """Return what is wrong though there was an answer."""
        return ""


class Failing(Protocol):
    """Something that says why it ended by itself, if it did."""

    @property
    def failed(self) -> BaseException | None: ...


class ThreadPart(Part):
    """A thread that ends when it fails."""

    def __init__(self, name: str, thread: Failing) -> None:
        super().__init__(name)
        self._thread = thread

    def dead(self) -> str:
        """Return why it ended."""
        return ended(self._thread)


class StandbyPart(Part):
    """The right to write, which only one process has."""

    def __init__(self) -> None:
        super().__init__("writer")
        self.writes = False

    def unready(self) -> str:
        """Return that another process has it."""
        return "" if self.writes else "it stands by for another process"


class EnginePart(Part):
    """An engine in this process."""

    def __init__(self, engine: Engine) -> None:
        super().__init__("engine")
        self._engine = engine

    def dead(self) -> str:
        """Return why the engine takes no commands ever again."""
        return ended(self._engine) or ("" if self._engine.alive else "a thread of it ended")

    def unready(self) -> str:
        """Return why it takes no commands now."""
        return self.dead() or ("" if self._engine.running else "it takes no commands")

    def readings(self) -> Iterator[Reading]:
        """Return its position, its queue and its books."""
        yield Reading("foldex_engine_position", self._engine.exchange.position)
        yield Reading("foldex_engine_queue_commands", self._engine.queue_depth)
        for market in list(self._engine.exchange.markets.values()):
            for side, book in (("buy", market.bids), ("sell", market.asks)):
                levels, orders = _sizes(book)
                yield Reading("foldex_book_levels", levels, (market.symbol, side))
                yield Reading("foldex_book_orders", orders, (market.symbol, side))


class LinkPart(Part):
    """The way to an engine in another process."""

    def __init__(self, port: EnginePort) -> None:
        super().__init__("engine")
        self._port = port

    def unready(self) -> str:
        """Return that no engine is reached."""
        return "" if self._port.ready else "no engine that takes commands is reached"

    def readings(self) -> Iterator[Reading]:
        """Return what the engine said last."""
        if self._port.ready:
            yield Reading("foldex_engine_position", self._port.position)
            yield Reading("foldex_engine_queue_commands", self._port.queue_depth)


class StorePart(Asked):
    """The log and its snapshots. `position`: of the log's last event, when it was last asked."""

    def __init__(self, store: Store) -> None:
        super().__init__("log")
        self.position = 0
        self._store = store
        self._snapshot = 0

    def ask(self) -> None:
        """Ask for the log's end and the newest snapshot."""
        self.position = self._store.log.stored_head().position
        self._snapshot = next(iter(self._store.snapshots.positions()), 0)

    def readings(self) -> Iterator[Reading]:
        """Return how old the newest snapshot is."""
        yield Reading("foldex_snapshot_position", self._snapshot)
        yield Reading("foldex_snapshot_lag_events", max(0, self.position - self._snapshot))


class ViewsPart(Asked):
    """The views, and whoever keeps them exact if that is in this process.

    reached: asks for the views' position; end: for the log's, or the newest one known.
    lag_ms_max: how old what they have not folded may be.
    """

    def __init__(
        self,
        reached: Callable[[], int],
        end: Callable[[], int],
        *,
        lag_ms_max: int,
        runner: Failing | None = None,
    ) -> None:
        super().__init__("views")
        self._reached = reached
        self._end = end
        self._lag_ms_max = lag_ms_max
        self._runner = runner
        self._lag = LagClock()

    def ask(self) -> None:
        """Ask for both positions: the end first, so that views that follow are not behind."""
        end = self._end()
        self._lag.note(end, self._reached(), time.monotonic())

    def dead(self) -> str:
        """Return why the views are not kept up any more."""
        return ended(self._runner) if self._runner else ""

    def behind(self) -> str:
        """Return that they are older than they may be."""
        lag_s = self._lag.seconds(time.monotonic())
        if lag_s * 1000 <= self._lag_ms_max:
            return ""
        return f"they are {self._lag.events} events and {lag_s:.1f} s behind"

    def readings(self) -> Iterator[Reading]:
        """Return where they are and how far behind."""
        yield Reading("foldex_view_position", self._lag.reached)
        yield Reading("foldex_view_lag_events", self._lag.events)
        yield Reading("foldex_view_lag_seconds", self._lag.seconds(time.monotonic()))


class PublisherPart(Asked):
    """The relay from the log to Kafka."""

    def __init__(self, publisher: "Publisher") -> None:
        super().__init__("publisher")
        self._publisher = publisher
        self._events = 0
        self._lag_s = 0.0

    def ask(self) -> None:
        """Ask how far the topic is behind the log."""
        lag = self._publisher.lag()
        self._events, self._lag_s = lag.events, lag.ms / 1000

    def dead(self) -> str:
        """Return why nothing is published any more."""
        return ended(self._publisher)

    def behind(self) -> str:
        """Return that no broker answers. One that stands by for another is as it should be."""
        publisher = self._publisher
        return "" if publisher.connected or publisher.standing_by else "no broker answers"

    def readings(self) -> Iterator[Reading]:
        """Return how far the topic is behind, unless another publisher knows it better."""
        if not self._publisher.standing_by:
            yield Reading("foldex_publisher_position", self._publisher.position)
            yield Reading("foldex_publisher_lag_events", self._events)
            yield Reading("foldex_publisher_lag_seconds", self._lag_s)


class LoopPart(Part):
    """The event loop: something on it has to call `turned` all the time."""

    def __init__(self) -> None:
        super().__init__("loop")
        self._turned_s: float | None = None

    def turned(self) -> None:
        """Note that it turns."""
        self._turned_s = time.monotonic()

    def dead(self) -> str:
        """Return that it hangs. One that has not begun yet does not."""
        since_s = 0.0 if self._turned_s is None else time.monotonic() - self._turned_s
        return f"it has not turned for {since_s:.0f} s" if since_s > STALE_S else ""


def ended(part: Failing) -> str:
    """Return why a part failed; only the error's type: its text may quote what is nobody's."""
    return f"it stopped by itself ({type(part.failed).__name__})" if part.failed else ""


def _sizes(side: BookSide) -> tuple[int, int]:
    """Return levels and orders. Another thread changes them: `list` copies in one step."""
    levels: list[Level] = list(side.levels.values())
    return len(levels), sum(map(len, levels))
