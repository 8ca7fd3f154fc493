"""`serve`, `demo` and `sandbox`: run an exchange, or what custody needs to be tried."""

from pathlib import Path
from typing import Annotated

import typer

from api.cli_output import EXIT_USAGE, DataOption, clear_errors, fail, say, settings_for

HostOption = Annotated[str | None, typer.Option(help="[default: $FOLDEX_HOST, 127.0.0.1]")]
PortOption = Annotated[
    int | None,
    typer.Option(
        min=0, max=65_535, help="0: a free one, see the log. [default: $FOLDEX_PORT, 8000]"
    ),
]

DEMO_DATA = "data/demo"


def serve(data: DataOption = "", host: HostOption = None, port: PortOption = None) -> None:
    """Serve a whole exchange, its API included, in one process until SIGTERM or SIGINT.

    A new data directory becomes a new, empty exchange. Whatever was acknowledged is durable.
    """
    with clear_errors():
        from api.bootstrap import Foldex
        from api.server import serve as run
        from api.settings import is_loopback

        settings = settings_for(data, host=host, port=port)

        def ready(foldex: Foldex) -> None:
            shown = f"[{settings.host}]" if ":" in settings.host else settings.host
            say(f"Foldex at http://{shown}:{settings.port} with {foldex.deployment.place}")
            if not is_loopback(settings.host):
                say("Warning: this is plain HTTP; put a TLS proxy in front of it.")

        raise typer.Exit(run(settings, on_ready=ready))


def demo(
    data: Annotated[
        str, typer.Option(metavar="DIR", help="Kept: the next demo goes on where this one ended.")
    ] = DEMO_DATA,
    host: HostOption = None,
    port: PortOption = None,
    seed: Annotated[int, typer.Option(help="Of the simulated traders.")] = 1,
) -> None:
    """Run a small exchange with simulated traders, and print what to try on it."""
    with clear_errors():
        from api.demo import run_demo

        settings = settings_for(data, host=host, port=port)
        raise typer.Exit(run_demo(settings, seed))


def sandbox(
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="For what it makes: worth nothing, but secret.")
    ] = Path("data/sandbox"),
) -> None:
    """Run a signer with a vault, an officer and a token to try custody with, on a development node.

    Beside `engine`, `api` and `wallet run` with the same settings; DIR/client.sh has the rest. See
    docs/custody-tutorial.md.
    """
    with clear_errors():
        from api.sandbox import run_sandbox

        settings = settings_for()
        if not settings.ethereum_url:
            fail("FOLDEX_ETHEREUM_URL is needed: a node for development, such as anvil", EXIT_USAGE)
        raise typer.Exit(run_sandbox(settings, directory))
