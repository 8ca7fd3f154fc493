"""The writer of a set of views: folds the log's commits, one transaction for many of them.

The views are of three groups with a checkpoint each, which processes of their own can fold.
"accounts" and "events" need the total order of the log. In "markets" an event changes rows of its
own market only, so that several workers can share it.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import Final, NamedTuple

from domain.events import EVENTS, Event, MarketEvent
from eventstore.commit import GENESIS, Commit, Head
from eventstore.errors import StoreTooNew
from eventstore.gc_pause import paused_gc
from projections.balances import Balances
from projections.candles import Candles
from projections.catalogue import Catalogue
from projections.database import Database, Insert, Overtaken, Reading, ViewsBroken, ViewStore, Write
from projections.depth import Depth
from projections.events import Events
from projections.orders import Orders
from projections.projection import Handler, Projection
from projections.table import Table
from projections.trades import Trades
from projections.transfers import Transfers

VIEWS_VERSION: Final = 3
"""Raised whenever a view's tables or meaning change: older sets are then built anew."""

ACCOUNTS: Final = "accounts"
EVENT_ROWS: Final = "events"
MARKETS: Final = "markets"
GROUPS: Final = (ACCOUNTS, EVENT_ROWS, MARKETS)

TABLES: Final[list[Table]] = [
    table
    for view in (Catalogue, Balances, Transfers, Events, Orders, Trades, Candles, Depth)
    for table in view.TABLES
]
"""All that is folded from the log, in the order it is compared in."""

_VERSION: Final = Table("views_version", "version INTEGER", key="version")
CHECKPOINTS: Final = Table(
    "checkpoints",
    "feed TEXT, position INTEGER, time_ms INTEGER, commit_number INTEGER, seal TEXT",
    key="feed",
)
"""How far each group has come: the last event, its commit's time, the commit.

Markets that are folded from Kafka have a row for each partition instead, named `markets/3`: its
commit is that of the last progress marker.
"""
KAFKA_OFFSETS: Final = Table(
    "kafka_offsets", "feed TEXT, topic_id TEXT, next_offset INTEGER", key="feed"
)
"""Where the next record of each partition is read, beside its checkpoint."""


class Fold:
    """Projections that fold the same events, in memory."""

    def __init__(self, projections: Sequence[Projection]) -> None:
        self._projections = projections
        self._handlers: dict[type[Event], list[Handler]] = {kind: [] for kind in EVENTS}
        for projection in projections:
            for kind, handler in projection.handlers().items():
                self._handlers[kind].append(handler)

    def fold(self, recorded: Iterable[tuple[int, Event]]) -> None:
        """Fold events with their positions. Raises: ViewsBroken: one contradicts the views."""
        handlers = self._handlers
        position = 0
        try:
            for position, event in recorded:
                for handler in handlers[type(event)]:
                    handler(position, event)
        except (LookupError, ValueError, TypeError) as error:
            raise ViewsBroken(f"event {position} contradicts the views: {error!r}") from error

    def writes(self) -> list[Write]:
        """Hand over what was changed since the last call."""
        return [write for each in self._projections for write in each.writes()]


class MarketFold(Fold):
    """The views of markets: what is known of one is read when its first event comes."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._views = (Orders(), Trades(), Candles(), Depth())
        self._loaded: set[str] = set()
        super().__init__(self._views)

    def fold(self, recorded: Iterable[tuple[int, Event]]) -> None:
        recorded = list(recorded)
        markets = {event.market for _, event in recorded if isinstance(event, MarketEvent)}
        if not markets <= self._loaded:
            with self._db.busy:
                for market in sorted(markets - self._loaded):
                    for view in self._views:
                        view.load(self._db, market)
            self._loaded |= markets
        super().fold(recorded)


def _account_fold(db: Database) -> Fold:
    catalogue = Catalogue.load(db)
    return Fold([catalogue, Balances(db, catalogue), Transfers(db)])


_FOLDS: Final[dict[str, Callable[[Database], Fold]]] = {
    ACCOUNTS: _account_fold,
    EVENT_ROWS: lambda _: Fold([Events()]),
    MARKETS: MarketFold,
}


class _Move(NamedTuple):
    """A checkpoint's step: from an event position to the end of a commit."""

    group: str
    position: int
    last: Commit


class Batch(NamedTuple):
    """What some commits changed, to be written in one transaction."""

    moves: list[_Move]
    writes: list[Callable[[], None]]


class _Group:
    """A group of views, as far as its fold in memory has come."""

    def __init__(self, db: Database, name: str) -> None:
        self.name = name
        self._db = db
        self.head = _stored_head(db, name)
        self._fold = _FOLDS[name](db)

    def fold(self, commits: Sequence[Commit]) -> Batch:
        """Fold those commits that are new to the group."""
        new = [commit for commit in commits if commit.number > self.head.number]
        if not new:
            return Batch([], [])
        _require_next(self.head, new[0])
        recorded = (enumerate(each.events, each.first_position) for each in new)
        self._fold.fold(chain.from_iterable(recorded))
        move = _Move(self.name, self.head.position, new[-1])
        self.head = new[-1].head
        return Batch([move], [self._db.prepared(each) for each in self._fold.writes()])


class ViewSet:
    """The one writer of groups of views. After an error it is of no use: its memory is ahead."""

    def __init__(self, db: Database, groups: Sequence[str] = GROUPS) -> None:
        self.db = db
        self._groups = [_Group(db, name) for name in groups]

    @classmethod
    def create(cls, store: ViewStore) -> "ViewSet":
        """Make an empty set, which is not the current one yet, and open it."""
        db = store.create([_VERSION, CHECKPOINTS, KAFKA_OFFSETS, *TABLES])
        try:
            begin = (GENESIS.position, 0, GENESIS.number, GENESIS.seal.hex())
            with db.transaction():
                db.write(Insert(_VERSION, [(VIEWS_VERSION,)]))
                db.write(Insert(CHECKPOINTS, [(name, *begin) for name in GROUPS]))
            return cls(db)
        except BaseException:
            db.close()
            raise

    @property
    def head(self) -> Head:
        """Return how far all groups have folded the log."""
        return min(group.head for group in self._groups)

    @property
    def heads(self) -> list[Head]:
        """Return how far each group has."""
        return [group.head for group in self._groups]

    def fold(self, commits: Sequence[Commit]) -> Batch:
        """Fold commits that follow the head, in memory, and return what is to be written.

        Raises: ViewsBroken: the commits do not follow, or an event contradicts the views.
        """
        _require_next(self.head, commits[0])
        with paused_gc():
            batches = [group.fold(commits) for group in self._groups]
        return Batch(
            [move for each in batches for move in each.moves],
            [write for each in batches for write in each.writes],
        )

    def write(self, batch: Batch) -> None:
        """Write what was folded and the new checkpoints: all of it, or nothing.

        Raises: Overtaken: another process has moved the views on; the database's errors.
        """
        with self.db.busy, self.db.transaction():
            for move in batch.moves:
                self._move_checkpoint(move)
            for write in batch.writes:
                write()

    def is_overtaken(self, written: Head) -> bool:
        """Return whether another process has moved the views on from what was written last."""
        with self.db.busy:
            stored = [_stored_head(self.db, group.name) for group in self._groups]
        return min(stored) != written

    def close(self) -> None:
        """Give the database back, when nothing is written."""
        with self.db.busy:
            self.db.close()

    def _move_checkpoint(self, move: _Move) -> None:
        """Of two that fold the same commit, only one gets through."""
        number, position, seal = move.last.head
        moved = self.db.update(
            "UPDATE checkpoints SET position = ?, time_ms = ?, commit_number = ?, seal = ?"
            " WHERE feed = ? AND position = ?",
            (position, move.last.time_ms, number, seal.hex(), move.group, move.position),
        )
        if moved != 1:
            raise Overtaken("another process has moved these views on")


def stored_version(db: Reading) -> int:
    """Return which version of the views a set holds. Read it first: other tables may differ."""
    found = db.row("SELECT version FROM views_version")
    return 0 if found is None else int(found[0])


def is_of_this_version(db: Reading) -> bool:
    """Return whether this Foldex goes on with a set; an older one is built anew.

    Raises: StoreTooNew: a newer Foldex built it. The two would undo each other's work for ever.
    """
    version = stored_version(db)
    if version > VIEWS_VERSION:
        raise StoreTooNew(
            f"a newer Foldex has built these views (version {version}, this one has"
            f" {VIEWS_VERSION}): upgrade; or, to go back, stop the newer one and `./foldex rebuild`"
        )
    return version == VIEWS_VERSION


def _stored_head(db: Reading, group: str) -> Head:
    found = db.row("SELECT commit_number, position, seal FROM checkpoints WHERE feed = ?", (group,))
    if found is None:
        raise ViewsBroken(f"the views of {group} are not folded from the store")
    return Head(found[0], found[1], bytes.fromhex(found[2]))


def _require_next(head: Head, commit: Commit) -> None:
    """Raises: ViewsBroken: the commit is not the one after the head."""
    follows = (commit.number, commit.first_position, commit.previous_seal)
    if follows != (head.number + 1, head.position + 1, head.seal):
        raise ViewsBroken(
            f"the views are at event {head.position}, the log goes on at {commit.first_position}"
        )
