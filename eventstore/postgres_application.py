"""How applications of the library connect that keep something beside the log: keys, books.

By the URL, all of it: what the library itself would be told leaves TLS and further hosts out.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Self

from eventsourcing.postgres import PostgresDatastore, PostgresFactory
from eventsourcing.utils import Environment, EnvType
from psycopg.types.composite import register_composite

from eventstore.postgres_connection import Connection, Connections, Server

_URL: Final = "DATABASE_URL"
_SCHEMA: Final = "POSTGRES_SCHEMA"
_TITLE: Final = "TITLE"


def environment_on(url: str, *, schema: str, title: str, create_table: bool) -> dict[str, str]:
    """Return the environment of an application whose events are in a schema of a database.

    title: what the database's own lists of connections say of them.
    """
    return {
        "PERSISTENCE_MODULE": f"{__name__}:{Factory.__name__}",
        "CREATE_TABLE": "y" if create_table else "n",
        # The library wants to be given these; what counts is the URL.
        **{f"POSTGRES_{name}": "" for name in ("DBNAME", "HOST", "USER", "PASSWORD")},
        _URL: url,
        _SCHEMA: schema,
        _TITLE: title,
    }


class Factory(PostgresFactory):
    """The library's, on connections of ours."""

    def __init__(self, env: Environment | EnvType | None) -> None:
        """Connect nothing yet. Raises: StoreError: the URL is not PostgreSQL's."""
        super().__init__(env)
        title, schema = self.env.get(_TITLE) or "", self.env.get(_SCHEMA) or ""
        self.datastore = _Datastore(Server(self.env.get(_URL) or ""), title, schema)


class _Datastore(PostgresDatastore):
    """The library's, without its own pool, which takes long to notice that a server is away."""

    def __init__(self, server: Server, title: str, schema: str) -> None:
        self._connections = Connections(server, title, role="none")
        super().__init__("", "", "", "", "", schema=schema)

    @contextmanager
    def get_connection(self) -> Iterator[Connection]:
        """Lend a connection. Raises: PersistenceError."""
        with self._connections.connection() as connection:
            for kind in self.psycopg_type_adapters.values():
                if not connection.adapters.types.get(kind.oid):
                    register_composite(kind, connection)
            yield connection

    def close(self) -> None:
        """Close the connections."""
        self._connections.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
