"""Where the engine is, and how the two sides prove who they are, by the settings."""

from typing import Final

from api.engine_client import EngineClient, addresses_of
from api.engine_link import Side
from api.engine_tls import BadCertificate, LinkTls
from api.settings import Settings
from api.settings_sources import BadSetting

PLAIN_ADVICE: Final = "keep it in a private network, or set FOLDEX_ENGINE_CA, _CERTIFICATE and _KEY"
"""Of a link that is not TLS, where others than this machine's processes may listen."""


def engine_client_of(settings: Settings) -> EngineClient:
    """Return the way to the engine in another process. `settings.engine` is not empty.

    Raises: BadSetting: its certificates cannot be used, and why.
    """
    token = settings.engine_token.get_secret_value()
    return EngineClient(addresses_of(settings.engine), token, tls_of(settings, "client"))


def tls_of(settings: Settings, side: Side) -> LinkTls | None:
    """Return the TLS of the link; None when it is plain. side: which of the two this process is.

    Raises: BadSetting: the files cannot be used, or the other side would refuse the certificate.
    """
    tls = tls_files_of(settings)
    if tls is not None:
        try:
            tls.good_until_s(side)
        except BadCertificate as error:
            raise BadSetting(str(error)) from error
    return tls


def tls_files_of(settings: Settings) -> LinkTls | None:
    """Return the files of the link's TLS, not looked at yet; None when it is plain."""
    authority, certificate, key = (
        settings.engine_ca,
        settings.engine_certificate,
        settings.engine_key,
    )
    if authority is None or certificate is None or key is None:
        return None
    return LinkTls(authority, certificate, key)
