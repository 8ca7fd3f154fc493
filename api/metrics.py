"""What Prometheus is told. A registry for each process; nothing global.

The engine's numbers come once for each commit, gauges are read when somebody asks for them. Labels
have few values: routes are templates, and what clients choose is never one.
"""

import platform
from collections import Counter as Count
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from operator import itemgetter
from typing import Final, NamedTuple, Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily
from prometheus_client.registry import Collector

from api.version import VERSION
from commands.command import Command
from commands.errors import EngineError
from commands.observer import EngineObserver
from commands.registry import Outcome

ACCEPTED: Final = "accepted"
SIZES: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 4_000, 8_000)
APPEND_S: Final = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)
REQUEST_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

GAUGES: Final[dict[str, tuple[str, tuple[str, ...]]]] = {
    "foldex_part_live": ("1 while a part of the process does its work", ("part",)),
    "foldex_part_ready": ("1 while a part of the process is as it should be", ("part",)),
    "foldex_engine_position": ("Position of the engine's last event", ()),
    "foldex_engine_queue_commands": ("Commands that wait to be decided", ()),
    "foldex_book_levels": ("Price levels in a book", ("market", "side")),
    "foldex_book_orders": ("Open orders in a book", ("market", "side")),
    "foldex_link_certificate_expiry_seconds": (
        "When our certificate of the link expires, in seconds since 1970; 0: it is refused",
        (),
    ),
    "foldex_snapshot_position": ("Position of the newest snapshot", ()),
    "foldex_snapshot_lag_events": ("Events since the newest snapshot", ()),
    "foldex_view_position": ("Position that the views have reached", ()),
    "foldex_view_lag_events": ("Events that the views have not folded yet", ()),
    "foldex_view_lag_seconds": ("Age of the oldest event that the views have not folded yet", ()),
    "foldex_publisher_position": ("Position of the last event known to be in Kafka", ()),
    "foldex_publisher_lag_events": ("Events that are not in Kafka yet", ()),
    "foldex_publisher_lag_seconds": ("Age of the oldest event that is not in Kafka yet", ()),
    "foldex_custody_height": ("The block that custody has followed its chain to", ("chain",)),
    "foldex_custody_paused": ("1 while custody neither credits nor pays", ("chain",)),
    "foldex_custody_differences": ("What the last reconciliation found different", ("chain",)),
    "foldex_custody_open_payments": ("Transactions of ours that have not ended", ("chain",)),
}
"""The metrics that are read from the parts when they are asked for, with their labels."""


class Reading(NamedTuple):
    """One value of one of the GAUGES. labels: their values, in order."""

    name: str
    value: float
    labels: tuple[str, ...] = ()


class Source(Protocol):
    """Something that has readings."""

    def readings(self) -> Iterable[Reading]:
        """Return them as they are now, without waiting for anything."""


class Metrics:
    """The metrics of one process. `engine` is to be the engine's observer."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.engine: EngineObserver = _EngineMetrics(self.registry)
        self._sources: list[Source] = []
        self.registry.register(_Gauges(self._sources))
        self._requests = Counter(
            "foldex_http_requests",
            "HTTP requests answered",
            ("method", "route", "status"),
            registry=self.registry,
        )
        self._seconds = Histogram(
            "foldex_http_request_seconds",
            "Time from a request's arrival to the end of its answer",
            ("method", "route"),
            buckets=REQUEST_S,
            registry=self.registry,
        )
        self._problems = Counter(
            "foldex_http_problems", "Problem documents answered", ("code",), registry=self.registry
        )
        build = Gauge(
            "foldex_build_info",
            "1; which program this is",
            ("version", "python"),
            registry=self.registry,
        )
        build.labels(VERSION, platform.python_version()).set(1)

    def read_from(self, source: Source) -> None:
        """Ask a source for its readings, too, from now on."""
        self._sources.append(source)

    def observe_request(
        self, *, method: str, route: str, status: int, seconds: float, code: str
    ) -> None:
        """Count a request. code: of the problem that it was answered with, if it was one."""
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(method, route).observe(seconds)
        if code:
            self._problems.labels(code).inc()

    def exposed(self) -> bytes:
        """Return all of it in Prometheus's text format."""
        return generate_latest(self.registry)


class _EngineMetrics(EngineObserver):
    """Counts what the engine does.

    Only functions of C see each command, which takes 0.2 µs of the engine's time, not 2.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._commands = Counter(
            "foldex_commands",
            "Commands by what became of them: accepted, or the code of the refusal or error",
            ("command", "result"),
            registry=registry,
        )
        self._events = Counter("foldex_events", "Events recorded", registry=registry)
        self._commit_commands = Histogram(
            "foldex_commit_commands", "Commands in a commit", buckets=SIZES, registry=registry
        )
        self._commit_events = Histogram(
            "foldex_commit_events", "Events in a commit", buckets=SIZES, registry=registry
        )
        self._append_s = Histogram(
            "foldex_append_seconds",
            "Time until a commit was durable",
            buckets=APPEND_S,
            registry=registry,
        )
        self._recovered = Gauge(
            "foldex_recovery_position", "Position that recovery has reached", registry=registry
        )
        self._to_recover = Gauge(
            "foldex_recovery_target", "Position at which recovery is done", registry=registry
        )

    def recovering(self, position: int, last: int) -> None:
        """Note how far the recovery is."""
        self._recovered.set(position)
        self._to_recover.set(last)

    def committed(
        self,
        decided: Sequence[tuple[Sequence[Command], Sequence[Outcome], object]],
        events: int,
        append_ns: int,
    ) -> None:
        """Count a commit. What only repeated or refused commands caused was not appended."""
        commands = chain.from_iterable(map(itemgetter(0), decided))
        outcomes = chain.from_iterable(map(itemgetter(1), decided))
        kinds = Count(zip(map(type, commands), map(type, outcomes), strict=True))
        for (kind, outcome), number in kinds.items():
            self._commands.labels(kind.__name__, getattr(outcome, "code", ACCEPTED)).inc(number)
        if events:
            self._events.inc(events)
            self._commit_commands.observe(kinds.total())
            self._commit_events.observe(events)
            self._append_s.observe(append_ns / 1e9)

    def unanswered(self, commands: Sequence[Command], error: EngineError) -> None:
        """Count commands that nobody will hear the outcome of."""
        for kind, number in Count(map(type, commands)).items():
            self._commands.labels(kind.__name__, error.code).inc(number)


class _Gauges(Collector):
    """Reads the sources each time somebody asks."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self._sources = sources

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Return every gauge, also those that nothing here has a reading for."""
        families = {
            name: GaugeMetricFamily(name, about, labels=labels)
            for name, (about, labels) in GAUGES.items()
        }
        for source in self._sources:
            for reading in source.readings():
                families[reading.name].add_metric(reading.labels, reading.value)
        yield from families.values()
