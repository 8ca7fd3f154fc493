"""A PostgreSQL that asks for a password and TLS: who may, and what the others are told."""

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
from pydantic import SecretStr

from api.config_check import check
from api.deployment import Deployment, deployment_of
from api.keys import KeysUnavailable
from api.settings import Settings
from deploy.services import postgres
from deploy.services.clone import Clone
from deploy.services.postgres import Postgres
from deploy.services.software import cache
from domain.events import AccountOpened
from eventstore.errors import AppendOutcomeUnknown, StoreError
from eventstore.postgres import open_postgres
from eventstore.postgres_connection import Server
from eventstore.postgres_schema import migrate
from projections.postgres import PostgresViews
from projections.runner import rebuild
from tests import services
from tests.certificates import Authority
from tests.cutting import VIEWS, Cutter
from tests.processes import foldex
from wallet.store import BooksUnavailable

PASSWORD = "p@ss: w/ord"
WRONG = "wr@ng: w/ord"
RULES = """
host     all  postgres      127.0.0.1/32  trust
hostssl  all  through_tls   127.0.0.1/32  scram-sha-256
hostssl  all  by_other_tls  127.0.0.1/32  scram-sha-256
host     all  through_tls   127.0.0.1/32  reject
host     all  all           127.0.0.1/32  scram-sha-256
"""
Connect = Callable[[str], object]


@dataclass(frozen=True, slots=True)
class Guarded:
    """A server of its own. admin: the URL of a superuser who needs no password."""

    admin: str
    authority: Authority

    def url(self, user: str, password: str = PASSWORD, more: str = "") -> str:
        place = self.admin.rpartition("@")[2].partition("/")[0]
        return f"postgresql://{user}:{quote(password, safe='')}@{place}/exchange{more}"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    if not (cache() / postgres.SOFTWARE).is_dir():
        services.missing("postgres", "it is not installed")
    directory = tmp_path_factory.mktemp("postgres")
    authority = Authority.make(directory)
    server = Postgres(Clone(directory))
    server.start()
    try:
        _guard(server, authority)
        yield Guarded(server.address(), authority)
    finally:
        server.stop()
        shutil.rmtree(server.clone.data)


def _guard(server: Postgres, authority: Authority) -> None:
    """Let it ask for passwords and TLS, and make a database and users."""
    (server.data / "pg_hba.conf").write_text(RULES)
    for name, content in zip(("server.key", "server.crt"), authority.sign(), strict=True):
        file = server.data / name
        file.write_bytes(content)
        file.chmod(0o600)
        owner = server.data.stat()
        os.chown(file, owner.st_uid, owner.st_gid)
    with psycopg.connect(server.address(), autocommit=True) as admin:
        admin.execute("CREATE ROLE foldex_writer")
        admin.execute("CREATE ROLE foldex_reader")
        for user, options in (
            ("owner", "IN ROLE foldex_writer, foldex_reader"),
            ("through_tls", "IN ROLE foldex_writer, foldex_reader"),
            ("reader", "IN ROLE foldex_reader"),
            ("stranger", ""),
        ):
            admin.execute(f"CREATE ROLE {user} LOGIN PASSWORD '{PASSWORD}' {options}")
        admin.execute("CREATE DATABASE exchange OWNER owner")
        admin.execute("GRANT owner TO through_tls")
        admin.execute("ALTER SYSTEM SET ssl = on")
        admin.execute("SELECT pg_reload_conf()")


@pytest.fixture(scope="module")
def migrated(guarded: Guarded) -> Guarded:
    deployed(guarded.url("owner")).migrate()
    return guarded


def deployed(url: str) -> Deployment:
    return deployment_of(_settings(url))


def _settings(url: str) -> Settings:
    return Settings(database_url=SecretStr(url), master_key=SecretStr("ab" * 32))


def read_books(url: str) -> None:
    with closing(deployed(url).open_books()) as books:
        list(books.events_after(0))


CONNECTIONS: Sequence[Connect] = (
    open_postgres,
    migrate,
    lambda url: deployed(url).migrate(),
    lambda url: deployed(url).open_keys(),
    lambda url: deployed(url).open_positions().try_lock(),
    lambda url: PostgresViews(url).current(),
    read_books,
)
"""Each way in which a process of Foldex connects."""


def use_everything(url: str) -> None:
    """Connect in each way that a process of Foldex does, and write."""
    there = deployed(url)
    there.migrate()
    with ExitStack() as opened:
        store = opened.enter_context(there.open_store(for_writing=True))
        position = store.log.head.position + 1
        store.log.append([AccountOpened(position, f"a{position}")], position)
        keys = opened.enter_context(closing(there.open_keys()))
        assert keys.create("a1", ["read"])
        opened.enter_context(closing(there.open_positions())).try_lock()
        opened.enter_context(there.lock("tests"))
        views = opened.enter_context(closing(there.open_views()))
        rebuild(store.log, views)
        books = opened.enter_context(closing(there.open_books()))
        assert list(books.events_after(0)) == []


def test_a_connection_that_is_cut_at_any_moment_is_an_error_of_foldex(
    postgres_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of views are cut in tests of their own."""
    use_everything(postgres_database)
    cutter = Cutter(monkeypatch, lambda name: name.startswith("foldex ") and name != VIEWS)
    told = 0
    for _ in cutter.moments():
        try:
            use_everything(postgres_database)
        except (StoreError, AppendOutcomeUnknown, KeysUnavailable, BooksUnavailable):
            told += 1
    assert told > 40


# Passwords.


def test_the_owner_does_everything_with_a_password(migrated: Guarded) -> None:
    use_everything(migrated.url("owner"))


@pytest.mark.parametrize("connect", CONNECTIONS)
def test_a_refused_password_is_said_and_not_shown(migrated: Guarded, connect: Connect) -> None:
    with pytest.raises(
        Exception, match='password authentication failed for user "owner"'
    ) as caught:
        connect(migrated.url("owner", WRONG))
    error: BaseException | None = caught.value
    while error is not None:
        for shown in (WRONG, quote(WRONG, safe="")):
            assert shown not in str(error)
        error = error.__cause__


def test_every_command_ends_with_one_line_of_it(migrated: Guarded) -> None:
    settings = {"FOLDEX_DATABASE_URL": migrated.url("owner", WRONG)}
    said = foldex(settings, "verify", code=3)
    assert 'password authentication failed for user "owner"' in said
    assert WRONG not in said


def test_config_check_says_what_to_do_about_a_password(migrated: Guarded) -> None:
    found = [
        each for each in check(_settings(migrated.url("owner", WRONG))) if each.what == "database"
    ]
    assert [each.level for each in found] == ["error"]
    assert "correct FOLDEX_DATABASE_URL" in found[0].advice


# Rights.


def test_a_user_who_may_not_read_is_told_what_to_grant(migrated: Guarded) -> None:
    with pytest.raises(StoreError, match=r"may not read .*GRANT foldex_reader TO stranger"):
        open_postgres(migrated.url("stranger"))


def test_a_user_who_may_not_append_is_told_what_to_grant(migrated: Guarded) -> None:
    with pytest.raises(StoreError, match=r"may not append.*GRANT foldex_writer TO reader"):
        open_postgres(migrated.url("reader"), for_writing=True)


def test_a_user_who_may_not_create_is_told_so(migrated: Guarded) -> None:
    with pytest.raises(StoreError, match=r"permission denied|must be owner"):
        deployed(migrated.url("reader")).migrate()


def test_a_database_that_a_user_may_not_enter_is_named(migrated: Guarded) -> None:
    with psycopg.connect(migrated.admin, autocommit=True) as admin:
        admin.execute("REVOKE CONNECT ON DATABASE exchange FROM PUBLIC")
        try:
            with pytest.raises(StoreError, match='permission denied for database "exchange"'):
                open_postgres(migrated.url("stranger"))
        finally:
            admin.execute("GRANT CONNECT ON DATABASE exchange TO PUBLIC")


# TLS.


def test_everything_goes_through_tls(migrated: Guarded) -> None:
    """The server lets this user in through TLS only, and no part leaves out what the URL says."""
    verified = f"?sslmode=verify-full&sslrootcert={migrated.authority.certificate}"
    use_everything(migrated.url("through_tls", more=verified))
    with closing(Server(migrated.url("owner", more=verified)).connect("test")) as connection:
        found = connection.execute(
            "SELECT ssl, version FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
        ).fetchone()
    assert found == {"ssl": True, "version": "TLSv1.3"}


def test_without_tls_a_user_is_not_let_in(migrated: Guarded) -> None:
    with pytest.raises(StoreError, match=r"pg_hba.conf rejects connection .* no encryption"):
        open_postgres(migrated.url("through_tls", more="?sslmode=disable"))


@pytest.mark.parametrize("connect", CONNECTIONS)
def test_a_server_of_another_authority_is_not_trusted(
    migrated: Guarded, tmp_path: Path, connect: Connect
) -> None:
    other = Authority.make(tmp_path)
    verified = f"?sslmode=verify-full&sslrootcert={other.certificate}"
    with pytest.raises(Exception, match="certificate verify failed"):
        connect(migrated.url("owner", more=verified))


def test_a_server_of_another_name_is_not_trusted(migrated: Guarded) -> None:
    verified = f"?sslmode=verify-full&sslrootcert={migrated.authority.certificate}"
    url = migrated.url("owner", more=verified).replace("@127.0.0.1:", "@localhost:")
    with pytest.raises(StoreError, match='does not match host name "localhost"'):
        open_postgres(url)
