"""API keys, wherever they are kept: found by any process, and bound to what they may do."""

import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import psycopg
import pytest

from api import keys
from api.key_postgres import keys_on, migrate_keys
from api.key_stores import keys_in
from api.keys import KeyStore, KeyStoreError, KeysUnavailable
from api.problems import NotReady
from api.security import Verifier
from eventstore.errors import NoStore
from tests.unit.test_api_security import signed

MASTER = "11" * 32

Open = Callable[[str], KeyStore]


@pytest.fixture(params=["sqlite", "postgres"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    """Return what opens the keys with a master key."""
    if request.param == "sqlite":
        return partial(keys_in, tmp_path)
    url = request.getfixturevalue("postgres_database")
    migrate_keys(url)
    return partial(keys_on, url)


@pytest.fixture
def store(opened: Open) -> Iterator[KeyStore]:
    with closing(opened(MASTER)) as keys:
        yield keys


def test_a_created_key_is_found(store: KeyStore) -> None:
    key_id, secret = store.create("alice", ["trade", "read"], "bot")
    key = store.find(key_id)

    assert key is not None
    assert (key.account, sorted(key.scopes), key.label) == ("alice", ["read", "trade"], "bot")
    assert key.secret == secret.encode()
    assert secret not in repr(key)


def test_a_revoked_key_is_not_found(store: KeyStore) -> None:
    key_id, _ = store.create("alice", ["read"])
    assert store.find(key_id) is not None
    store.revoke(key_id)
    store.revoke(key_id)

    assert store.find(key_id) is None


@pytest.mark.parametrize("key_id", ["", "fdxk_1", "fdxk_" + "0" * 32, "fdxk_" + "G" * 32])
def test_an_unknown_key_is_not_found(store: KeyStore, key_id: str) -> None:
    assert store.find(key_id) is None
    with pytest.raises(KeyStoreError):
        store.revoke(key_id)


def test_another_process_sees_new_and_revoked_keys(
    opened: Open, store: KeyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = opened(MASTER)
    key_id, _ = store.create("alice", ["read"])
    assert other.find(key_id) is not None
    store.revoke(key_id)
    monkeypatch.setattr(keys, "RECHECK_S", 0.0)

    assert other.find(key_id) is None
    other.close()


@pytest.mark.parametrize(
    ("account", "scopes"),
    [
        ("alice", []),
        ("alice", ["operate"]),
        ("alice", ["read", "audit"]),
        ("alice", ["everything"]),
        ("", ["trade"]),
        ("", ["operate", "read"]),
    ],
)
def test_scopes_that_do_not_go_together_are_refused(
    store: KeyStore, account: str, scopes: list[str]
) -> None:
    with pytest.raises(KeyStoreError):
        store.create(account, scopes)


def test_another_master_key_cannot_read_the_secrets(opened: Open, store: KeyStore) -> None:
    key_id, _ = store.create("alice", ["read"])

    with (
        closing(opened("22" * 32)) as other,
        pytest.raises(KeyStoreError, match="another master key"),
    ):
        other.find(key_id)


def test_a_list_has_every_key_but_no_secret(store: KeyStore) -> None:
    made = [store.create("alice", ["read"], f"bot {number}") for number in range(3)]
    store.revoke(made[1][0])

    rows = store.rows()
    assert [row.key_id for row in rows] == [key_id for key_id, _ in made]
    assert [row.revoked for row in rows] == [False, True, False]
    assert not any(secret in repr(rows) for _, secret in made)


def test_several_threads_may_use_it(store: KeyStore) -> None:
    found: list[object] = []

    def use() -> None:
        key_id, _ = store.create("alice", ["read"])
        found.append(store.find(key_id))

    threads = [threading.Thread(target=use) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({repr(key) for key in found if key is not None}) == 8


def test_a_database_needs_a_master_key_and_a_migration(postgres_database: str) -> None:
    with pytest.raises(KeyStoreError, match="FOLDEX_MASTER_KEY is needed"):
        keys_on(postgres_database, "")
    with pytest.raises(NoStore, match="foldex migrate"):
        keys_on(postgres_database, MASTER)


def test_several_may_migrate_at_once(postgres_database: str) -> None:
    done: list[bool] = []
    threads = [
        threading.Thread(target=lambda: done.append(migrate_keys(postgres_database)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(done) == [False, False, False, True]


def test_it_goes_on_when_its_connections_were_ended(postgres_database: str) -> None:
    migrate_keys(postgres_database)
    with closing(keys_on(postgres_database, MASTER)) as store:
        key_id, _ = store.create("alice", ["read"])
        _end_connections(postgres_database)
        assert store.find(key_id) is not None


def test_a_database_that_is_gone_is_no_unknown_key(postgres_database: str) -> None:
    migrate_keys(postgres_database)
    with closing(keys_on(postgres_database, MASTER)) as store:
        _refuse_connections(postgres_database)
        _end_connections(postgres_database)
        with pytest.raises(KeysUnavailable):
            store.find("fdxk_" + "0" * 32)
        with pytest.raises(NotReady):
            Verifier(store.find, lambda: 0).verify(signed(key_id="fdxk_" + "0" * 32), frozenset())


def _server(url: str) -> psycopg.Connection:
    return psycopg.connect(url, dbname="postgres", autocommit=True)


def _end_connections(url: str) -> None:
    name = url.rpartition("/")[2]
    with _server(url) as server:
        server.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name]
        )


def _refuse_connections(url: str) -> None:
    name = url.rpartition("/")[2]
    with _server(url) as server:
        server.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
