"""Where durable measures write: an empty store for one run, removed after it."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import psycopg

from deploy.services.clone import Clone
from deploy.services.control import known_address
from eventstore.postgres import open_postgres
from eventstore.postgres_schema import migrate
from eventstore.sqlite import open_sqlite
from eventstore.store import Store
from tests.services import fresh_database

OpenStore = Callable[[], AbstractContextManager[Store]]


class NoServer(Exception):
    """The measure needs a server that is not there."""


def address_of(name: str) -> str:
    """Return where `make services` runs a server. Raises: NoServer."""
    address = known_address(Clone(), name)
    if address is None:
        raise NoServer(f"needs {name}: run `make services`")
    return address


@contextmanager
def directory() -> Iterator[Path]:
    """Give an empty directory."""
    path = tempfile.mkdtemp(prefix="foldex-benchmark-")
    try:
        yield Path(path)
    finally:
        shutil.rmtree(path)


@contextmanager
def database() -> Iterator[str]:
    """Give the URL of an empty database, on a server that has just written all it had to.

    So no checkpoint of an earlier run falls into this one, and there are WAL files to use again, as
    on a server that has run for a while: commits wait for a new one to be filled with zeros.
    Raises: NoServer.
    """
    with fresh_database(address_of("postgres"), "template0") as url:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("CHECKPOINT")
        yield url


@contextmanager
def sqlite_store() -> Iterator[Store]:
    """Give an empty store in SQLite, to write to."""
    with directory() as path, open_sqlite(path, for_writing=True) as store:
        yield store


@contextmanager
def postgres_store() -> Iterator[Store]:
    """Give an empty store in PostgreSQL, to write to. Raises: NoServer."""
    with database() as url:
        migrate(url)
        with open_postgres(url, for_writing=True) as store:
            yield store
