"""Hears from PostgreSQL that another process has appended. A hint: whoever waits also polls."""

import logging
import selectors
import socket
from collections.abc import Callable
from contextlib import closing
from threading import Event, Lock, Thread
from typing import Final

import psycopg
from eventsourcing.persistence import PersistenceError

from eventstore.postgres_connection import Connection, Server
from eventstore.postgres_schema import CHANNEL, READER_ROLE

APPLICATION: Final = "foldex listener"
RECONNECT_S: Final = 1.0

_log = logging.getLogger(__name__)


class PostgresNotices:
    """Listens on a connection of its own, in a thread that starts with the first `watch`.

    ignored: returns the server's process whose commits this process knows without being told.
    """

    def __init__(self, server: Server, ignored: Callable[[], int | None]) -> None:
        self._server = server
        self._ignored = ignored
        self._watchers: list[tuple[str, Callable[[], None]]] = []
        self._stopping = Event()
        self._stop_sender, self._stop_receiver = socket.socketpair()
        self._thread = Thread(target=self._run, name="listener", daemon=True)
        self._changing = Lock()
        self._listening = False

    @property
    def listening(self) -> bool:
        """Whether commits of others are announced now."""
        return self._listening

    def watch(self, stream: str, noticed: Callable[[], None]) -> None:
        """Call `noticed`, on the listener's thread, when a stream may have grown."""
        with self._changing:
            self._watchers.append((stream, noticed))
            if self._thread.ident is None and not self._stopping.is_set():
                self._thread.start()

    def close(self) -> None:
        """Stop listening."""
        with self._changing:
            if self._stopping.is_set():
                return
            self._stopping.set()
        self._stop_sender.send(b"\0")
        if self._thread.ident is not None:
            self._thread.join()
        self._stop_sender.close()
        self._stop_receiver.close()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                with closing(self._server.connect(APPLICATION, role=READER_ROLE)) as connection:
                    self._listen(connection)
            except (PersistenceError, psycopg.Error) as error:
                _log.warning("new commits are found by polling until this is over: %s", error)
            finally:
                self._listening = False
            self._stopping.wait(RECONNECT_S)

    def _listen(self, connection: Connection) -> None:
        connection.execute(f"LISTEN {CHANNEL}")
        self._listening = True
        self._tell(None)  # Nobody announces again what came before.
        with selectors.DefaultSelector() as selector:
            selector.register(connection.fileno(), selectors.EVENT_READ)
            selector.register(self._stop_receiver, selectors.EVENT_READ)
            while not self._stopping.is_set():
                selector.select()
                self._receive(connection)

    def _receive(self, connection: Connection) -> None:
        connection.pgconn.consume_input()
        while (notice := connection.pgconn.notifies()) is not None:
            if notice.be_pid != self._ignored():
                self._tell(notice.extra.decode())

    def _tell(self, stream: str | None) -> None:
        with self._changing:
            watchers = list(self._watchers)
        for watched, noticed in watchers:
            if stream is None or stream == watched:
                noticed()
