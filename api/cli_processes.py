"""`migrate`, `engine`, `api`, `project` and `publish`: the processes of a production deployment."""

from enum import StrEnum
from typing import Annotated

import typer

from api.cli_output import (
    EXIT_USAGE,
    DataOption,
    JsonOption,
    clear_errors,
    fail,
    say,
    say_json,
    settings_for,
)
from api.cli_serve import HostOption, PortOption


def migrate(data: DataOption = "", as_json: JsonOption = False) -> None:
    """Make the database and Kafka ready: schemas, roles and topics. Run before each new version.

    Repeating it does nothing; several at once wait for one another.
    """
    with clear_errors():
        from api.migration import migrate as run

        done = run(settings_for(data))
        if as_json:
            say_json({"done": done})
            return
        for each in done or ["Everything is there already."]:
            say(each)


def engine(
    data: DataOption = "",
    host: Annotated[
        str | None, typer.Option(help="For API processes. [default: $FOLDEX_ENGINE_HOST]")
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65_535, help="0: a free one. [default: $FOLDEX_ENGINE_PORT]"),
    ] = None,
) -> None:
    """Run the engine, the one that writes, for the API processes that know FOLDEX_ENGINE_TOKEN.

    A second one stands by, and goes on when the first has ended. Whatever was acknowledged is
    durable; when the engine fails, the process ends with 1 and is to be started again.
    """
    with clear_errors():
        from api.engine_process import run_engine

        settings = settings_for(data, engine_host=host, engine_port=port)
        code = run_engine(
            settings,
            on_ready=lambda host, port: say(f"The engine takes commands at {host}:{port}"),
            on_standby=lambda reason: say(f"Standing by: {reason}"),
        )
        raise typer.Exit(code)


def api(data: DataOption = "", host: HostOption = None, port: PortOption = None) -> None:
    """Serve the API beside the engine that FOLDEX_ENGINE names. Run as many as are needed."""
    with clear_errors():
        from api.server import serve_api

        settings = settings_for(data, host=host, port=port)
        if not settings.engine:
            fail("FOLDEX_ENGINE is needed: HOST:PORT of the engine", EXIT_USAGE)
        raise typer.Exit(
            serve_api(
                settings,
                on_ready=lambda _: say(f"The API is at http://{settings.host}:{settings.port}"),
            )
        )


class Source(StrEnum):
    """Where views are folded from."""

    store = "store"
    kafka = "kafka"


class Group(StrEnum):
    """Views that are folded together."""

    accounts = "accounts"
    events = "events"
    markets = "markets"


def project(
    data: DataOption = "",
    source: Annotated[
        Source, typer.Option("--from", help="kafka: the views of markets, shared by any number.")
    ] = Source.store,
    only: Annotated[
        list[Group] | None,
        typer.Option(help="These views, while other processes fold the others. Repeatable."),
    ] = None,
) -> None:
    """Keep the views exact: follow the log, and fold what is new into them.

    From the store one process folds a view; a second one stands by.
    """
    with clear_errors():
        from api.follower import run_projections
        from projections.view_set import GROUPS, MARKETS

        everything = [MARKETS] if source is Source.kafka else GROUPS
        code = run_projections(
            settings_for(data),
            source=source.value,
            groups=[group.value for group in Group if group in only] if only else everything,
            on_ready=say,
        )
        raise typer.Exit(code)


def publish(data: DataOption = "") -> None:
    """Relay the log to Kafka (FOLDEX_KAFKA). A second one stands by."""
    with clear_errors():
        from api.follower import run_publisher

        raise typer.Exit(run_publisher(settings_for(data), on_ready=say))
