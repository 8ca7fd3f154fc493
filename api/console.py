"""How commands talk: progress and remarks on stderr, the result on stdout, errors in one line."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, NoReturn

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

EXIT_DIFFERENCE: Final = 1
EXIT_USAGE: Final = 2
EXIT_STORE: Final = 3
EXIT_LOCKED: Final = 4

out = Console(soft_wrap=True)
err = Console(stderr=True, soft_wrap=True)


@contextmanager
def progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """Show a bar on stderr, when a person looks; gives what is called with (done, of)."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, of: bar.update(task, completed=done, total=of)


def show(result: dict[str, Any], *, as_json: bool) -> None:
    """Print a result: one JSON object for programs, else a table for people."""
    if as_json:
        typer.echo(msgspec.json.encode(result).decode())
        return
    table = Table(show_header=False, box=None)
    for name, value in result.items():
        if not isinstance(value, list | dict):
            table.add_row(
                name.replace("_", " "), f"{value:,}" if type(value) is int else str(value)
            )
    out.print(table)


def fail(text: str, code: int) -> NoReturn:
    """End the program with one clear line on stderr."""
    err.print(f"[bold red]error:[/] {text}", highlight=False)
    raise typer.Exit(code)


@contextmanager
def clear_errors() -> Iterator[None]:
    """Turn what can go wrong with a data directory into one line and an exit code."""
    from api.flow import FlowError  # noqa: PLC0415  heavy imports only where a command runs
    from api.keys import KeyStoreError  # noqa: PLC0415
    from api.settings import BadSetting  # noqa: PLC0415
    from eventstore.errors import StoreError, StoreLocked  # noqa: PLC0415
    from projections.view_set import ViewsBroken  # noqa: PLC0415
    from projections.views import ViewsMissing  # noqa: PLC0415

    try:
        yield
    except StoreLocked as error:
        fail(error.detail, EXIT_LOCKED)
    except StoreError as error:
        fail(f"{error.code}: {error.detail}", EXIT_STORE)
    except (ViewsBroken, ViewsMissing) as error:
        fail(str(error), EXIT_STORE)
    except (FlowError, KeyStoreError, BadSetting) as error:
        fail(str(error), EXIT_USAGE)
