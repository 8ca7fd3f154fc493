"""Fixtures for every test: the servers of `make services`."""

from collections.abc import Iterator

import psycopg
import pytest

from deploy.services import anvil, control
from deploy.services.clone import Clone
from deploy.services.process import accepts_connections
from deploy.services.software import cache
from eventstore.kafka_brokers import Brokers
from tests import services

LONG = ("simulation", "e2e", "custody", "integration")
"""Directories of tests that wait for processes and servers."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put the long tests first where processes share the tests, so that all end at the same time.

    A single process runs the quick ones first, which tell soonest what is wrong.
    """
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: (*LONG, item.path.parent.name).index(item.path.parent.name))


@pytest.fixture(scope="session")
def postgres_url() -> str:
    """Return the URL of the PostgreSQL server, of a superuser; skip the test when it is down."""
    url = services.address_of("postgres")
    try:
        psycopg.connect(url, connect_timeout=services.CONNECT_TIMEOUT_S).close()
    except psycopg.OperationalError as error:
        services.missing("postgres", str(error).strip())
    return url


@pytest.fixture(scope="session")
def postgres_template(postgres_url: str) -> str:
    """Return the name of the database that fresh ones are copied from."""
    return services.make_template(postgres_url)


@pytest.fixture
def postgres_database(postgres_url: str, postgres_template: str) -> Iterator[str]:
    """Give the URL of a database with TimescaleDB that only this test uses."""
    with services.fresh_database(postgres_url, postgres_template) as url:
        yield url


@pytest.fixture(scope="session")
def kafka_bootstrap() -> str:
    """Return `host:port` of the Kafka server; skip the test when it is down.

    Topics are not made on first use. Give topics, groups and transactional ids fresh names.
    """
    address = services.address_of("kafka")
    _require_listener("kafka", address.partition(",")[0])
    return address


@pytest.fixture(scope="session")
def brokers(kafka_bootstrap: str) -> Brokers:
    """Return the Kafka server as Foldex names it; skip the test when it is down."""
    return Brokers(kafka_bootstrap)


@pytest.fixture(scope="session")
def openbao_url() -> str:
    """Return the URL of the key service; skip the test when it is down. Its keys do not stay."""
    url = services.address_of("openbao")
    _require_listener("openbao", url.rpartition("/")[2])
    return url


@pytest.fixture(scope="module")
def ethereum_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Give the URL of an anvil that only this module's tests use, so they may replace blocks."""
    if not (cache() / anvil.SOFTWARE).is_dir():
        services.missing("ethereum", "it is not installed")
    clone = Clone(tmp_path_factory.mktemp("anvil"))
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(control.OWN_SERVERS["ethereum"], raising=False)
        url = control.start(clone, ["ethereum"])["ethereum"]
    yield url
    control.stop(clone, wipe=True)


def _require_listener(name: str, address: str) -> None:
    """Skip the test unless something listens at `host:port`; fail it under `make test`."""
    host, _, port = address.rpartition(":")
    if not accepts_connections(host, int(port)):
        services.missing(name, f"nothing answers at {address}")
