"""`wallet refill`: what goes to the cold wallet's machine to be signed, and comes back."""

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from api.cli_output import (
    EXIT_USAGE,
    DataOption,
    JsonOption,
    clear_errors,
    examples,
    fail,
    say,
    say_json,
    settings_for,
)

if TYPE_CHECKING:
    from wallet.refills import Refills

app = typer.Typer(
    no_args_is_help=True, help="Coins from the cold wallet to the hot one, signed off line."
)


@app.command(
    epilog=examples("foldex wallet refill export refill.json", "foldex wallet refill export --json")
)
def export(
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="To be signed with `foldex vault sign`.")
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="With the fees of now; an earlier file is void then.")
    ] = False,
    data: DataOption = "",
    as_json: JsonOption = False,
) -> None:
    """Write the transactions that the hot wallet asks for from cold, to be signed off line."""
    with clear_errors(), ExitStack() as opened:
        from wallet.refill_file import write

        found = _refills(data, opened).export(again=again)
        if as_json:
            say_json(found)
            return
        if file is None:
            fail("name a FILE to write, or --json", EXIT_USAGE)
        for each in found.transactions:
            say(f"{each.id}: {each.summary}")
        if not found.transactions:
            say("nothing is asked for, or all of it is signed")
            return
        write(file, found)
        say(f"Sign it where the cold wallet is: foldex vault sign {file.name} --out signed.json")


@app.command("import", epilog=examples("foldex wallet refill import signed.json"))
def import_signed(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="As `foldex vault sign` wrote it.")],
    data: DataOption = "",
) -> None:
    """Check signed transactions against what was exported, and broadcast them."""
    with clear_errors(), ExitStack() as opened:
        from wallet.refill_file import BadFile, SignedFile, read

        try:
            signed = read(file, SignedFile)
        except BadFile as error:
            fail(str(error), EXIT_USAGE)
        for payment in _refills(data, opened).take(signed):
            say(f"{payment.intent.id}: {payment.status}, {payment.signed[-1].txid}")


def _refills(data: str, opened: ExitStack) -> "Refills":
    from api.custody_setup import open_custody
    from api.deployment import deployment_of

    settings = settings_for(data)
    return open_custody(settings, deployment_of(settings), opened).refills
