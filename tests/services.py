"""The servers that tests use: where they are, and fresh databases on them.

`make services` starts them. A test asks for the fixtures `postgres_url`, `postgres_database` and
`kafka_bootstrap` of `tests/conftest.py`; without the servers it is skipped, or fails where
FOLDEX_REQUIRE_SERVICES=1 says that they must be there.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from deploy.services.clone import Clone
from deploy.services.control import known_address

TITLES = {"postgres": "PostgreSQL", "kafka": "Kafka", "ethereum": "anvil", "openbao": "OpenBao"}
TEMPLATE_LOCK = 0x666F6C646578  # Any number that nobody else locks.
CONNECT_TIMEOUT_S = 10


def address_of(name: str) -> str:
    """Return the address of a server; skip or fail the test when there is none."""
    return known_address(Clone(), name) or missing(name)


def missing(name: str, detail: str = "") -> NoReturn:
    """Skip the test for want of a server, or fail it."""
    skip_or_fail(f"needs {TITLES[name]}: run `make services`" + (f" ({detail})" if detail else ""))


def skip_or_fail(reason: str) -> NoReturn:
    """Skip the test, or fail it where servers are required."""
    if os.environ.get("FOLDEX_REQUIRE_SERVICES") == "1":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def database_url(server_url: str, name: str) -> str:
    """Return the URL of another database on the same server."""
    return urlunsplit(urlsplit(server_url)._replace(path=f"/{name}"))


def make_template(server_url: str) -> str:
    """Return the name of a database to copy, in which the extension TimescaleDB is made already.

    It is made once for each version of the extension. When it is whole it refuses connections, as
    copying needs; one that does not was left by a killed run and is made anew.
    """
    with psycopg.connect(server_url, autocommit=True, connect_timeout=CONNECT_TIMEOUT_S) as server:
        server.execute("SELECT pg_advisory_lock(%s)", (TEMPLATE_LOCK,))
        name = f"template_timescaledb_{_timescaledb_version(server)}"
        whole = server.execute(
            "SELECT FROM pg_database WHERE datname = %s AND NOT datallowconn", (name,)
        ).fetchone()
        if whole is None:
            _make_template(server, name, server_url)
    return name


@contextmanager
def fresh_database(server_url: str, template: str) -> Iterator[str]:
    """Give the URL of a new database like the template, and drop it afterwards."""
    name = f"test_{uuid4().hex}"
    with psycopg.connect(server_url, autocommit=True, connect_timeout=CONNECT_TIMEOUT_S) as server:
        server.execute(
            SQL("CREATE DATABASE {} TEMPLATE {}").format(Identifier(name), Identifier(template))
        )
    try:
        yield database_url(server_url, name)
    finally:
        # A connection of its own: the test may have restarted the server.
        with psycopg.connect(server_url, autocommit=True) as server:
            drop_database(server, name)


def drop_database(server: psycopg.Connection, name: str) -> None:
    """Drop a database if it exists, disconnecting whoever uses it."""
    server.execute(SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(Identifier(name)))


def _make_template(server: psycopg.Connection, name: str, server_url: str) -> None:
    drop_database(server, name)
    server.execute(SQL("CREATE DATABASE {}").format(Identifier(name)))
    with psycopg.connect(database_url(server_url, name), autocommit=True) as database:
        database.execute("CREATE EXTENSION timescaledb")
    server.execute(SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(Identifier(name)))
    # A worker of the extension may be connected, and nothing that is in use can be copied.
    server.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,)
    )


def _timescaledb_version(server: psycopg.Connection) -> str:
    row = server.execute(
        "SELECT default_version FROM pg_available_extensions WHERE name = 'timescaledb'"
    ).fetchone()
    if row is None:
        missing("postgres", "this server has no TimescaleDB")
    return str(row[0])
