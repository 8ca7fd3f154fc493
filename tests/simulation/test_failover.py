"""The machine of the database is lost, and its synchronous replica goes on in its place."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from urllib.parse import urlsplit

import psycopg
import pytest

from deploy.services import postgres
from deploy.services.clone import Clone
from deploy.services.postgres import ENVIRONMENT, Postgres
from deploy.services.process import unprivileged_user
from deploy.services.software import cache
from domain.events import AccountOpened
from eventstore.errors import AppendFailed, StoreError
from eventstore.postgres import open_postgres
from eventstore.postgres_schema import migrate
from eventstore.store import Store
from tests import services
from tests.simulation.production import Production
from tests.simulation.trading import (
    Trader,
    check_log,
    check_views,
    open_exchange,
    wait_for_views,
)
from tests.waiting import until

ORDERS_BEFORE = ORDERS_AFTER = 300
DATABASE = "exchange"


@dataclass(frozen=True, slots=True)
class Pair:
    """A primary and its synchronous replica, with a database that is a log."""

    primary: Postgres
    replica: Postgres

    @property
    def url(self) -> str:
        """Whichever of the two may be written."""
        places = [urlsplit(each.address()).netloc.rpartition("@")[2] for each in self._both]
        options = "target_session_attrs=read-write"
        return f"postgresql://postgres@{','.join(places)}/{DATABASE}?{options}"

    @property
    def _both(self) -> tuple[Postgres, Postgres]:
        return self.primary, self.replica

    def lose_primary(self) -> None:
        """End the primary for good, and let the replica take its place."""
        self.primary.crash()
        with _admin(self.replica) as replica:
            replica.execute("SELECT pg_promote()")
            # The new primary has no replica of its own yet, and would wait for it for ever.
            replica.execute("ALTER SYSTEM RESET synchronous_standby_names")
            replica.execute("SELECT pg_reload_conf()")


def _admin(server: Postgres, database: str = "postgres") -> psycopg.Connection:
    url = services.database_url(server.address(), database)
    return psycopg.connect(url, autocommit=True)


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    if not (cache() / postgres.SOFTWARE).is_dir():
        services.missing("postgres", "it is not installed")
    primary, replica = (Postgres(Clone(tmp_path / name)) for name in ("primary", "replica"))
    for server in (primary, replica):
        server.clone.root.mkdir()
    try:
        primary.start()
        with _admin(primary) as admin:
            admin.execute(f"CREATE DATABASE {DATABASE}")
        _copy(primary, replica)
        replica.start()
        with _admin(primary) as admin:
            admin.execute("ALTER SYSTEM SET synchronous_standby_names = 'replica'")
            admin.execute("SELECT pg_reload_conf()")
            until(lambda: _is_synchronous(admin), "commits wait for the replica")
        yield Pair(primary, replica)
    finally:
        for server in (replica, primary):
            server.stop()
            shutil.rmtree(server.clone.data, ignore_errors=True)


def _append_until_refused(store: Store) -> None:
    """Append for some seconds: each session of a server takes a new setting in its own time."""
    for time_ms in range(1_000):
        store.log.append([AccountOpened(time_ms, f"account-{time_ms}")], time_ms)
        time.sleep(0.01)


def _is_synchronous(admin: psycopg.Connection) -> bool:
    found = admin.execute("SELECT application_name, sync_state FROM pg_stat_replication")
    return found.fetchall() == [("replica", "sync")]


def _copy(primary: Postgres, replica: Postgres) -> None:
    """Make a data directory that follows the primary as `replica`."""
    replica.data.parent.mkdir(parents=True, exist_ok=True)
    user = unprivileged_user()
    if user is not None:
        os.chown(replica.data.parent, user.pw_uid, user.pw_gid)
    subprocess.run(
        [
            *(f"{postgres.install()}/pg_basebackup", "--pgdata", str(replica.data)),
            *("--write-recovery-conf", "--checkpoint=fast", "--no-sync"),
            *("--dbname", f"{primary.address()}?application_name=replica"),
        ],
        env=ENVIRONMENT,
        user=None if user is None else user.pw_uid,
        cwd="/",
        check=True,
    )


@pytest.mark.timeout(300)
def test_nothing_acknowledged_is_lost_with_the_machine_of_the_database(
    pair: Pair, tmp_path: Path
) -> None:
    production = Production(tmp_path, pair.url, kafka="")
    production.leave_out("publish")
    production.run("migrate")
    with production:
        production.wait_until_ready()
        trader = Trader(open_exchange(production)[0], production.url, "t", Random(1))
        trader.start()
        production.wait_for(lambda: len(trader.answers) >= ORDERS_BEFORE)

        pair.lose_primary()

        more = len(trader.answers) + ORDERS_AFTER
        production.wait_for(lambda: len(trader.answers) >= more)
        trader.stopping = True
        trader.join(60)
        assert not trader.is_alive(), production.logs()
        with open_postgres(pair.url) as store:
            check_log(store, trader.answers)
            wait_for_views(production, pair.url, store.log.stored_head().position)
            check_views(store, pair.url, tmp_path / "rebuilt")


def test_a_replica_is_read_and_never_written(pair: Pair) -> None:
    migrate(pair.url)
    with open_postgres(pair.url, for_writing=True) as store:
        store.log.append([AccountOpened(1, "alice")], 1)
    replica = services.database_url(pair.replica.address(), DATABASE)
    with open_postgres(replica) as store:
        assert [each.last_position for each in store.log.read_all()] == [1]
    with pytest.raises(StoreError, match=r"it is read-only \(a replica\?\)"):
        open_postgres(replica, for_writing=True)


def test_a_writer_whose_database_becomes_read_only_says_so(pair: Pair) -> None:
    """As when the primary is made a replica of the other."""
    migrate(pair.url)
    with (
        open_postgres(pair.url, for_writing=True) as store,
        _admin(pair.primary, DATABASE) as admin,
    ):
        store.log.append([AccountOpened(1, "alice")], 1)
        admin.execute("ALTER SYSTEM SET default_transaction_read_only = on")
        admin.execute("SELECT pg_reload_conf()")
        with pytest.raises(AppendFailed, match="read-only"):
            _append_until_refused(store)
