"""`wallet command`, `wallet messages`: custody over Kafka, from a shell."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from api.cli_output import EXIT_DIFFERENT, EXIT_USAGE, clear_errors, fail, say_json, settings_for

if TYPE_CHECKING:
    from wallet.kafka_desk import KafkaDesk


def command(
    text: Annotated[str, typer.Argument(metavar="JSON", help="The command: docs/custody.md.")],
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds to wait for it.")] = 30.0,
) -> None:
    """Send a command on the topic `command` and print its answer; exit with 1 on `errors`."""
    with clear_errors():
        from wallet.bus import ERRORS

        topic, body = _desk().ask(text, timeout)
        say_json(body)
        if topic == ERRORS:
            raise typer.Exit(EXIT_DIFFERENT)


def messages(
    topic: Annotated[
        str, typer.Argument(help="command, address.created, transaction, errors or events.")
    ],
) -> None:
    """Print what is in a topic now, a JSON document per line, in order per partition."""
    with clear_errors():
        for value in _desk().messages(topic):
            sys.stdout.write(value.decode("utf-8", "replace") + "\n")
        sys.stdout.flush()


def _desk() -> "KafkaDesk":
    from api.brokers import brokers_of
    from wallet.kafka_desk import KafkaDesk

    settings = settings_for()
    if not settings.kafka:
        fail("FOLDEX_KAFKA is needed: the brokers", EXIT_USAGE)
    return KafkaDesk(brokers_of(settings), prefix=settings.kafka_prefix)
