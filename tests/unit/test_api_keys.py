"""API keys in a data directory: unreadable without the master key, and for their owner only."""

import stat
from pathlib import Path

import pytest

from api.key_stores import keys_in
from api.keys import KeyStoreError

MASTER = "11" * 32


def test_a_stolen_database_does_not_give_secrets_away(tmp_path: Path) -> None:
    store = keys_in(tmp_path, MASTER)
    _, secret = store.create("alice", ["read"])
    store.close()

    stored = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert secret.encode() not in stored
    assert not (tmp_path / "master.key").exists()


def test_a_lost_master_key_is_not_silently_replaced(tmp_path: Path) -> None:
    keys_in(tmp_path).close()
    (tmp_path / "master.key").unlink()

    with pytest.raises(KeyStoreError, match="missing"):
        keys_in(tmp_path)


def test_files_are_for_the_owner_only(tmp_path: Path) -> None:
    keys_in(tmp_path).close()
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
