"""Connections to PostgreSQL that the server ends, whatever they are doing."""

from collections.abc import Callable, Iterator
from typing import Any, Final

import psycopg
import pytest

VIEWS: Final = "foldex views"


def cut_connections(url: str, application: str = VIEWS) -> int:
    """Terminate all that an application has to a database; return how many there were."""
    with psycopg.connect(url) as connection:
        found = connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name = %s",
            [application],
        ).fetchall()
    return len(found)


class Cutter:
    """Cuts a connection that is about to send the statement it was set to.

    which: whether it counts the statements of an application.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, which: Callable[[str], bool]) -> None:
        self._left = 0
        wait = psycopg.Connection.wait

        def cut_and_wait(connection: psycopg.Connection[Any], *args: Any, **more: Any) -> Any:
            if which(connection.info.parameter_status("application_name") or ""):
                self._left -= 1
                if self._left == 0:
                    _cut(connection)
            return wait(connection, *args, **more)

        monkeypatch.setattr(psycopg.Connection, "wait", cut_and_wait)

    def moments(self) -> Iterator[int]:
        """Yield 1, 2 …: the statement from now on before which it cuts, until there is none."""
        moment = 0
        while self._left <= 0:
            self._left = moment = moment + 1
            yield moment
        self._left = 0


def _cut(connection: psycopg.Connection[Any]) -> None:
    with psycopg.connect(connection.info.dsn, application_name="cutter") as cutter:
        cutter.execute("SELECT pg_terminate_backend(%s)", [connection.info.backend_pid])
