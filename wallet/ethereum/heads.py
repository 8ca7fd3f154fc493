"""Hear that there may be new blocks: over WebSocket, and by looking now and then in any case."""

import json
import threading
import time
from collections.abc import Callable
from typing import Self

from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

SUBSCRIBE = json.dumps(
    {"jsonrpc": "2.0", "id": 1, "method": "eth_subscribe", "params": ["newHeads"]}
)
CONNECT_TIMEOUT_S = 10
RECONNECT_PAUSE_S = 0.5
# Doubled after each failure, up to this: a node may have no WebSocket at all.
PAUSE_S_MAX = 60.0
DOUBLINGS_MAX = 10
POLL_S = 5.0
# A subscription may die without a sound. So long without a head, and it is made anew.
SILENCE_S_MAX = 60.0


class PolledHeads:
    """Hints without a subscription: it is always time to look, every `poll_s`."""

    def __init__(self, poll_s: float = POLL_S) -> None:
        self._poll_s = poll_s
        self._news = threading.Event()
        self._looked = time.monotonic()

    def wait(self, timeout_s: float) -> bool:
        """Return True soon after a hint, or when `poll_s` have passed since the last True."""
        left = self._looked + self._poll_s - time.monotonic()
        heard = self._news.wait(max(0.0, min(timeout_s, left)))
        if not heard and left > timeout_s:
            return False
        self._news.clear()
        self._looked = time.monotonic()
        return True

    def close(self) -> None:
        """Stop listening."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class SubscribedHeads(PolledHeads):
    """The same, and a hint as soon as a node says that it has a new head.

    What the head is does not matter: whoever is woken asks. So nothing is lost while the
    connection is down, and a new connection is a hint by itself.
    """

    def __init__(
        self,
        url: str,
        *,
        poll_s: float = POLL_S,
        silence_s_max: float = SILENCE_S_MAX,
        pause_s: float = RECONNECT_PAUSE_S,
        on_trouble: Callable[[Exception], None] = lambda error: None,
    ) -> None:
        super().__init__(poll_s)
        self._url, self._silence_s_max, self._pause_s = url, silence_s_max, pause_s
        self._on_trouble = on_trouble
        self._failures = 0
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heads", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Close the connection."""
        self._closed.set()
        self._thread.join(CONNECT_TIMEOUT_S)

    def _run(self) -> None:
        while not self._closed.is_set():
            try:
                self._listen()
            except (WebSocketException, OSError) as error:
                self._failures = min(self._failures + 1, DOUBLINGS_MAX)
                self._on_trouble(error)
            self._news.set()
            self._closed.wait(min(self._pause_s * 2**self._failures, PAUSE_S_MAX))

    def _listen(self) -> None:
        """Pass heads on until the connection ends, falls silent or is closed by us."""
        with connect(self._url, open_timeout=CONNECT_TIMEOUT_S) as socket:
            socket.send(SUBSCRIBE)
            self._news.set()
            last = time.monotonic()
            while not self._closed.is_set() and time.monotonic() - last < self._silence_s_max:
                try:
                    socket.recv(timeout=min(self._pause_s, self._silence_s_max))
                except TimeoutError:
                    continue
                last = time.monotonic()
                self._failures = 0
                self._news.set()
