"""`backend` is every kind of store in turn: another one is one more entry in BACKENDS."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from eventstore.store import Store
from tests.conformance.backends import Backend, MemoryBackend, SQLiteBackend

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
