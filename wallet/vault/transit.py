"""Protect a vault's data key by the transit engine of HashiCorp Vault or OpenBao.

The service encrypts and decrypts the data key and keeps its own key to itself, so whoever steals
the vault's file has nothing without the service, and the service logs each time it is opened.
"""

import base64
from typing import Any, Final

import hvac
import requests
from hvac.exceptions import VaultError as ServiceError

from wallet.keys.secret import Secret
from wallet.vault.document import TransitParams
from wallet.vault.errors import KeyServiceFailed

TIMEOUT_S: Final = 10


class TransitProtection:
    """A key that never leaves the service."""

    def __init__(self, url: str, token: Secret[str], params: TransitParams) -> None:
        self._params = params
        self._client = hvac.Client(url=url, token=token.reveal(), timeout=TIMEOUT_S)

    @property
    def params(self) -> TransitParams:
        """Where the key is."""
        return self._params

    def wrap(self, data_key: Secret[bytes], context: bytes) -> bytes:
        """Return the service's text for the data key."""
        answer = self._ask(
            self._client.secrets.transit.encrypt_data,
            "ciphertext",
            plaintext=base64.b64encode(data_key.reveal()).decode(),
            associated_data=base64.b64encode(context).decode(),
        )
        return answer.encode()

    def unwrap(self, wrapped: bytes, context: bytes) -> Secret[bytes]:
        """Return the data key."""
        answer = self._ask(
            self._client.secrets.transit.decrypt_data,
            "plaintext",
            ciphertext=wrapped.decode("ascii", "replace"),
            associated_data=base64.b64encode(context).decode(),
        )
        return Secret(base64.b64decode(answer))

    def _ask(self, method: Any, field: str, **arguments: str) -> str:
        """Return a field of the answer, which may be that of whatever stands before the service."""
        where = f"the key service (key {self._params.key!r})"
        try:
            answer = method(self._params.key, mount_point=self._params.mount, **arguments)
        except ServiceError as error:
            # Its own text may repeat the request; its class says enough.
            raise KeyServiceFailed(f"{where} refused: {type(error).__name__}") from None
        except requests.RequestException as error:
            raise KeyServiceFailed(f"{where} does not answer: {type(error).__name__}") from None
        finally:
            # The signer may have no connection open when it goes to work.
            self._client.adapter.close()
        try:
            found = answer["data"][field]
            # Of either field, what follows the last colon.
            base64.b64decode(found.rpartition(":")[2], validate=True)
        except (LookupError, TypeError, AttributeError, ValueError):
            raise KeyServiceFailed(f"{where} answered something else: is it its URL?") from None
        return str(found)
