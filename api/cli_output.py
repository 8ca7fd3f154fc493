"""What every command of the command line shares: exit codes, clear errors, progress, JSON."""

import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, Final, NoReturn

import typer

if TYPE_CHECKING:
    from api.settings import Settings

EXIT_OK: Final = 0
EXIT_DIFFERENT: Final = 1
EXIT_USAGE: Final = 2
EXIT_STORE: Final = 3
EXIT_LOCKED: Final = 4
EXIT_CODES: Final = (
    "Exit codes: 0 all right, 1 a difference or problem was found, 2 wrong usage, "
    "3 the store is damaged or cannot be opened, 4 another process has it open for writing."
)

DataOption = Annotated[
    str, typer.Option("--data", metavar="DIR", help="Data directory [default: $FOLDEX_DATA, data]")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]

Progress = Callable[[int, int], None]


def examples(*lines: str) -> str:
    """Return the end of a command's help page."""
    return "\n\n".join(("Examples:", *lines, EXIT_CODES))


def fail(message: str, code: int) -> NoReturn:
    """Print one line on stderr and end with an exit code."""
    print(f"foldex: {' '.join(message.split())}", file=sys.stderr)  # noqa: T201  this is the printer
    raise typer.Exit(code)


def say(text: str = "") -> None:
    """Print on stdout."""
    print(text, flush=True)  # noqa: T201  this is the printer


def say_json(document: Any) -> None:
    """Print one JSON object on stdout."""
    import msgspec

    say(msgspec.json.encode(document).decode())


def settings_for(data: str = "", **changes: Any) -> "Settings":
    """Return the settings of the environment with what the command line gives instead.

    data: the embedded store in this directory is meant, whatever database is set.
    """
    from pathlib import Path

    from api.settings_sources import read_settings

    given = {name: value for name, value in changes.items() if value is not None}
    if data:
        given |= {"data": Path(data), "database_url": ""}
    return read_settings(**given)


@contextmanager
def clear_errors() -> Iterator[None]:
    """Turn what can go wrong into one clear line and its exit code; never a traceback."""
    from api.flow_format import FlowError
    from api.keys import KeyStoreError
    from api.settings_sources import BadSetting
    from commands.errors import EngineError
    from eventstore.errors import AppendOutcomeUnknown, StoreError, StoreLocked
    from eventstore.kafka_errors import BusError
    from projections.database import ViewsBroken, ViewsMissing, ViewsUnavailable
    from wallet.config import BadConfig
    from wallet.errors import WalletError
    from wallet.ports import ExchangeUnavailable

    try:
        yield
    except StoreLocked as error:
        fail(str(error), EXIT_LOCKED)
    except (StoreError, AppendOutcomeUnknown, EngineError, ExchangeUnavailable) as error:
        fail(str(error), EXIT_STORE)
    except (ViewsBroken, ViewsMissing, ViewsUnavailable, BusError) as error:
        fail(str(error), EXIT_STORE)
    except sqlite3.Error as error:
        fail(f"the database cannot be used: {error}", EXIT_STORE)
    except WalletError as error:
        fail(f"{error.code}: {error}", EXIT_STORE)
    except (FlowError, KeyStoreError, BadSetting, BadConfig) as error:
        fail(str(error), EXIT_USAGE)
    except UnicodeDecodeError as error:
        fail(f"the file is not text: {error}", EXIT_USAGE)
    except BrokenPipeError:
        # Whoever read our output has seen enough.
        sys.stderr.close()
        raise typer.Exit(EXIT_OK) from None
    except OSError as error:
        fail(f"{error.filename or 'input or output'}: {error.strerror}", EXIT_USAGE)


@contextmanager
def progress_bar(what: str) -> Iterator[Progress]:
    """Give a callable that shows how far a long work is, on stderr when that is a terminal."""
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import Progress as Bars

    with Bars(console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task(what, total=None)
        yield lambda done, total: bars.update(task, completed=done, total=max(total, 1))
