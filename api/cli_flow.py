"""`flow`: run a recorded order flow through a new exchange, or make a synthetic one."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from api.cli_output import (
    EXIT_DIFFERENT,
    EXIT_USAGE,
    DataOption,
    JsonOption,
    clear_errors,
    examples,
    fail,
    progress_bar,
    say,
    say_json,
    settings_for,
)

if TYPE_CHECKING:
    from api.flow import FlowReport

app = typer.Typer(no_args_is_help=True, help="Recorded and synthetic order flow.")

COMMANDS_MAX = 10_000_000


@app.command(
    epilog=examples(
        "foldex flow generate --seed 7 --commands 10000 flow.csv.gz",
        "foldex flow run flow.csv.gz --data /tmp/flow",
        "foldex flow run session.csv.gz --data /tmp/s --candles session.candles_1m.csv --json",
    )
)
def run(
    file: Annotated[Path, typer.Argument(help="CSV, plain or gzip: see docs/flow-format.md.")],
    *,
    data: DataOption = "",
    tick: Annotated[str, typer.Option(help="What prices are multiples of.")] = "0.01",
    lot: Annotated[str, typer.Option(help="What quantities are multiples of.")] = "1",
    candles: Annotated[
        Path | None, typer.Option(metavar="ORACLE", help="CSV of the venue's 1-minute candles.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Feed a recorded order flow into a new exchange and compare with what the venue did.

    The data directory, or the database, must be new or empty. Every fill, in order, and every
    candle has to be the venue's: else the exit code is 1.
    """
    with clear_errors():
        from api.deployment import deployment_of
        from api.flow import run_flow
        from api.flow_format import Steps
        from domain.errors import Rejected

        try:
            with progress_bar("Feeding") as progress:
                steps = Steps(tick, lot)
                there = deployment_of(settings_for(data))
                report = run_flow(file, there, steps, candles=candles, progress=progress)
        except Rejected as refusal:
            fail(f"--tick or --lot cannot be used: {refusal}", EXIT_USAGE)
        if as_json:
            say_json(report)
        else:
            _tell(report, f" --data {data}" if data else "")
        if not report.same:
            raise typer.Exit(EXIT_DIFFERENT)


@app.command(epilog=examples("foldex flow generate --seed 7 --commands 10000 flow.csv.gz"))
def generate(
    file: Annotated[Path, typer.Argument(help="Written; packed when it ends with .gz.")],
    seed: Annotated[int, typer.Option(help="The same seed gives the same bytes.")],
    commands: Annotated[int, typer.Option(min=1, max=COMMANDS_MAX)],
) -> None:
    """Make a synthetic order flow, with the fills that it must cause.

    The fills are worked out by a plain matcher of its own, not by the exchange.
    """
    with clear_errors():
        from api.flow_generator import write_flow

        with progress_bar("Generating") as progress:
            write_flow(file, seed, commands, progress)
        say(f"{commands:,} commands in {file}. Next: foldex flow run {file} --data DIR")


def _tell(report: "FlowReport", where: str) -> None:
    say(f"commands    {report.commands:,} in {report.seconds:.2f} s")
    say(f"            {report.commands_per_second:,} a second, durable")
    say(f"trades      {report.trades:,}")
    say(f"mismatches  {report.mismatches:,}")
    say(f"candles     {report.candles_compared:,} compared, {report.candle_mismatches:,} differ")
    say(f"book        {report.book_sha256}")
    say(f"position    {report.position:,}")
    say(f"state hash  {report.state_hash}")
    for each in report.first_mismatches:
        order = f" of order {each.order_id}" if each.order_id else ""
        say(f"DIFFERENT   line {each.line}, {each.what}{order}")
        say(f"            expected {each.expected}")
        say(f"            got      {each.got}")
    say()
    say(f"Next: foldex replay{where}; foldex verify{where}; foldex serve{where}")
