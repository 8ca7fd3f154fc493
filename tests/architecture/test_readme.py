"""What the documents say is so: commands, options, make targets, links, generated pages."""

import importlib
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from api.__main__ import app
from api.catalogue import stale_pages

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "benchmarks").glob("*.md")),
]
PACKAGES = (
    "api", "audit", "benchmarks", "commands", "domain", "eventstore", "projections", "wallet",
)  # fmt: skip

_COMMAND = re.compile(r"\./foldex ([a-z][^`\n#;]*)")
_TARGET = re.compile(r"(?:^|`) *make ([a-z-]+)", re.MULTILINE)
_LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")
_TEST = re.compile(r"`(tests/[\w/.]*|domain/[\w.]+)`")


def in_documents(pattern: re.Pattern[str]) -> Iterator[tuple[Path, str]]:
    for document in DOCUMENTS:
        for found in pattern.findall(document.read_text(encoding="utf-8")):
            yield document, found.strip()


def command_of(words: list[str]) -> tuple[Any, list[str]]:
    """Return the command that words name, and the words left over."""
    command: Any = typer.main.get_command(app)
    while words and hasattr(command, "commands"):
        found = command.commands.get(words[0])
        assert found is not None, f"there is no command {words[0]!r}"
        command, words = found, words[1:]
    return command, words


def test_every_foldex_command_in_the_documents_exists_with_its_options() -> None:
    seen = 0
    for document, line in in_documents(_COMMAND):
        try:
            words = shlex.split(line)
        except ValueError:
            pytest.fail(f"{document.name}: cannot be pasted: {line}")
        command, rest = command_of(words)
        options = {name for each in command.params for name in each.opts} | {"--help"}
        used = {word.partition("=")[0] for word in rest if word.startswith("--")}
        assert used <= options, f"{document.name}: {line}"
        seen += 1
    assert seen > 5


def test_every_make_target_in_the_documents_exists() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    used = {target for _, target in in_documents(_TARGET)}
    assert {"demo", "test"} <= used <= targets


def test_every_link_leads_somewhere() -> None:
    for document, link in in_documents(_LINK):
        assert (document.parent / link).exists(), f"{document.name}: {link}"


def test_every_test_that_a_document_names_is_there() -> None:
    for document, path in in_documents(_TEST):
        assert (ROOT / path).exists(), f"{document.name}: {path}"


def test_the_generated_pages_say_what_the_code_says() -> None:
    assert stale_pages() == [], "run `make docs`"


@pytest.mark.parametrize("name", PACKAGES)
def test_every_top_level_name_is_imported_from_this_repository(name: str) -> None:
    module = importlib.import_module(name)
    assert module.__file__ is not None
    assert Path(module.__file__).is_relative_to(ROOT)
    assert (module.__doc__ or "").strip(), "an __init__.py answers its folder's question"
