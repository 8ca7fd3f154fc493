"""Where durable measures write: an empty store for one run, removed after it."""

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import psycopg
from psycopg.sql import SQL, Identifier

from deploy.services.clone import Clone
from deploy.services.control import OWN_SERVERS
from eventstore.postgres import open_postgres
from eventstore.postgres_schema import migrate
from eventstore.sqlite import open_sqlite
from eventstore.store import Store

OpenStore = Callable[[], AbstractContextManager[Store]]


class NoServer(Exception):
    """The measure needs a server that is not there."""


def address_of(name: str) -> str:
    """Return where `make services` runs a server. Raises: NoServer."""
    facts = Clone().facts
    known = json.loads(facts.read_text()) if facts.exists() else {}
    address = os.environ.get(OWN_SERVERS[name]) or known.get(name)
    if not address:
        raise NoServer(f"needs {name}: run `make services`")
    return str(address)


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
    """Give the URL of an empty database. Raises: NoServer."""
    server_url = address_of("postgres")
    name = f"benchmark_{uuid4().hex}"
    with psycopg.connect(server_url, autocommit=True) as server:
        server.execute(SQL("CREATE DATABASE {}").format(Identifier(name)))
        try:
            yield urlunsplit(urlsplit(server_url)._replace(path=f"/{name}"))
        finally:
            server.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(Identifier(name)))


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
