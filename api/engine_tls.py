"""TLS of the link: each side shows a certificate of the operator's own authority; TLS 1.3 only.

The files are read anew for every connection: a renewed certificate counts from the next one on.
"""

import logging
import ssl
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from api.engine_frames import LinkError
from api.engine_link import Side
from api.engine_pipe import TlsPipe
from api.settings import variable

_NOT_FOR_OTHERS: Final = stat.S_IRWXO | stat.S_IWGRP
"""What nobody but the owner may do with a key. A group that may read it is let be."""
_ROUNDS: Final = 2
"""Of a handshake of TLS 1.3, until both sides have checked the other."""

_log = logging.getLogger(__name__)


class BadCertificate(LinkError):
    """The files of TLS cannot be used. The text names the setting and the file."""


@dataclass(frozen=True, slots=True)
class LinkTls:
    """PEM files. authority: whose certificates the other side may have; certificate, key: ours."""

    authority: Path
    certificate: Path
    key: Path

    def client_context(self) -> ssl.SSLContext:
        """Return what an API process connects with; the engine has to be who its address names.

        Raises: BadCertificate.
        """
        return self._context(ssl.PROTOCOL_TLS_CLIENT)

    def server_context(self) -> ssl.SSLContext:
        """Return what the engine listens with; nobody is let in without a certificate.

        Raises: BadCertificate.
        """
        context = self._context(ssl.PROTOCOL_TLS_SERVER)
        context.verify_mode = ssl.CERT_REQUIRED
        return context

    def good_until_s(self, side: Side) -> int:
        """Return until when the other side will take our certificate, in seconds since 1970.

        side: as which we show it. The certificate is shown to ourselves, and checked as the other
        side will: its authority, its time, what it may be used for; not the name in it.
        Raises: BadCertificate: it would be refused.
        """
        client, server = self.client_context(), self.server_context()
        client.check_hostname = False
        (client if side == "client" else server).verify_mode = ssl.CERT_NONE
        try:
            told_client, told_server = _shake_hands(client, server)
        except ssl.SSLCertVerificationError as error:
            raise BadCertificate(
                f"{_named('engine_certificate', self.certificate)}: {error.verify_message}; it has"
                f" to be one of {_named('engine_ca', self.authority)}, and valid"
            ) from error
        except ssl.SSLError as error:
            where = _named("engine_certificate", self.certificate)
            raise BadCertificate(f"{where}: {error.reason}") from error
        shown = (told_server if side == "client" else told_client).getpeercert()
        assert shown is not None
        return ssl.cert_time_to_seconds(str(shown["notAfter"]))

    def _context(self, protocol: int) -> ssl.SSLContext:
        try:
            return self._loaded(protocol)
        except OSError as error:
            # Each could be read a moment ago: somebody renews them just now.
            names = _named("engine_certificate", self.certificate), _named("engine_key", self.key)
            raise BadCertificate(f"{' and '.join(names)}: {error.strerror}") from error

    def _loaded(self, protocol: int) -> ssl.SSLContext:
        context = ssl.SSLContext(protocol)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        self._require_readable()
        try:
            context.load_verify_locations(self.authority)
        except ssl.SSLError as error:
            where = _named("engine_ca", self.authority)
            raise BadCertificate(f"{where}: no certificate is in it") from error
        try:
            # No password: OpenSSL would ask the terminal for that of an encrypted key.
            context.load_cert_chain(self.certificate, self.key, password="")
        except ssl.SSLError as error:
            certificate = _named("engine_certificate", self.certificate)
            raise BadCertificate(
                f"{certificate} and {_named('engine_key', self.key)} are not a certificate and its"
                f" unencrypted key: {error.reason or 'no PEM'}"
            ) from error
        return context

    def _require_readable(self) -> None:
        for name, path in (
            ("engine_ca", self.authority),
            ("engine_certificate", self.certificate),
            ("engine_key", self.key),
        ):
            try:
                with path.open("rb") as file:
                    file.read(1)
            except OSError as error:
                raise BadCertificate(f"{_named(name, path)}: {error.strerror}") from error
        if self.key.stat().st_mode & _NOT_FOR_OTHERS:
            where = _named("engine_key", self.key)
            raise BadCertificate(f"{where}: others can reach it: chmod 600 {self.key}")


class ServerTls:
    """What the engine listens with: the files as they are, or were when they could last be used.

    Raises: BadCertificate: they never could.
    """

    def __init__(self, files: LinkTls) -> None:
        self._files = files
        self._context = files.server_context()

    def pipe(self) -> TlsPipe:
        """Return the TLS of a new connection."""
        try:
            self._context = self._files.server_context()
        except BadCertificate as error:
            _log.error("TLS goes on with the files as they were: %s", error)
        return TlsPipe(self._context)


def explained(error: Exception) -> str:
    """Return what is wrong with a connection, in words where TLS has only codes."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is refused: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        reason = error.reason or str(error)
        if "ALERT" in reason:
            return f"it refuses our certificate or TLS 1.3 ({reason})"
        if reason in ("WRONG_VERSION_NUMBER", "UNEXPECTED_MESSAGE", "PACKET_LENGTH_TOO_LONG"):
            return f"it does not speak TLS ({reason})"
        return f"no TLS with it ({reason})"
    return str(error)


def _shake_hands(
    client: ssl.SSLContext, server: ssl.SSLContext
) -> tuple[ssl.SSLObject, ssl.SSLObject]:
    """Return both ends of a connection in memory. Raises: SSLError: one refuses the other."""
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = (
        client.wrap_bio(to_client, to_server),
        server.wrap_bio(to_server, to_client, server_side=True),
    )
    for _ in range(_ROUNDS):
        for end in ends:
            with suppress(ssl.SSLWantReadError):
                end.do_handshake()
    return ends


def _named(name: str, path: Path) -> str:
    return f"{variable(name)} {path}"
