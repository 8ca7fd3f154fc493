"""The page docs/settings.md, written from the settings themselves."""

from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo

from api.settings import Settings, is_secret, variable


def settings_page(note: str) -> Iterator[str]:
    """Return the lines of the page. note: says that it is written from the code."""
    yield "# Settings"
    yield ""
    yield note
    yield ""
    yield (
        "Environment variables of every `./foldex` command; options on the command line win over"
        " them. An empty variable counts as none, and one named `FOLDEX_…` that is not here is an"
        " error. A secret can also be in a file that `<NAME>_FILE` names, as Docker mounts them:"
        " `FOLDEX_MASTER_KEY_FILE=/run/secrets/master_key`. `FOLDEX_ENV_FILE` names a file with"
        " lines `FOLDEX_…=…` for what the environment does not say."
    )
    yield ""
    yield (
        "`./foldex config show` prints what is set and where each value comes from, without"
        " secrets; `./foldex config check` tries everything that the settings point to."
    )
    yield ""
    yield "| variable | default | values | says |"
    yield "|---|---|---|---|"
    for name, field in Settings.model_fields.items():
        yield (
            f"| `{variable(name)}` | {_default(name, field)} | {_values(name, field)}"
            f" | {field.description} |"
        )


def _default(name: str, field: FieldInfo) -> str:
    return "" if is_secret(name) or field.default in ("", None) else f"`{field.default}`"


def _values(name: str, field: FieldInfo) -> str:
    if is_secret(name):
        return "secret"
    if get_origin(field.annotation) is Literal:
        return ", ".join(f"`{choice}`" for choice in get_args(field.annotation))
    low, high = _bound(field, "ge"), _bound(field, "le")
    return "" if low is None else f"{low:,} – {high:,}"


def _bound(field: FieldInfo, name: str) -> Any:
    return next((getattr(each, name) for each in field.metadata if hasattr(each, name)), None)
