"""`wallet deploy`, `transact`, `call`, `approve`: contracts, through custody like any payment."""

import json
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.cli_output import (
    EXIT_USAGE,
    DataOption,
    clear_errors,
    fail,
    say,
    say_json,
    settings_for,
)
from api.cli_wallet import open_desk

if TYPE_CHECKING:
    from wallet.chain import Artefact

IdOption = Annotated[
    str, typer.Option("--id", help="Your name of it: the same name is done once, for ever.")
]
ArtefactArgument = Annotated[
    str, typer.Argument(metavar="CONTRACT", help="`erc20`, or a file that a compiler wrote.")
]
ArgumentsOption = Annotated[
    str, typer.Option("--args", metavar="JSON", help='Arguments, such as \'["0x7099…", "5"]\'.')
]


def deploy(
    contract: ArtefactArgument, name: IdOption, arguments: ArgumentsOption = "[]",
    data: DataOption = "",
) -> None:  # fmt: skip
    """Plan the deployment of a contract, and print what officers are to approve."""
    with clear_errors(), ExitStack() as opened:
        from wallet.types import IntentId

        desk = open_desk(settings_for(data), opened)
        desk.deploy(IntentId(name), _artefact(contract), _arguments(arguments))
        say_json(desk.review_payment(IntentId(name)).intent)


def transact(
    *,
    contract: ArtefactArgument,
    address: Annotated[str, typer.Argument(help="Of the contract.")],
    method: Annotated[str, typer.Argument(help="Its name.")],
    name: IdOption,
    arguments: ArgumentsOption = "[]",
    data: DataOption = "",
) -> None:
    """Plan the call of a method in a transaction, and print what officers are to approve."""
    with clear_errors(), ExitStack() as opened:
        from wallet.types import Address, IntentId

        desk = open_desk(settings_for(data), opened)
        desk.transact(
            IntentId(name), _artefact(contract), Address(address), method, _arguments(arguments)
        )
        say_json(desk.review_payment(IntentId(name)).intent)


def call(
    contract: ArtefactArgument,
    address: Annotated[str, typer.Argument(help="Of the contract.")],
    method: Annotated[str, typer.Argument(help="Its name.")],
    arguments: ArgumentsOption = "[]",
    data: DataOption = "",
) -> None:
    """Print what a method answers, changing nothing."""
    with clear_errors(), ExitStack() as opened:
        from wallet.types import Address

        desk = open_desk(settings_for(data), opened)
        say(str(desk.call(_artefact(contract), Address(address), method, _arguments(arguments))))


def approve(
    name: Annotated[str, typer.Argument(metavar="ID", help="Of the payment.")],
    approval: Annotated[str, typer.Argument(help="As `foldex vault approve` prints it.")],
    data: DataOption = "",
) -> None:
    """Hand in an officer's approval of a planned payment."""
    with clear_errors(), ExitStack() as opened:
        from wallet.types import IntentId

        review = open_desk(settings_for(data), opened).approve_payment(IntentId(name), approval)
        say(f"{name}: approved by {', '.join(review.approvals)}; {review.needed} needed")


def _artefact(given: str) -> "Artefact":
    from pathlib import Path

    from wallet.ethereum.contracts import own_artefact, read_artefact

    file = Path(given)
    return (
        read_artefact(file.read_text(encoding="utf-8")) if file.is_file() else own_artefact(given)
    )


def _arguments(text: str) -> list[Any]:
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        fail(f"--args: {error}", EXIT_USAGE)
    if not isinstance(found, list):
        fail("--args is a JSON array", EXIT_USAGE)
    return found
