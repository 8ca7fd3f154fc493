"""The PostgreSQL log itself: durable, append-only, versioned, and clear about what is wrong."""

import multiprocessing.pool
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import psycopg
import pytest

from audit.verify import verify
from domain.events import AccountOpened, Event
from eventstore.commit import GENESIS
from eventstore.errors import (
    AppendFailed,
    NoStore,
    StoreDamaged,
    StoreError,
    StoreTooNew,
)
from eventstore.postgres import PostgresRecorder, open_postgres
from eventstore.postgres_schema import migrate
from eventstore.snapshots import snapshot_of
from eventstore.store import Store
from tests.services import database_url, drop_database, fresh_database

PASSWORD = "p@ss:w/rd%20"


def opened(n: int) -> list[Event]:
    return [AccountOpened(1_700_000_000_000 + n, f"account-{n}")]


@pytest.fixture
def url(postgres_database: str) -> str:
    migrate(postgres_database)
    return postgres_database


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    with open_postgres(url) as store:
        for n in range(3):
            store.log.append(opened(n), n)
        yield store


@pytest.fixture
def admin(url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(url, autocommit=True) as admin:
        yield admin


def writer_of(store: Store) -> psycopg.Connection[dict[str, object]]:
    recorder = store.log.recorder
    assert isinstance(recorder, PostgresRecorder)
    connection = recorder.writer._connection
    assert connection is not None
    return connection


def with_user(url: str, user: str, password: str = "") -> str:
    parts = urlsplit(url)
    secret = f":{password}" if password else ""
    return urlunsplit(parts._replace(netloc=f"{user}{secret}@{parts.hostname}:{parts.port}"))


@contextmanager
def login(admin: psycopg.Connection, options: str = "") -> Iterator[str]:
    """Give the name of a user of the server, and drop it with what it owns."""
    name = f"test_{uuid4().hex}"
    admin.execute(f"CREATE ROLE {name} LOGIN {options}")
    try:
        yield name
    finally:
        admin.execute(f"REASSIGN OWNED BY {name} TO CURRENT_USER")
        admin.execute(f"DROP OWNED BY {name}")
        admin.execute(f"DROP ROLE {name}")


# Durable.


@pytest.mark.parametrize("less", ["off", "local", "remote_write"])
def test_commits_are_durable_when_append_returns(
    url: str, admin: psycopg.Connection, less: str
) -> None:
    database = urlsplit(url).path[1:]
    admin.execute(f'ALTER DATABASE "{database}" SET synchronous_commit = {less}')
    with open_postgres(url, for_writing=True) as store:
        found = writer_of(store).execute("SHOW synchronous_commit").fetchone()
        assert found == {"synchronous_commit": "on"}


def test_a_server_that_does_not_write_durably_is_refused(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "eventstore.postgres_writer._FACTS",
        "SELECT 1 AS pid, 'off' AS fsync, 'on' AS synchronous_commit, 'off' AS read_only",
    )
    with pytest.raises(StoreError, match="does not write durably: fsync is off"):
        open_postgres(url, for_writing=True)


def test_a_replica_is_read_but_not_written(url: str, admin: psycopg.Connection) -> None:
    database = urlsplit(url).path[1:]
    admin.execute(f'ALTER DATABASE "{database}" SET default_transaction_read_only = on')
    with pytest.raises(StoreError, match="read-only"):
        open_postgres(url, for_writing=True)
    with open_postgres(url) as store:
        assert store.log.read(0) == []
        with pytest.raises(AppendFailed, match="read-only"):
            store.log.append(opened(1), 1)


def test_a_full_disk_refuses_the_append_and_keeps_what_there_was(
    store: Store, admin: psycopg.Connection
) -> None:
    admin.execute(
        "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "RAISE 'could not extend file: No space left on device' USING ERRCODE = '53100'; END $$"
    )
    admin.execute(
        "CREATE TRIGGER full_disk BEFORE INSERT ON foldex.stored_events"
        " EXECUTE FUNCTION full_disk()"
    )
    with pytest.raises(AppendFailed, match="No space left on device"):
        store.log.append(opened(9), 1)
    admin.execute("DROP TRIGGER full_disk ON foldex.stored_events")
    assert verify(store).events == 3
    assert store.log.append(opened(9), 1).number == 4


# Append-only.

CHANGES = [
    "UPDATE foldex.stored_events SET topic = 'x' WHERE originator_version = 2",
    "DELETE FROM foldex.stored_events WHERE originator_version = 3",
    "TRUNCATE foldex.stored_events",
    "UPDATE foldex.log_witness SET number = 1",
    "DELETE FROM foldex.log_witness",
    "TRUNCATE foldex.log_witness",
    """INSERT INTO foldex.stored_events SELECT * FROM foldex.stored_events
        ON CONFLICT (originator_id, originator_version) DO UPDATE SET state = ''""",
]


@pytest.mark.parametrize("statement", CHANGES)
@pytest.mark.parametrize("replicating", [False, True])
def test_the_database_itself_refuses_to_change_a_commit(
    store: Store, admin: psycopg.Connection, statement: str, replicating: bool
) -> None:
    if replicating:  # It switches off all triggers but those that are always on.
        admin.execute("SET session_replication_role = replica")
    with pytest.raises(psycopg.errors.RaiseException, match="append-only"):
        admin.execute(statement)
    assert verify(store).problems == []


@pytest.mark.parametrize("statement", [*CHANGES, "INSERT INTO foldex.log_witness VALUES ('x', 9)"])
def test_the_process_that_appends_has_no_right_to_change_a_commit(
    store: Store, admin: psycopg.Connection, statement: str
) -> None:
    for table in ("stored_events", "log_witness"):
        admin.execute(f"ALTER TABLE foldex.{table} DISABLE TRIGGER USER")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        writer_of(store).execute(statement)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (
            "DROP TRIGGER events_are_never_changed ON foldex.stored_events",
            "the trigger events_are_never_changed was removed",
        ),
        (
            "ALTER TABLE foldex.log_witness DISABLE TRIGGER witness_is_never_changed",
            "the trigger witness_is_never_changed was switched off",
        ),
        (
            "ALTER TABLE foldex.stored_events ENABLE TRIGGER events_are_never_changed",
            "the trigger events_are_never_changed was switched off",
        ),
        (
            "ALTER TABLE foldex.stored_events DISABLE TRIGGER witness_follows_the_log",
            "the trigger witness_follows_the_log was switched off",
        ),
        (
            "ALTER TABLE foldex.stored_events DROP CONSTRAINT stored_events_pkey",
            "the primary key of the log was removed",
        ),
    ],
)
def test_a_removed_safeguard_is_reported(
    store: Store, admin: psycopg.Connection, change: str, problem: str
) -> None:
    admin.execute(change)
    assert [each.detail for each in verify(store).problems] == [problem]


def test_the_note_of_the_last_commit_cannot_be_removed_unnoticed(
    store: Store, admin: psycopg.Connection
) -> None:
    admin.execute("DROP TRIGGER witness_is_never_changed ON foldex.log_witness")
    admin.execute("TRUNCATE foldex.log_witness")
    assert "the note of the last commit (log_witness) was removed" in [
        each.detail for each in verify(store).problems
    ]


def test_a_damaged_file_of_the_database_is_called_damage(postgres_url: str) -> None:
    """The file is overwritten in a copy of the database, none of which is in memory yet."""
    with (
        fresh_database(postgres_url, "template0") as url,
        psycopg.connect(postgres_url, autocommit=True) as server,
    ):
        migrate(url)
        with open_postgres(url) as store:
            store.log.append(opened(1), 1)
        name = urlsplit(url).path[1:]
        try:
            # TimescaleDB looks into every database; one that is in use cannot be copied.
            server.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
            server.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name]
            )
            server.execute(f"CREATE DATABASE {name}_copy TEMPLATE {name} STRATEGY file_copy")
            overwrite(database_url(postgres_url, f"{name}_copy"), "foldex.stored_events")
            with open_postgres(database_url(postgres_url, f"{name}_copy")) as store:
                with pytest.raises(StoreDamaged, match="the database says: invalid page"):
                    list(store.log.read_all())
                assert verify(store).first_bad_position == 1
        finally:
            drop_database(server, f"{name}_copy")


def overwrite(url: str, table: str) -> None:
    with psycopg.connect(url, autocommit=True) as database:
        row = database.execute(
            "SELECT current_setting('data_directory') || '/' || pg_relation_filepath(%s)", [table]
        ).fetchone()
        assert row is not None
        database.execute(f"COPY (SELECT repeat('x', 8192)) TO '{row[0]}'")


# Versions.


def test_migrating_again_does_nothing(postgres_database: str) -> None:
    assert migrate(postgres_database) == [1]
    assert migrate(postgres_database) == []


def test_many_may_migrate_at_once(postgres_database: str) -> None:
    with multiprocessing.pool.ThreadPool(6) as pool:
        done = pool.map(migrate, [postgres_database] * 6)
    assert sorted(done) == [[], [], [], [], [], [1]]
    with open_postgres(postgres_database) as store:
        assert verify(store).ok


def test_a_database_that_was_never_migrated_says_what_to_run(postgres_database: str) -> None:
    with pytest.raises(NoStore, match=r"no Foldex log .* run `./foldex migrate`"):
        open_postgres(postgres_database)


def test_an_older_log_says_what_to_run(url: str, admin: psycopg.Connection) -> None:
    admin.execute("DELETE FROM foldex.log_versions")
    with pytest.raises(NoStore, match=r"schema version 0, .* run `./foldex migrate`"):
        open_postgres(url)


def test_a_log_of_a_newer_version_is_refused(url: str, admin: psycopg.Connection) -> None:
    admin.execute("INSERT INTO foldex.log_versions VALUES (99)")
    for use in (open_postgres, migrate):
        with pytest.raises(StoreTooNew, match=r"version 99.*upgrade Foldex"):
            use(url)


# Who may.


def test_a_plain_owner_of_the_database_can_do_everything(
    postgres_database: str, postgres_url: str
) -> None:
    with (
        psycopg.connect(postgres_url, autocommit=True) as server,
        psycopg.connect(postgres_database, autocommit=True) as database,
        login(database, "CREATEROLE") as user,
    ):
        server.execute(f'ALTER DATABASE "{urlsplit(postgres_database).path[1:]}" OWNER TO {user}')
        for role in ("foldex_writer", "foldex_reader"):
            server.execute(f"GRANT {role} TO {user}")
        url = with_user(postgres_database, user)
        assert migrate(url) == [1]
        with open_postgres(url, for_writing=True) as store:
            store.log.append(opened(1), 1)
            store.snapshots.save(snapshot_of(1, store.log.head, b"state"))
            assert verify(store).problems[0].detail.startswith("the snapshot")
            found = writer_of(store).execute("SELECT current_user AS name").fetchone()
            assert found == {"name": "foldex_writer"}
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                writer_of(store).execute("DELETE FROM foldex.stored_events")


def test_a_user_who_may_not_make_roles_is_told_what_a_superuser_must_do(
    postgres_database: str,
) -> None:
    with psycopg.connect(postgres_database, autocommit=True) as admin, login(admin) as user:
        admin.execute(f"GRANT CREATE ON DATABASE {urlsplit(postgres_database).path[1:]} TO {user}")
        with pytest.raises(StoreError, match=rf"(?s){user}.*GRANT foldex_writer.* TO {user}"):
            migrate(with_user(postgres_database, user))


def test_a_reader_reads_and_is_refused_the_rest(
    url: str, store: Store, admin: psycopg.Connection
) -> None:
    with login(admin) as user:
        own = with_user(url, user)
        with pytest.raises(StoreError, match=rf"may not read.*GRANT foldex_reader TO {user}"):
            open_postgres(own)
        admin.execute(f"GRANT foldex_reader TO {user}")
        with open_postgres(own) as reader:
            assert verify(reader).events == 3
            with pytest.raises(AppendFailed, match="permission denied"):
                reader.log.append(opened(4), 4)
            with pytest.raises(StoreError, match="permission denied"):
                reader.snapshots.save(snapshot_of(1, GENESIS, b""))


# What is wrong with an address.


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (f"postgresq://me:{PASSWORD}@db/foldex", "postgresql://user:password@host:5432/database"),
        (f"postgresql://me:{PASSWORD}@db/foldex?no=such", "not a URL"),
        ("", "not a URL"),
        ("postgresql://me:secret-word@127.0.0.1:1/foldex", "refused"),
        ("postgresql://me:secret-word@no-such-host.invalid/foldex", "no-such-host.invalid"),
    ],
)
def test_an_address_that_leads_nowhere_is_named_without_its_password(
    bad: str, message: str
) -> None:
    for use in (open_postgres, migrate):
        with pytest.raises(StoreError, match=message) as caught:
            use(bad)
        assert_no_password(caught.value, PASSWORD, "secret-word")


def test_a_wrong_password_is_not_repeated(url: str, admin: psycopg.Connection) -> None:
    """The servers of the tests trust everybody, so the user here does not exist."""
    with pytest.raises(StoreError, match=r"nobody_.*does not exist") as caught:
        open_postgres(with_user(url, "nobody_", "secret-word"))
    assert_no_password(caught.value, "secret-word")


def test_a_missing_database_is_named(postgres_url: str) -> None:
    with pytest.raises(NoStore, match=r"'no_such_database' .* does not exist: create it first"):
        open_postgres(database_url(postgres_url, "no_such_database"))


def assert_no_password(error: BaseException | None, *passwords: str) -> None:
    while error is not None:
        for password in passwords:
            assert password not in str(error)
        error = error.__cause__ or error.__context__


# Snapshots.


def test_a_snapshot_of_many_megabytes_comes_back(store: Store) -> None:
    state = bytes(range(256)) * 4 * 10_000
    noise = b"".join(uuid4().bytes for _ in range(500_000))
    store.snapshots.save(snapshot_of(2, store.log.head, state + noise))
    assert store.snapshots.at(2).state == state + noise
