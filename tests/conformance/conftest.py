"""`backend` is every kind of store in turn, `view_backend` every kind of view store.

Another one is one more entry in BACKENDS, or in VIEW_BACKENDS.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Final

import pytest

from eventstore.postgres_schema import migrate
from eventstore.store import Store
from projections.database import ViewStore
from projections.views import Views
from tests.conformance import view_backends
from tests.conformance.backends import Backend, MemoryBackend, SQLiteBackend
from tests.conformance.postgres_backend import PostgresBackend
from tests.conformance.view_backends import ViewBackend
from tests.services import fresh_database

BACKENDS: Final[dict[str, Callable[[pytest.FixtureRequest], Backend]]] = {
    "memory": lambda _: MemoryBackend(),
    "sqlite": lambda request: SQLiteBackend(request.getfixturevalue("tmp_path")),
    "postgres": lambda request: PostgresBackend(request.getfixturevalue("log_database")),
}


@pytest.fixture(scope="session")
def log_database(postgres_url: str, postgres_template: str) -> Iterator[str]:
    """Give the URL of a database with an empty log, which the tests here use in turn."""
    with fresh_database(postgres_url, postgres_template) as url:
        migrate(url)
        yield url


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> Iterator[Backend]:
    with closing(BACKENDS[request.param](request)) as backend:
        yield backend


@pytest.fixture
def store(backend: Backend) -> Iterator[Store]:
    with backend.open() as store:
        yield store


VIEW_BACKENDS: Final = ("sqlite", "timescaledb", "postgres")
"""postgres: the same server, but a database without TimescaleDB."""


@pytest.fixture(params=VIEW_BACKENDS)
def view_backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ViewBackend]:
    with ExitStack() as resources:
        if request.param == "sqlite":
            yield view_backends.SQLiteBackend(tmp_path, resources)
            return
        server, template = (
            request.getfixturevalue(name) for name in ("postgres_url", "postgres_template")
        )
        yield view_backends.PostgresBackend(
            lambda: resources.enter_context(fresh_database(server, template)),
            resources,
            plain=request.param == "postgres",
        )


@pytest.fixture
def view_store(view_backend: ViewBackend) -> ViewStore:
    return view_backend.store("live")


@pytest.fixture
def views(view_backend: ViewBackend) -> Iterator[Views]:
    """Read the same views as another process does."""
    reader = Views(view_backend.store("live"))
    yield reader
    reader.close()
