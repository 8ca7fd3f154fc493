"""Frames over TCP or TLS: the length in 4 bytes, big end first, then msgpack."""

import asyncio
import ssl
from collections.abc import Callable
from typing import Any, Final, cast

import msgspec

from api.engine_pipe import TlsPipe

GREETING_BYTES_MAX: Final = 1024
"""Of a frame before the other side has proved who it is."""

_ENCODER: Final = msgspec.msgpack.Encoder()
_HEAD_BYTES: Final = 4
_TLS_BEGINS: Final = b"\x16\x03"
"""The first bytes of whoever begins TLS; no frame is so long that it begins like this."""


class LinkError(Exception):
    """The other side cannot be talked to. The text says why; never a secret."""


class Frames(asyncio.Protocol):
    """One connection as frames. What is sent in one turn of the event loop leaves in one write.

    on_frame: called with each frame's bytes; a LinkError or a frame that cannot be decoded ends the
    connection. on_lost: called once, with the reason if there is one. congested: whether the other
    side does not read what is sent. pauses: then take nothing more from it; only one side of two
    may, or both would wait for ever. pipe: TLS; what is sent before its handshake is done leaves
    then, and before that a connection ends without a word.
    """

    def __init__(
        self,
        on_frame: Callable[[bytes], None],
        on_lost: Callable[[Exception | None], None],
        *,
        on_made: Callable[[], None] = lambda: None,
        pauses: bool = False,
        pipe: TlsPipe | None = None,
    ) -> None:
        self.frame_bytes_max = GREETING_BYTES_MAX
        self.error: Exception | None = None
        self.congested = False
        self._pauses = pauses
        self._pipe = pipe
        self._on_frame = on_frame
        self._on_lost = on_lost
        self._on_made = on_made
        self._received = bytearray()
        self._out: list[bytes] = []
        self._transport: asyncio.Transport | None = None
        self._loop = asyncio.get_running_loop()

    def send(self, frame: Any) -> None:
        """Send a frame; nothing happens when the connection is gone."""
        content = _ENCODER.encode(frame)
        if not self._out:
            self._loop.call_soon(self._flush)
        self._out += (len(content).to_bytes(_HEAD_BYTES, "big"), content)

    def close(self, error: Exception | None = None) -> None:
        """End the connection after what was sent has left."""
        self.error = self.error or error
        self._flush()
        if self._transport is not None:
            self._transport.close()

    def abort(self, error: Exception) -> None:
        """End the connection at once."""
        self.error = self.error or error
        if self._transport is not None:
            self._transport.abort()

    @property
    def peer(self) -> str:
        """The other side's address, for the log, and the name in its certificate."""
        name = None if self._transport is None else self._transport.get_extra_info("peername")
        if not name:
            return "a closed connection"
        who = "" if self._pipe is None else f" ({self._pipe.peer_name})"
        return f"{name[0]}:{name[1]}{who}"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the event loop."""
        # uvloop's transports are no subclass.
        self._transport = cast(asyncio.Transport, transport)
        if self._pipe is not None:
            self._transport.write(self._pipe.outgoing())
        self._on_made()

    def data_received(self, data: bytes) -> None:
        """Called by the event loop."""
        try:
            self._received += data if self._pipe is None else self._opened(self._pipe, data)
            while (frame := self._next()) is not None:
                self._on_frame(frame)
        except (LinkError, msgspec.MsgspecError, ssl.SSLError) as error:
            self.close(error)

    def pause_writing(self) -> None:
        """The other side reads too slowly."""
        self.congested = True
        if self._pauses and self._transport is not None:
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        """It has caught up."""
        self.congested = False
        if self._pauses and self._transport is not None:
            self._transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the event loop."""
        self._transport = None
        self._received.clear()
        self._on_lost(self.error or exc)

    def _opened(self, pipe: TlsPipe, data: bytes) -> bytes:
        try:
            content = pipe.opened(data)
        except ssl.SSLError:
            # Nothing can leave any more but the alert that says why.
            self._out.clear()
            raise
        finally:
            if self._transport is not None:
                self._transport.write(pipe.outgoing())
        self._flush()
        return content

    def _next(self) -> bytes | None:
        received = self._received
        if len(received) < _HEAD_BYTES or self._transport is None:
            return None
        length = int.from_bytes(received[:_HEAD_BYTES], "big")
        if length > self.frame_bytes_max:
            if received.startswith(_TLS_BEGINS):
                raise LinkError("it begins TLS, and this side is not set to")
            raise LinkError(f"a frame of {length} bytes, at most {self.frame_bytes_max} are taken")
        end = _HEAD_BYTES + length
        if len(received) < end:
            return None
        frame = bytes(received[_HEAD_BYTES:end])
        del received[:end]
        return frame

    def _flush(self) -> None:
        pipe = self._pipe
        if self._out and self._transport is not None and not self._transport.is_closing():
            if pipe is not None and not pipe.ready:
                return
            content = b"".join(self._out)
            self._transport.write(content if pipe is None else pipe.sealed(content))
        self._out.clear()
