"""How fast the views follow the log."""

import gc
import multiprocessing
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Final

from benchmarks.places import database, directory
from benchmarks.workloads import Measured, Workload, fill
from eventstore.memory import open_memory
from eventstore.sqlite import open_sqlite
from eventstore.store import Log
from projections.database import ViewStore
from projections.postgres import PostgresViews, migrate
from projections.runner import ProjectionRunner, rebuild
from projections.sqlite import SQLiteViews
from projections.view_set import GROUPS
from projections.views import Views

PATIENCE_S: Final = 600


def views_sqlite(workload: Workload) -> Measured:
    """Fold a log into all views in SQLite. In events; see `_fold`."""
    with _log(workload) as (log, path):
        store = SQLiteViews(path)
        _begin_empty(store)
        return Measured(log.stored_head().position, _fold(log, store, GROUPS))


def views_postgres(workload: Workload) -> Measured:
    """Fold a log into all views in PostgreSQL, in one process. In events. Raises: NoServer."""
    with _log(workload) as (log, _), _postgres() as (store, _):
        return Measured(log.stored_head().position, _fold(log, store, GROUPS))


def views_postgres_apart(workload: Workload) -> Measured:
    """Fold a log into all views in PostgreSQL, each group in a process, until both are done.

    In events. Raises: NoServer.
    """
    with _log(workload) as (log, path), _postgres() as (store, url):
        context = multiprocessing.get_context("spawn")
        together = context.Barrier(1 + len(GROUPS), timeout=PATIENCE_S)
        children = [
            context.Process(target=_fold_apart, args=(path, url, group, together), daemon=True)
            for group in GROUPS
        ]
        for child in children:
            child.start()
        together.wait()
        started = time.perf_counter()
        together.wait()
        seconds = time.perf_counter() - started
        for child in children:
            child.join()
        with closing(Views(store)) as views:
            position = views.position()
        assert position == log.stored_head().position
        return Measured(position, seconds)


def _fold_apart(path: Path, url: str, group: str, together: Barrier) -> None:
    """Fold one group in this process, between two meetings with the others."""
    try:
        with open_sqlite(path) as store, closing(PostgresViews(url)) as views:
            together.wait()
            _fold(store.log, views, [group])
            together.wait()
    except BaseException:
        together.abort()
        raise


def _fold(log: Log, store: ViewStore, groups: Sequence[str]) -> float:
    """Fold until all is there, with checkpoints and indexes; return how long it took, s.

    Garbage is collected meanwhile, as in a process that only does this.
    """
    gc.enable()
    runner = ProjectionRunner(log, store, groups=groups)
    started = time.perf_counter()
    runner.catch_up(lambda position, last: None)
    seconds = time.perf_counter() - started
    runner.stop()
    assert runner.position == log.stored_head().position
    return seconds


@contextmanager
def _log(workload: Workload) -> Iterator[tuple[Log, Path]]:
    """Give a log in SQLite that holds the workload, and its directory."""
    with directory() as path, open_sqlite(path, for_writing=True) as store:
        fill(store.log, workload)
        yield store.log, path


@contextmanager
def _postgres() -> Iterator[tuple[ViewStore, str]]:
    """Give empty views in PostgreSQL, with TimescaleDB where the server has it, and their URL."""
    with database() as url:
        migrate(url)
        with closing(PostgresViews(url)) as store:
            _begin_empty(store)
            yield store, url


def _begin_empty(store: ViewStore) -> None:
    with open_memory() as nothing:
        rebuild(nothing.log, store)
