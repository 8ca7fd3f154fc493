"""API keys in a data directory: unreadable without the master key, and for their owner only."""

import os
import sqlite3
import stat
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest
from eventsourcing.persistence import OperationalError

from api import keys
from api.key_stores import keys_in
from api.keys import ApiKey, KeyStoreError, KeysUnavailable
from tests.beside import beside

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


def test_a_file_that_another_process_makes_at_the_moment_is_waited_for(tmp_path: Path) -> None:
    file = tmp_path / "keys.db"
    with closing(sqlite3.connect(file, check_same_thread=False, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        other.execute("CREATE TABLE being_made (x)")

        def end() -> None:
            time.sleep(0.1)
            other.execute("COMMIT")

        with beside(end):
            keys_in(tmp_path, MASTER).close()


def test_a_process_of_the_same_number_in_another_container_is_not_in_the_way(
    tmp_path: Path,
) -> None:
    (tmp_path / f"master.key.{os.getpid()}").touch()
    keys_in(tmp_path).close()


def test_a_key_that_ends_while_it_is_looked_up_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys, "RECHECK_S", 0.0)
    with closing(keys_in(tmp_path)) as store, closing(keys_in(tmp_path)) as elsewhere:
        key_id, _ = store.create("alice", ["read"])
        load = store._load

        def load_slowly(asked: str) -> ApiKey | None:
            loaded = load(asked)
            elsewhere.revoke(key_id)
            # Another thread sees that something was changed, before this one goes on.
            monkeypatch.setattr(store, "_load", load)
            assert store.find("fdxk_" + "0" * 32) is None
            return loaded

        monkeypatch.setattr(store, "_load", load_slowly)
        assert store.find(key_id) is not None, "it was in force when it was asked for"
        assert store.find(key_id) is None


def test_a_key_is_not_taken_for_valid_when_nobody_could_say_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(keys_in(tmp_path)) as store:
        key_id, _ = store.create("alice", ["read"])
        assert store.find(key_id) == store.cached(key_id) is not None
        monkeypatch.setattr(store, "_checked_s", float("-inf"))
        assert store.cached(key_id) is None

        def fail() -> int:
            raise OperationalError

        monkeypatch.setattr(store._application.recorder, "max_notification_id", fail)
        for _ in range(2):
            with pytest.raises(KeysUnavailable):
                store.find(key_id)
            assert store.cached(key_id) is None


def test_nobody_waits_for_a_database_that_hangs_to_learn_that_a_key_is_not_at_hand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(keys_in(tmp_path)) as store:
        key_id, _ = store.create("alice", ["read"])
        asked, answered = threading.Event(), threading.Event()
        found = store.find(key_id)
        newest = store._application.recorder.max_notification_id

        def hang() -> int | None:
            asked.set()
            answered.wait(10)
            return newest()

        monkeypatch.setattr(store._application.recorder, "max_notification_id", hang)
        monkeypatch.setattr(store, "_checked_s", float("-inf"))
        with beside(lambda: store.find(key_id)):
            assert asked.wait(10)
            assert store.cached(key_id) is None
            assert not answered.is_set()
            answered.set()
        assert store.cached(key_id) == found
