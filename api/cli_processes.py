"""`migrate`, `engine`, `api`, `project` and `publish`: the processes of a production deployment."""

from contextlib import ExitStack, closing
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
        for each in done:
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


def project(data: DataOption = "") -> None:
    """Keep the views exact: follow the log, and fold what is new into them."""
    with clear_errors():
        from api.deployment import deployment_of
        from api.follower import follow
        from api.logs import configure_logging
        from projections.runner import ProjectionRunner

        settings = settings_for(data)
        configure_logging(settings)
        there = deployment_of(settings)
        with ExitStack() as opened:
            store = opened.enter_context(there.open_store())
            views = opened.enter_context(closing(there.open_views()))
            runner = ProjectionRunner(store.log, views)
            raise typer.Exit(follow("the projections", runner, opened.pop_all()))


def publish(data: DataOption = "") -> None:
    """Relay the log to Kafka (FOLDEX_KAFKA). A second one stands by."""
    with clear_errors():
        from api.bootstrap import make_publisher
        from api.deployment import deployment_of
        from api.follower import follow
        from api.logs import configure_logging

        settings = settings_for(data)
        if not settings.kafka:
            fail("FOLDEX_KAFKA is needed: HOST:PORT of the brokers", EXIT_USAGE)
        configure_logging(settings)
        there = deployment_of(settings)
        with ExitStack() as opened:
            store = opened.enter_context(there.open_store())
            publisher = make_publisher(there, settings, store, opened)
            raise typer.Exit(follow("the publisher", publisher, opened.pop_all()))
