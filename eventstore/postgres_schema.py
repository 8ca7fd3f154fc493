"""What makes a PostgreSQL database a Foldex log: its tables, its safeguards, and its version.

`migrate` alone creates or changes anything. Tables, functions and triggers are in the schema
`foldex`; the two roles belong to the whole server.
"""

from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Final, NamedTuple

import psycopg

from eventstore.errors import NoStore, StoreError, StoreTooNew
from eventstore.postgres_connection import Connection, Server, store_errors

SCHEMA: Final = "foldex"
EVENTS_TABLE: Final = "stored_events"
SNAPSHOTS_TABLE: Final = "snapshots"
WRITER_ROLE: Final = "foldex_writer"
READER_ROLE: Final = "foldex_reader"
CHANNEL: Final = "foldex_commits"
"""Where each stored commit is announced, with the name of its stream."""
SERVER_VERSION_MIN: Final = 150000
RUN_MIGRATE: Final = "run `./foldex migrate`"


class Trigger(NamedTuple):
    """always: it fires even in a session of which a superuser said that it replicates."""

    table: str
    definition: str
    always: bool


_REFUSE: Final = "BEFORE UPDATE OR DELETE OR TRUNCATE ON foldex.{} FOR EACH STATEMENT"
TRIGGERS: Final[Mapping[str, Trigger]] = {
    "events_are_never_changed": Trigger(
        EVENTS_TABLE,
        f"{_REFUSE.format(EVENTS_TABLE)} EXECUTE FUNCTION foldex.refuse_change()",
        always=True,
    ),
    "witness_is_never_changed": Trigger(
        "log_witness",
        f"{_REFUSE.format('log_witness')} EXECUTE FUNCTION foldex.refuse_change()",
        always=True,
    ),
    "witness_follows_the_log": Trigger(
        EVENTS_TABLE,
        f"AFTER INSERT ON foldex.{EVENTS_TABLE} REFERENCING NEW TABLE AS added "
        "FOR EACH STATEMENT EXECUTE FUNCTION foldex.note_commits()",
        always=False,
    ),
}
"""Name -> every trigger. log_witness tells when the last commit was removed."""

UNWITNESSED: Final = (
    "SELECT 1 WHERE EXISTS (SELECT FROM foldex.stored_events) "
    "AND NOT EXISTS (SELECT FROM foldex.log_witness)"
)


def trigger_statements() -> list[str]:
    """Return what creates every trigger."""
    return [
        statement
        for name, (table, definition, always) in TRIGGERS.items()
        for statement in (
            f"CREATE TRIGGER {name} {definition}",
            f"ALTER TABLE foldex.{table} ENABLE {'ALWAYS' if always else ''} TRIGGER {name}",
        )
    ]


# The witness is one more row for each commit. One row that is updated would be smaller, but while
# a backup runs no old version of it can be cleared away, and each append would read them all.
_VERSION_1: Final = (
    # An order of text that no upgrade of the operating system changes.
    """CREATE TABLE foldex.stored_events (
        originator_id text COLLATE "C" NOT NULL,
        originator_version bigint NOT NULL,
        topic text NOT NULL,
        state bytea NOT NULL,
        notification_id bigserial NOT NULL,
        PRIMARY KEY (originator_id, originator_version))""",
    # What is stored is compressed already.
    "ALTER TABLE foldex.stored_events ALTER state SET STORAGE EXTERNAL",
    "CREATE UNIQUE INDEX stored_events_place ON foldex.stored_events (notification_id)",
    """CREATE TABLE foldex.log_witness (
        stream text COLLATE "C" NOT NULL,
        number bigint NOT NULL,
        PRIMARY KEY (stream, number))""",
    """CREATE TABLE foldex.snapshots (
        originator_id text COLLATE "C" NOT NULL,
        originator_version bigint NOT NULL,
        topic text NOT NULL,
        state bytea NOT NULL,
        PRIMARY KEY (originator_id, originator_version))""",
    "ALTER TABLE foldex.snapshots ALTER state SET STORAGE EXTERNAL",
    """CREATE FUNCTION foldex.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN RAISE EXCEPTION 'the log is append-only'; END $$""",
    # It writes with its owner's rights what the role that appends could not write itself.
    """CREATE FUNCTION foldex.note_commits() RETURNS trigger LANGUAGE plpgsql
        SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
        BEGIN
            INSERT INTO foldex.log_witness SELECT originator_id, originator_version FROM added;
            PERFORM pg_notify('foldex_commits', stream)
                FROM (SELECT DISTINCT originator_id AS stream FROM added) AS streams;
            RETURN NULL;
        END $$""",
    "REVOKE EXECUTE ON FUNCTION foldex.note_commits() FROM PUBLIC",
    *trigger_statements(),
    "GRANT USAGE ON SCHEMA foldex TO foldex_reader, foldex_writer",
    "GRANT SELECT ON ALL TABLES IN SCHEMA foldex TO foldex_reader, foldex_writer",
    "GRANT INSERT ON foldex.stored_events TO foldex_writer",
    "GRANT USAGE ON SEQUENCE foldex.stored_events_notification_id_seq TO foldex_writer",
    "GRANT INSERT, DELETE ON foldex.snapshots TO foldex_writer",
)
_VERSIONS: Final[Sequence[Sequence[str]]] = (_VERSION_1,)
SCHEMA_VERSION: Final = len(_VERSIONS)

_CREATE_ROLE: Final = """DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}') THEN
        CREATE ROLE {role} NOLOGIN;
    END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN
    NULL;  -- Another database of this server is being migrated too.
END $$"""
_NEED_ROLES: Final = (
    "may not create the roles that the log needs. Let a superuser run `CREATE ROLE foldex_writer; "
    "CREATE ROLE foldex_reader; GRANT foldex_writer, foldex_reader TO {user}`, and migrate again"
)


def migrate(url: str) -> list[int]:
    """Make a database a log of this version, and return the versions of the schema it went through.

    Repeating it does nothing; several at once wait for one another.
    Raises: StoreTooNew; StoreError: not connected, or the user may not.
    """
    server = Server(url)
    with store_errors(server), closing(server.connect("foldex migrate")) as connection:
        if connection.info.server_version < SERVER_VERSION_MIN:
            raise StoreError(f"{server.name} is too old: Foldex needs PostgreSQL 15 or newer")
        return _migrate(connection)


def check_schema(connection: Connection, server: Server) -> None:
    """Raise NoStore, or StoreTooNew, unless the database is a log of this version."""
    try:
        version = _version(connection)
    except psycopg.errors.UndefinedTable:
        raise NoStore(f"there is no Foldex log in {server.name}: {RUN_MIGRATE}") from None
    except psycopg.errors.InsufficientPrivilege as error:
        user = connection.info.user
        raise StoreError(
            f"the user {user!r} may not read the log in {server.name}: "
            f"let its owner run `GRANT {READER_ROLE} TO {user}`"
        ) from error
    if version > SCHEMA_VERSION:
        raise _too_new(version)
    if version < SCHEMA_VERSION:
        raise NoStore(
            f"the log in {server.name} has schema version {version}, this Foldex needs "
            f"{SCHEMA_VERSION}: {RUN_MIGRATE}"
        )


def check_safeguards(connection: Connection) -> list[str]:
    """Return which safeguards of the log were removed."""
    enabled = {
        row["tgname"]: row["tgenabled"]
        for row in connection.execute(
            "SELECT tgname, tgenabled::text FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid"
            " WHERE NOT tgisinternal AND relnamespace = 'foldex'::regnamespace"
        )
    }
    problems = [f"the trigger {name} was removed" for name in TRIGGERS if name not in enabled]
    for name, trigger in TRIGGERS.items():
        if enabled.get(name, "A") != "A" and (trigger.always or enabled[name] != "O"):
            problems.append(f"the trigger {name} was switched off")
    key = connection.execute(
        "SELECT 1 FROM pg_index WHERE indrelid = 'foldex.stored_events'::regclass"
        " AND indisprimary AND indisvalid"
    )
    if key.fetchone() is None:
        problems.append("the primary key of the log was removed")
    if connection.execute(UNWITNESSED).fetchone() is not None:
        problems.append("the note of the last commit (log_witness) was removed")
    return problems


def _migrate(connection: Connection) -> list[int]:
    with connection.transaction():
        connection.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended('foldex migrate', 0))", prepare=False
        )
        connection.execute("CREATE SCHEMA IF NOT EXISTS foldex")
        connection.execute(
            "CREATE TABLE IF NOT EXISTS foldex.log_versions "
            "(version integer PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())"
        )
        before = _version(connection)
        if before > SCHEMA_VERSION:
            raise _too_new(before)
        for role in (WRITER_ROLE, READER_ROLE):
            _provide(connection, role)
        for version, statements in enumerate(_VERSIONS[before:], before + 1):
            for statement in statements:
                connection.execute(statement, prepare=False)
            connection.execute("INSERT INTO foldex.log_versions VALUES (%s)", [version])
    return list(range(before + 1, SCHEMA_VERSION + 1))


def _provide(connection: Connection, role: str) -> None:
    """Create a role if need be, and let the user who migrates become it."""
    try:
        with connection.transaction():
            connection.execute(_CREATE_ROLE.format(role=role))
        if not _may_become(connection, role):
            with connection.transaction():
                connection.execute(f"GRANT {role} TO CURRENT_USER")
    except psycopg.errors.InsufficientPrivilege as error:
        user = connection.info.user
        raise StoreError(f"the user {user!r} {_NEED_ROLES.format(user=user)}") from error


def _may_become(connection: Connection, role: str) -> bool:
    try:
        with connection.transaction(force_rollback=True):
            connection.execute(f"SET LOCAL ROLE {role}")
    except psycopg.errors.InsufficientPrivilege:
        return False
    return True


def _version(connection: Connection) -> int:
    found = connection.execute("SELECT max(version) AS version FROM foldex.log_versions")
    row = found.fetchone()
    return row["version"] or 0 if row else 0


def _too_new(version: int) -> StoreTooNew:
    return StoreTooNew(
        f"the log has schema version {version}, this Foldex knows up to {SCHEMA_VERSION}: "
        "upgrade Foldex"
    )
