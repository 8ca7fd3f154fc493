"""`export`: events, trades and account statements as CSV or JSON lines, straight from the log."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from api.cli_output import DataOption, clear_errors, examples, progress_bar, settings_for

app = typer.Typer(no_args_is_help=True, help="Export events, trades and account statements.")


class Format(StrEnum):
    """How an export is written."""

    csv = "csv"
    jsonl = "jsonl"


FormatOption = Annotated[Format, typer.Option("--format", help="csv, or JSON lines.")]
OutputOption = Annotated[str, typer.Option("--output", metavar="FILE", help="- is stdout.")]
AccountOption = Annotated[str, typer.Option(help="Only this account.")]


@app.command(epilog=examples("foldex export events --format jsonl --output events.jsonl"))
def events(
    data: DataOption = "", form: FormatOption = Format.jsonl, output: OutputOption = "-"
) -> None:
    """Export every event, in order, in ledger units, ticks and lots."""
    _export("events", data, form, output)


@app.command(epilog=examples("foldex export trades --format csv --output trades.csv"))
def trades(
    data: DataOption = "", form: FormatOption = Format.csv, output: OutputOption = "-"
) -> None:
    """Export every trade of every market, in order, in decimals."""
    _export("trades", data, form, output)


@app.command(epilog=examples("foldex export statement --account alice --output alice.csv"))
def statement(
    account: AccountOption = "",
    data: DataOption = "",
    form: FormatOption = Format.csv,
    output: OutputOption = "-",
) -> None:
    """Export each change of a balance with the event that caused it, in order, in decimals."""
    _export("statement", data, form, output, account)


def _export(what: str, data: str, form: Format, output: str, account: str = "") -> None:
    with clear_errors():
        from api.deployment import deployment_of
        from audit.export import export

        with (
            deployment_of(settings_for(data)).open_store() as store,
            progress_bar("Exporting") as progress,
        ):
            if output == "-":
                export(what, store.log, form.value, sys.stdout, account=account, progress=progress)
                sys.stdout.flush()
                return
            with Path(output).open("w", encoding="utf-8", newline="") as file:
                export(what, store.log, form.value, file, account=account, progress=progress)
