"""The core reads nothing but its state and the command: no clock, chance, environment or float."""

import ast
from pathlib import Path

import pytest
from freezegun import freeze_time

from domain.snapshot import dump
from tests.given import BUY, NOW_MS, SELL, amend, cancel, given, place

ROOT = Path(__file__).resolve().parents[2]
PURE = sorted((ROOT / "domain").glob("*.py"))
DECIDING = [
    path
    for path in sorted((ROOT / "commands").glob("*.py"))
    if path.name not in ("engine.py", "errors.py", "handover.py")
]
ALLOWED = {
    "__future__", "collections", "collections.abc", "functools", "typing", "re", "hashlib",
    "itertools", "msgspec", "sortedcontainers",
}  # fmt: skip

each_file = pytest.mark.parametrize(
    "path", [*PURE, *DECIDING], ids=lambda path: f"{path.parent.name}/{path.name}"
)


def _imported(tree: ast.Module) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
    return names


@pytest.mark.parametrize(
    "path", [*PURE, *DECIDING], ids=lambda path: f"{path.parent.name}/{path.name}"
)
def test_what_decides_imports_nothing_impure(path: Path) -> None:
    foreign = {
        name
        for name in _imported(ast.parse(path.read_text())) - ALLOWED
        if name.split(".")[0] not in ("domain", "commands")
    }
    assert foreign == set()


@pytest.mark.parametrize(
    "path", [*PURE, *DECIDING], ids=lambda path: f"{path.parent.name}/{path.name}"
)
def test_what_decides_has_no_floats_and_divides_only_to_whole_numbers(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        assert not (isinstance(node, ast.Constant) and isinstance(node.value, float))
        assert not (isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div))
        named = node.id if isinstance(node, ast.Name) else ""
        assert named not in ("float", "set", "eval", "open", "print", "hash", "id")


def _history() -> bytes:
    state = given(
        place("alice", SELL, 100, lots=5),
        place("bob", BUY, 101, lots=3),
        amend("alice", 1, price_ticks=99),
        cancel("alice", 1),
    )
    return dump(state.exchange)


def test_the_wall_clock_has_no_part_in_matching() -> None:
    with freeze_time("1999-12-31T23:59:59Z"):
        before = _history()
    with freeze_time("2038-01-19T03:14:08Z"):
        after = _history()
    assert before == after


def test_event_time_comes_with_the_command_and_never_goes_back() -> None:
    state = given(place("alice", BUY, 100, lots=1, time_ms=NOW_MS + 50))
    state.when(place("alice", BUY, 100, lots=1, time_ms=NOW_MS + 10))
    assert state.events[0].time_ms == NOW_MS + 50
    state.when(place("alice", BUY, 100, lots=1, time_ms=NOW_MS + 60))
    assert state.exchange.time_ms == NOW_MS + 60
