"""What the views need of a database, and no more: the same for SQLite and PostgreSQL.

A store of views holds sets of tables side by side: one is current and read, another may be in the
making. Projections write whole batches (`Insert`, `Upsert`, `Delete`) and never SQL of their own;
what is read is SQL that both databases understand, with `?` for each value.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from threading import Lock
from typing import Any, ClassVar, NamedTuple, Protocol

from eventstore.errors import StoreLocked
from projections.table import Table

Row = tuple[Any, ...]


class ViewsMissing(Exception):
    """No views have been built yet: start the exchange, or `./foldex rebuild`."""


class ViewsBroken(Exception):
    """The views do not fit the log, or each other: rebuild them (`./foldex rebuild`)."""


class Overtaken(Exception):
    """Another process has moved these views on: what this one folded must be forgotten."""


class ViewsUnavailable(Exception):
    """The database of the views does not answer; nothing of the transaction is in the views."""


class RebuildRunning(StoreLocked):
    """Another process builds these views anew already: wait for it, or stop it."""

    code = "rebuild_running"


class Insert(NamedTuple):
    """New rows, in the order of the table's columns."""

    table: Table
    rows: Sequence[Row]


class Upsert(NamedTuple):
    """Whole rows, each in place of the one with its key, if there is one; no key twice."""

    table: Table
    rows: Sequence[Row]


class Delete(NamedTuple):
    """The rows with these keys."""

    table: Table
    keys: Sequence[Row]


Write = Insert | Upsert | Delete


class Reading(Protocol):
    """Amounts come as `int`, whatever the database keeps them as."""

    def rows(self, sql: str, values: Sequence[object] = ()) -> list[Row]:
        """Return what a query finds."""
        ...

    def row(self, sql: str, values: Sequence[object] = ()) -> Row | None:
        """Return the first row that a query finds, or None."""
        ...

    def stream(self, sql: str) -> Iterator[Row]:
        """Yield what a query finds, however much it is, without keeping all of it."""
        ...


class Database(Reading, Protocol):
    """One connection to one set of views."""

    name: str
    """Of the set."""

    busy: Lock
    """A lock: of several threads that use the connection, one at a time."""

    def transaction(self) -> AbstractContextManager[None]:
        """Keep all that is written inside, or, when an exception ends it, nothing."""
        ...

    def prepared(self, write: Write) -> Callable[[], None]:
        """Return what writes a batch, with all done that can be before its transaction begins.

        Another thread may use the connection meanwhile.
        """
        ...

    def write(self, write: Write) -> None:
        """Write a batch."""
        ...

    def update(self, sql: str, values: Sequence[object]) -> int:
        """Change rows in place; return how many there were."""
        ...

    def close(self) -> None:
        """Give the connection back."""
        ...


class Reader(Protocol):
    """One thread's way to the current set, whichever that is by then."""

    def snapshot(self) -> AbstractContextManager[Reading]:
        """Give the current set: all that is read inside is of one position.

        While the same set is current it is the same object. Raises: ViewsMissing.
        """
        ...

    def close(self) -> None:
        """Give back what it holds."""
        ...


class ViewStore(ABC):
    """Where sets of views are kept. `place`: where that is, without secrets."""

    place: str
    writes_elsewhere: ClassVar[bool]
    """Whether another process does the work of writing, so that this one may go on meanwhile."""

    @abstractmethod
    def current(self) -> str | None:
        """Return the name of the current set; None before one is built, or when it is gone."""

    @abstractmethod
    def open(self, name: str) -> Database:
        """Open a set for writing."""

    @abstractmethod
    def create(self, tables: Iterable[Table]) -> Database:
        """Create a new set, empty, beside all that exist; what attempts left is removed.

        Only while `building`: else it could be another's attempt.
        """

    @abstractmethod
    def swap_in(self, db: Database) -> None:
        """Make a set the current one, atomically; those before the one that was are removed.

        Only while `swapping`: the set that is swapped out must not be ahead of the new one.
        """

    @abstractmethod
    def building(self) -> AbstractContextManager[None]:
        """Be the only one that builds a new set. Raises: RebuildRunning: another one does."""

    @abstractmethod
    def swapping(self) -> AbstractContextManager[None]:
        """Let nobody move the current views on; wait for batches that are being written."""

    @abstractmethod
    def writing(self, db: Database) -> AbstractContextManager[bool]:
        """Let nobody swap the views meanwhile. Gives whether `db` is the current set still."""

    @abstractmethod
    def reader(self) -> Reader:
        """Return a reader for one thread."""

    @abstractmethod
    def close(self) -> None:
        """Give back what the store itself holds; its databases and readers are closed apart."""
