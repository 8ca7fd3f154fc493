"""How fast the views follow the log."""

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager

from benchmarks.places import database, directory
from benchmarks.workloads import Measured, Workload, fill
from eventstore.memory import open_memory
from eventstore.sqlite import open_sqlite
from projections.database import ViewStore
from projections.postgres import PostgresViews, migrate
from projections.runner import ProjectionRunner, rebuild
from projections.sqlite import SQLiteViews

OpenViews = Callable[[], AbstractContextManager[ViewStore]]


@contextmanager
def sqlite_views() -> Iterator[ViewStore]:
    """Give an empty place for views in SQLite."""
    with directory() as path:
        yield SQLiteViews(path)


@contextmanager
def postgres_views() -> Iterator[ViewStore]:
    """Give an empty place for views in PostgreSQL with TimescaleDB. Raises: NoServer."""
    with database() as url:
        migrate(url)
        with closing(PostgresViews(url)) as store:
            yield store


def views(workload: Workload, open_views: OpenViews) -> Measured:
    """Fold a log from SQLite into all views, their checkpoints and indexes: until it is all there.

    Garbage is collected meanwhile, as in a process that only does this. In events.
    """
    with (
        directory() as path,
        open_sqlite(path, for_writing=True) as store,
        open_views() as view_store,
    ):
        with open_memory() as nothing:
            rebuild(nothing.log, view_store)
        fill(store.log, workload)
        gc.enable()
        runner = ProjectionRunner(store.log, view_store)
        started = time.perf_counter()
        runner.catch_up(lambda position, last: None)
        seconds = time.perf_counter() - started
        runner.stop()
        return Measured(runner.position, seconds)
