"""A small client: sends one signed request. What `./foldex call` uses, and an example of signing."""

import os
import time
import urllib.error
import urllib.request

from api.security import sign_headers

TIMEOUT_S: float = 10.0


def send(
    method: str, url: str, path: str, body: str = "", idempotency_key: str = ""
) -> tuple[int, str]:
    """Return the status and text of the answer.

    Signed with FOLDEX_KEY and FOLDEX_SECRET when both are set. Raises: OSError: no answer;
    ValueError: the URL is none.
    """
    content = body.encode()
    headers = {"Content-Type": "application/json"} if content else {}
    if idempotency_key:
        headers["Idempotency-Key"] = idempotency_key
    key, secret = os.environ.get("FOLDEX_KEY"), os.environ.get("FOLDEX_SECRET")
    if key and secret:
        route, _, query = path.partition("?")
        headers |= sign_headers(
            key,
            secret.encode(),
            timestamp_ms=time.time_ns() // 1_000_000,
            method=method,
            path=route.encode(),
            query=query.encode(),
            body=content,
        )
    request = urllib.request.Request(  # noqa: S310  the user's own URL
        url.rstrip("/") + path, content or None, headers, method=method.upper()
    )
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
