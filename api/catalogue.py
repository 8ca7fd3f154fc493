"""The pages of docs/ that are written from the code: events, errors, topics and settings."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, get_type_hints

import msgspec

from api.asyncapi import asyncapi_text
from api.problems import REGISTRY
from api.settings_page import settings_page
from commands.errors import EngineError
from domain.errors import refusals
from domain.events import EVENTS, AccountEvent, Event, MarketEvent
from eventstore.errors import AppendOutcomeUnknown, StoreError

ROOT: Final = Path(__file__).resolve().parent.parent
_NOTE: Final = "<!-- Written by `make docs` from the code: change that, not this page. -->"


def pages() -> dict[Path, str]:
    """Return what each generated page should say."""
    return {
        ROOT / "docs" / "events.md": "\n".join(_events_page()) + "\n",
        ROOT / "docs" / "errors.md": "\n".join(_errors_page()) + "\n",
        ROOT / "docs" / "settings.md": "\n".join(settings_page(_NOTE)) + "\n",
        ROOT / "docs" / "asyncapi.json": asyncapi_text(),
    }


def stale_pages() -> list[Path]:
    """Return the pages that do not say what the code says."""
    return [
        path
        for path, text in pages().items()
        if not path.is_file() or path.read_text(encoding="utf-8") != text
    ]


def write_pages() -> list[Path]:
    """Write the pages that are stale, and return them."""
    stale = stale_pages()
    for path in stale:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(pages()[path], encoding="utf-8")
    return stale


def _events_page() -> Iterator[str]:
    yield "# Events"
    yield ""
    yield _NOTE
    yield ""
    yield (
        "Every fact that Foldex records. An event is stored under its name as a msgpack array of"
        " its fields in this order; fields are only ever appended, with a default, and a changed"
        " meaning is a new version. Times are ms UTC, prices ticks, quantities lots, amounts"
        " ledger units of their asset."
    )
    yield ""
    yield "| event | stream | says |"
    yield "|---|---|---|"
    for kind in EVENTS:
        name = _stored_name(kind)
        anchor = name.replace(".", "")
        yield f"| [`{name}`](#{anchor}) | `{_stream(kind)}` | {_about(kind).partition('. ')[0]} |"
    for kind in EVENTS:
        yield from _event_section(kind)


def _event_section(kind: type[Event]) -> Iterator[str]:
    yield ""
    yield f"## {_stored_name(kind)}"
    yield ""
    yield f"`{kind.__name__}`, stream `{_stream(kind)}`. {_about(kind)}"
    yield ""
    yield "| field | type | default |"
    yield "|---|---|---|"
    for field in msgspec.structs.fields(kind):
        default = "" if field.default is msgspec.NODEFAULT else f"`{field.default!r}`"
        yield f"| `{field.name}` | `{_type_name(kind, field.name)}` | {default} |"


def _type_name(kind: type[Event], field: str) -> str:
    hint: Any = get_type_hints(kind)[field]
    if isinstance(hint, type):
        return hint.__name__
    return " or ".join(str(value) for value in hint.__args__)


def _stored_name(kind: type[Event]) -> str:
    return str(kind.__struct_config__.tag)


def _stream(kind: type[Event]) -> str:
    if issubclass(kind, MarketEvent):
        return "market:<symbol>"
    return "account:<id>" if issubclass(kind, AccountEvent) else "exchange"


def _about(kind: type[Any]) -> str:
    """Return a class's docstring on one line; without one, its name in words."""
    text = " ".join((kind.__dict__.get("__doc__") or "").split())
    if text:
        return text
    words = "".join(f" {each.lower()}" if each.isupper() else each for each in kind.__name__)
    return words.strip().capitalize() + "."


def _errors_page() -> Iterator[str]:
    yield "# Errors"
    yield ""
    yield _NOTE
    yield ""
    yield (
        "Over HTTP every error is a problem document (RFC 9457). Branch on its `code`: codes never"
        " change. *Retry* says whether the same request may succeed later; send a command again"
        " with the same `Idempotency-Key`."
    )
    yield ""
    yield "| code | status | retry | title |"
    yield "|---|---|---|---|"
    for info in REGISTRY.values():
        retry = "yes" if info.retryable else "no"
        about = f". {info.about}" if info.about else ""
        yield (
            f'| <a id="{info.code}"></a>`{info.code}` | {info.status} | {retry}'
            f" | {info.title}{about} |"
        )
    yield ""
    yield (
        f"Of these, {len(refusals())} are refusals by the rules of the exchange and"
        f" {len(EngineError.__subclasses__())} say that the engine could not answer; the others"
        " are about the request itself."
    )
    yield ""
    yield "## Of the store"
    yield ""
    yield "Why a data directory is not opened, or not written. The command line ends with 3 or 4."
    yield ""
    yield "| code | says |"
    yield "|---|---|"
    kinds: list[type[StoreError | AppendOutcomeUnknown]] = [
        *StoreError.__subclasses__(),
        AppendOutcomeUnknown,
    ]
    for kind in kinds:
        yield f"| `{kind.code}` | {_about(kind)} |"
