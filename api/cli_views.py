"""./foldex compare, ./foldex candles check: are the views what they have to be?"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from api.cli_output import (
    EXIT_DIFFERENT,
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
    from projections.database import ViewStore

app = typer.Typer(help="K-lines.", no_args_is_help=True)

_ENVIRONMENT: Final = "env"
_PLACE: Final = "A data directory, postgresql://… or env: what the settings say."


def compare(
    left: Annotated[str, typer.Argument(metavar="LEFT", help=_PLACE)],
    right: Annotated[str, typer.Argument(metavar="RIGHT", help=_PLACE)],
    as_json: JsonOption = False,
) -> None:
    """Compare the views in two places row by row, whatever databases they are in."""
    with clear_errors():
        from contextlib import closing

        from projections.compare import compare as run
        from projections.views import Views

        with closing(Views(_views_in(left))) as ours, closing(Views(_views_in(right))) as theirs:
            differences = run(ours, theirs)
        if as_json:
            say_json({"differences": [each._asdict() for each in differences]})
        else:
            for each in differences:
                say(f"DIFFERENT   {each.table}: {each.left} | {each.right}")
            say("not the same" if differences else "the same")
        if differences:
            raise typer.Exit(EXIT_DIFFERENT)


@app.command(epilog=examples("foldex candles check", "foldex candles check --json"))
def check(data: DataOption = "", as_json: JsonOption = False) -> None:
    """Compute every candle anew from the trades, by SQL, and compare. Needs PostgreSQL."""
    with clear_errors():
        from contextlib import closing

        from api.deployment import deployment_of
        from projections.candle_check import DIFFERENCES_MAX, CandlesUncheckable, check_candles
        from projections.views import Views

        with closing(Views(deployment_of(settings_for(data)).open_views())) as views:
            try:
                differences = check_candles(views)
            except CandlesUncheckable as error:
                fail(str(error), EXIT_USAGE)
        if as_json:
            say_json({"differences": [each._asdict() for each in differences]})
        else:
            for each in differences:
                say(f"DIFFERENT   {each.market} {each.interval} {each.open_ms}")
            more = " or more" if len(differences) == DIFFERENCES_MAX else ""
            say(
                f"{len(differences)}{more} candles differ"
                if differences
                else "all candles are right"
            )
        if differences:
            raise typer.Exit(EXIT_DIFFERENT)


def _views_in(place: str) -> "ViewStore":
    from api.deployment import deployment_of
    from projections.postgres import PostgresViews
    from projections.sqlite import SQLiteViews

    if place == _ENVIRONMENT:
        return deployment_of(settings_for()).open_views()
    if place.startswith(("postgresql://", "postgres://")):
        return PostgresViews(place)
    return SQLiteViews(Path(place))
