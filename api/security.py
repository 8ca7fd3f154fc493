"""Signed requests: who sends this, is it what was signed, is it new?

signature = hex HMAC-SHA256(secret, timestamp, recv_window, METHOD, path, query, body), joined by
line feeds, over the bytes as received: nothing is decoded or encoded again, so there is only one
reading of them.
"""

import hashlib
import hmac
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from api.keys import Key, KeysUnavailable
from api.problems import (
    BadSignature,
    NotReady,
    SignatureMissing,
    TimestampFuture,
    TimestampStale,
    UnknownKey,
    WrongScope,
)
from api.signatures import AHEAD_MS_MAX, WINDOW_MS_MAX, Signature

KEY_HEADER: Final = "X-Foldex-Key"
TIMESTAMP_HEADER: Final = "X-Foldex-Timestamp"
WINDOW_HEADER: Final = "X-Foldex-Recv-Window"
SIGNATURE_HEADER: Final = "X-Foldex-Signature"

WINDOW_MS_DEFAULT: Final = 5_000

OPERATOR_SCOPE: Final = "operator"

_WHOLE = re.compile(r"[0-9]{1,15}", re.ASCII)
_SIGNATURE = re.compile(r"[0-9a-fA-F]{64}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedRequest:
    """What was received, byte for byte. path: as in the request line, before any decoding."""

    method: str
    path: bytes
    query: bytes
    body: bytes
    headers: Mapping[str, str]


def signed_text(
    *, timestamp: str, window: str, method: str, path: bytes, query: bytes, body: bytes
) -> bytes:
    """Return the bytes that a signature is over."""
    head = "\n".join((timestamp, window, method.upper())).encode()
    return b"\n".join((head, path, query, body))


def sign(secret: bytes, text: bytes) -> str:
    """Return the signature of `signed_text` in hex."""
    return hmac.new(secret, text, hashlib.sha256).hexdigest()


def sign_headers(
    key_id: str,
    secret: bytes,
    *,
    timestamp_ms: int,
    method: str,
    path: bytes,
    query: bytes = b"",
    body: bytes = b"",
    window_ms: int = WINDOW_MS_DEFAULT,
) -> dict[str, str]:
    """Return the four headers of a signed request: what a client does."""
    timestamp, window = str(timestamp_ms), str(window_ms)
    text = signed_text(
        timestamp=timestamp, window=window, method=method, path=path, query=query, body=body
    )
    return {
        KEY_HEADER: key_id,
        TIMESTAMP_HEADER: timestamp,
        WINDOW_HEADER: window,
        SIGNATURE_HEADER: sign(secret, text),
    }


@dataclass(frozen=True, slots=True)
class Caller:
    """Who signed a request. signature: lets a command in, once, whichever process it reaches."""

    key: Key
    signature: Signature

    @property
    def account(self) -> str:
        """Whose key it is, empty for operators and auditors."""
        return self.key.account

    @property
    def key_id(self) -> str:
        """The API key."""
        return self.key.key_id


class Verifier:
    """Checks who signed a request. find: looks an API key up. clock_ms: the server's time.

    That a command is new is known where commands become one sequence: `SignatureMemory`.
    """

    def __init__(self, find: Callable[[str], Key | None], clock_ms: Callable[[], int]) -> None:
        self._find = find
        self._clock_ms = clock_ms

    def verify(
        self, request: SignedRequest, scopes: frozenset[str], known: Key | None = None
    ) -> Caller:
        """Return who signed. scopes: any one of these is enough. known: the key that it names.

        Raises: SignatureMissing, UnknownKey, BadSignature, TimestampStale, TimestampFuture,
        WrongScope: checked in this order. NotReady: the keys cannot be read.
        """
        key_id, timestamp, window, signature = _headers(request.headers)
        try:
            key = known or self._find(key_id)
        except KeysUnavailable as error:
            raise NotReady("The API keys cannot be read now") from error
        if key is None:
            raise UnknownKey
        text = signed_text(
            timestamp=timestamp,
            window=window,
            method=request.method,
            path=request.path,
            query=request.query,
            body=request.body,
        )
        expected = hmac.digest(key.secret, text, "sha256")
        if not hmac.compare_digest(expected, bytes.fromhex(signature)):
            raise BadSignature
        self._require_fresh(int(timestamp), int(window))
        if key.scopes.isdisjoint(scopes):
            raise WrongScope(f"This needs a key with the scope {' or '.join(sorted(scopes))}")
        return Caller(key, Signature(expected, int(timestamp)))

    def _require_fresh(self, timestamp_ms: int, window_ms: int) -> None:
        now_ms = self._clock_ms()
        if timestamp_ms > now_ms + AHEAD_MS_MAX:
            raise TimestampFuture(f"The server's time is {now_ms}")
        if timestamp_ms < now_ms - window_ms:
            raise TimestampStale(f"The server's time is {now_ms}, the window {window_ms} ms")


def _headers(headers: Mapping[str, str]) -> tuple[str, str, str, str]:
    """Return key id, timestamp, receive window and signature as sent."""
    key_id = headers.get(KEY_HEADER)
    timestamp = headers.get(TIMESTAMP_HEADER)
    signature = headers.get(SIGNATURE_HEADER)
    window = headers.get(WINDOW_HEADER, str(WINDOW_MS_DEFAULT))
    if not key_id or not timestamp or not signature:
        raise SignatureMissing(
            f"Needs the headers {KEY_HEADER}, {TIMESTAMP_HEADER} and {SIGNATURE_HEADER}"
        )
    if _WHOLE.fullmatch(timestamp) is None:
        raise SignatureMissing(f"{TIMESTAMP_HEADER}: ms since 1970, digits only")
    if _WHOLE.fullmatch(window) is None or int(window) > WINDOW_MS_MAX:
        raise SignatureMissing(f"{WINDOW_HEADER}: 0 to {WINDOW_MS_MAX} ms, digits only")
    if _SIGNATURE.fullmatch(signature) is None:
        raise SignatureMissing(f"{SIGNATURE_HEADER}: 64 hex digits")
    return key_id, timestamp, window, signature
