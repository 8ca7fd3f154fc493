"""API keys: found by any process, bound to what they may do, unreadable without the master key."""

import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from api import keys
from api.key_stores import keys_in
from api.keys import KeyStore, KeyStoreError

MASTER = "11" * 32


@pytest.fixture
def store(tmp_path: Path) -> Iterator[KeyStore]:
    opened = keys_in(tmp_path)
    yield opened
    opened.close()


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
    tmp_path: Path, store: KeyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = keys_in(tmp_path)
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


def test_a_stolen_database_does_not_give_secrets_away(tmp_path: Path) -> None:
    store = keys_in(tmp_path, MASTER)
    _, secret = store.create("alice", ["read"])
    store.close()

    stored = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert secret.encode() not in stored
    assert not (tmp_path / "master.key").exists()


def test_another_master_key_cannot_read_the_secrets(tmp_path: Path) -> None:
    store = keys_in(tmp_path, MASTER)
    key_id, _ = store.create("alice", ["read"])
    store.close()
    other = keys_in(tmp_path, "22" * 32)

    with pytest.raises(KeyStoreError, match="another master key"):
        other.find(key_id)
    other.close()


def test_a_lost_master_key_is_not_silently_replaced(tmp_path: Path) -> None:
    keys_in(tmp_path).close()
    (tmp_path / "master.key").unlink()

    with pytest.raises(KeyStoreError, match="missing"):
        keys_in(tmp_path)


def test_files_are_for_the_owner_only(tmp_path: Path, store: KeyStore) -> None:
    for name in ("master.key", "keys.db"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600


@pytest.mark.parametrize("text", ["short", "zz" * 32, "11" * 31])
def test_a_malformed_master_key_is_refused_without_repeating_it(tmp_path: Path, text: str) -> None:
    with pytest.raises(KeyStoreError) as refused:
        keys_in(tmp_path, text)

    assert text not in str(refused.value)


def test_a_master_key_in_base64_is_taken(tmp_path: Path) -> None:
    keys_in(tmp_path, "ERERERERERERERERERERERERERERERERERERERERERE=").close()
    assert not (tmp_path / "master.key").exists()
