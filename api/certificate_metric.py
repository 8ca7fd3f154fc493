"""When the certificate that this process shows on the link expires, for metrics.

A connection that is there outlives it; the next one, after a failover, would be refused.
"""

from collections.abc import Iterator

from api.engine_link import Side
from api.engine_place import tls_files_of
from api.engine_tls import BadCertificate, LinkTls
from api.metrics import Metrics, Reading
from api.settings import Settings


def watch_certificate(settings: Settings, side: Side, metrics: Metrics) -> None:
    """Let metrics tell it, where the link is TLS. side: which of the two this process is."""
    files = tls_files_of(settings)
    if files is not None:
        metrics.read_from(_Certificate(files, side))


class _Certificate:
    """Looks at the files each time somebody asks: they may have been renewed."""

    def __init__(self, files: LinkTls, side: Side) -> None:
        self._files = files
        self._side: Side = side

    def readings(self) -> Iterator[Reading]:
        """Return the time; 0 when the files would be refused now."""
        try:
            end_s = self._files.good_until_s(self._side)
        except BadCertificate:
            end_s = 0
        yield Reading("foldex_link_certificate_expiry_seconds", end_s)
