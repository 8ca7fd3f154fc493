"""One end of TLS in memory: bytes of the network go in and out, whoever moves them.

So the link keeps its one way to read, write, wait and end, and a handshake counts as a part of the
greeting. There is no parting word: frames say their length, so an end that was cut off is known.
"""

import ssl
from contextlib import suppress
from typing import Any, Final

_READ_BYTES: Final = 65_536


class TlsPipe:
    """server_name: who the other side has to be, by its certificate; None: it began.

    ready: whether the handshake is done, and each side has checked the other's certificate.
    """

    def __init__(self, context: ssl.SSLContext, server_name: str | None = None) -> None:
        self.ready = False
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(
            self._in, self._out, server_side=server_name is None, server_hostname=server_name
        )
        if server_name is not None:
            self._shake_hands()

    @property
    def peer_name(self) -> str:
        """The name in the other side's certificate, for people; "" before it was shown."""
        shown: Any = self._tls.getpeercert() if self.ready else None
        names = [
            value
            for part in (shown or {}).get("subject", ())
            for kind, value in part
            if kind == "commonName"
        ]
        return ", ".join(names)

    def opened(self, data: bytes) -> bytes:
        """Return what came in bytes of the network. Look for `outgoing` then, whatever happens.

        Raises: ssl.SSLError: the other side is refused, or refuses us, or it is no TLS.
        """
        self._in.write(data)
        if not self.ready:
            self._shake_hands()
        found = []
        with suppress(ssl.SSLWantReadError):
            while self.ready and (part := self._tls.read(_READ_BYTES)):
                found.append(part)
        return b"".join(found)

    def sealed(self, content: bytes) -> bytes:
        """Return the bytes for the network that carry something. Only when `ready`."""
        rest = memoryview(content)
        while rest:
            rest = rest[self._tls.write(rest) :]
        return self.outgoing()

    def outgoing(self) -> bytes:
        """Return what TLS itself has to say: handshakes and alerts."""
        return self._out.read()

    def _shake_hands(self) -> None:
        with suppress(ssl.SSLWantReadError):
            self._tls.do_handshake()
            self.ready = True
