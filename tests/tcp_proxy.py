"""Stands between a client and a server, and can cut the line at an exact moment."""

import selectors
import socket
import threading
from contextlib import suppress
from enum import Enum, auto
from typing import Self
from urllib.parse import urlsplit, urlunsplit


class Cut(Enum):
    """Where the line breaks when the client next sends something."""

    BEFORE_SERVER = auto()
    """The server never gets it."""
    BEFORE_ANSWER = auto()
    """The server gets it and answers; the client never gets the answer."""
    UNNOTICED = auto()
    """The server gets it and is not told that the client is gone."""


class TcpProxy:
    """Forwards connections to a server, each in a thread, until closed."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        assert parts.hostname is not None
        self._server = (parts.hostname, parts.port or 5432)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads: list[threading.Thread] = []
        self._open: list[socket.socket] = []
        self._closed = threading.Event()
        self.cut: Cut | None = None
        self.refusing = False
        user = f"{parts.username}@" if parts.username else ""
        place = f"{user}127.0.0.1:{self._listener.getsockname()[1]}"
        self.url = urlunsplit(parts._replace(netloc=place))
        self._start(self._accept_all)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._closed.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        for each in list(self._open):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for each in [self._listener, *self._open]:
            each.close()

    def cut_all(self) -> None:
        """Break every line, as a server does that is restarted."""
        for each in list(self._open):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _start(self, target: object, *arguments: object) -> None:
        assert callable(target)
        thread = threading.Thread(target=target, args=arguments)
        self._threads.append(thread)
        thread.start()

    def _accept_all(self) -> None:
        while not self._closed.is_set():
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self.refusing:
                client.close()
                continue
            server = socket.create_connection(self._server)
            self._open += [client, server]
            self._start(self._forward, client, server)

    def _forward(self, client: socket.socket, server: socket.socket) -> None:
        with selectors.DefaultSelector() as selector, suppress(OSError):
            selector.register(client, selectors.EVENT_READ)
            selector.register(server, selectors.EVENT_READ)
            while True:
                for key, _ in selector.select():
                    if not self._pass_on(key.fileobj is client, client, server):
                        return

    def _pass_on(self, from_client: bool, client: socket.socket, server: socket.socket) -> bool:
        """Forward what is there, and return whether the line still holds."""
        source, target = (client, server) if from_client else (server, client)
        data = source.recv(65_536)
        cut = self.cut if from_client and data else None
        if cut is None and data:
            target.sendall(data)
            return True
        self.cut = None if cut else self.cut
        if cut in (Cut.BEFORE_ANSWER, Cut.UNNOTICED):
            server.sendall(data)
        if cut is Cut.BEFORE_ANSWER:
            server.recv(1)
        client.shutdown(socket.SHUT_RDWR)
        if cut is not Cut.UNNOTICED:
            server.shutdown(socket.SHUT_RDWR)
        return False
