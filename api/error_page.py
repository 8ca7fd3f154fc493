"""The page that a problem's `type` points to: every error code, from the registry."""

from html import escape
from typing import Final

from starlette.requests import Request
from starlette.responses import HTMLResponse

from api.problems import REGISTRY, ErrorInfo

_HEAD: Final = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Foldex errors</title>
<style>
  :root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }
  body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
  td, th { text-align: left; padding: .3rem .8rem .3rem 0; vertical-align: top }
  tr:target { outline: 2px solid }
</style>
<h1>Errors</h1>
<p>Every error is an RFC 9457 problem document. Branch on its <code>code</code>: codes never change.
A retryable request may succeed later; send a command again with the same
<code>Idempotency-Key</code>.</p>
<table>
<tr><th>Code<th>Status<th>Retryable<th>Meaning
"""


async def error_page(request: Request) -> HTMLResponse:
    """Return the page /docs/errors."""
    return HTMLResponse(_HEAD + "\n".join(map(_row, REGISTRY.values())) + "\n</table>\n")


def _row(info: ErrorInfo) -> str:
    about = f". {info.about}" if info.about else ""
    return (
        f'<tr id="{info.code}"><td><code>{info.code}</code><td>{info.status}'
        f"<td>{'yes' if info.retryable else 'no'}<td>{escape(info.title + about)}"
    )
