"""API keys in PostgreSQL, in a schema of their own, on the library's recorder."""

from contextlib import ExitStack, closing
from typing import Final
from uuid import UUID

from eventsourcing.application import Application
from eventsourcing.persistence import ProgrammingError

from api.key_stores import decoded_master_key
from api.keys import KeyStore, KeyStoreError
from eventstore.errors import NoStore
from eventstore.postgres_application import environment_on
from eventstore.postgres_connection import Server, store_errors
from eventstore.postgres_schema import RUN_MIGRATE

SCHEMA: Final = "foldex_keys"

_NAME: Final = "api"
_TABLE: Final = f"{SCHEMA}.{_NAME}_events"


def migrate_keys(url: str) -> bool:
    """Make what keys are kept in; return whether it was missing.

    Raises: StoreError: not connected, or the user may not.
    """
    server = Server(url)
    with store_errors(server), closing(server.connect("foldex migrate")) as connection:
        # The library creates on connections of its own, so it is held until this one closes.
        connection.execute("SELECT pg_advisory_lock(hashtextextended('foldex migrate', 0))")
        found = connection.execute("SELECT to_regclass(%s) AS known", [_TABLE]).fetchone()
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
        _application(url, create_table=True).close()
    return found is None or found["known"] is None


def keys_on(url: str, master_key: str) -> KeyStore:
    """Return the keys in a database.

    Raises: KeyStoreError: there is no master key, or it is malformed; NoStore: nothing was
    migrated; StoreError: not connected.
    """
    if not master_key:
        raise KeyStoreError(
            "FOLDEX_MASTER_KEY is needed: 32 bytes as hex, the same in every process, and not"
            " where the database is; `openssl rand -hex 32` makes one"
        )
    key = decoded_master_key(master_key)
    server = Server(url)
    with ExitStack() as undo, store_errors(server):
        application = undo.enter_context(closing(_application(url, create_table=False)))
        try:
            application.recorder.max_notification_id()
        except ProgrammingError as error:
            raise NoStore(f"there are no API keys in {server.name}: {RUN_MIGRATE}") from error
        undo.pop_all()
        return KeyStore(application, key)


def _application(url: str, *, create_table: bool) -> Application[UUID]:
    return _Keys(
        env=environment_on(url, schema=SCHEMA, title="foldex keys", create_table=create_table)
    )


class _Keys(Application[UUID]):
    name = _NAME
