"""`backend` is every kind of store in turn, `view_backend` every kind of view store.

Another one is one more entry in BACKENDS, or in VIEW_BACKENDS.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import pytest

from eventstore.store import Store
from projections.database import ViewStore
from projections.views import Views
from tests.conformance import view_backends
from tests.conformance.backends import Backend, MemoryBackend, SQLiteBackend
from tests.conformance.view_backends import ViewBackend
from tests.services import fresh_database

BACKENDS: Final[dict[str, Callable[[Path], Backend]]] = {
    "memory": lambda _: MemoryBackend(),
    "sqlite": SQLiteBackend,
}


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Backend:
    return BACKENDS[request.param](tmp_path)


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
