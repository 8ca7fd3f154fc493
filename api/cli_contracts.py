"""`wallet deploy`, `transact`, `call`, `contracts`, `approve`: as over HTTP and Kafka."""

import json
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
from api.cli_wallet import open_desk

if TYPE_CHECKING:
    from wallet.call_text import CallText

IdOption = Annotated[
    str, typer.Option("--id", help="Your name of it: the same name is done once, for ever.")
]
ArtefactArgument = Annotated[
    str, typer.Argument(metavar="CONTRACT", help="`erc20`, or a file that a compiler wrote.")
]
ArgumentsOption = Annotated[
    str, typer.Option("--args", metavar="JSON", help='Arguments, such as \'["0x7099…", "5"]\'.')
]
ValueOption = Annotated[str, typer.Option("--value", metavar="WEI", help="Ether that goes along.")]


def deploy(
    *,
    contract: ArtefactArgument,
    name: IdOption,
    arguments: ArgumentsOption = "[]",
    value: ValueOption = "0",
    data: DataOption = "",
) -> None:
    """Plan the deployment of a contract, and print what officers are to approve."""
    with clear_errors(), ExitStack() as opened:
        desk = open_desk(settings_for(data), opened).contracts
        view = desk.deploy(name, _artefact(contract), _arguments(arguments), value)
        say_json(view.intent)


def transact(
    *,
    contract: ArtefactArgument,
    address: Annotated[str, typer.Argument(help="Of the contract.")],
    method: Annotated[str, typer.Argument(help="Its name.")],
    name: IdOption,
    arguments: ArgumentsOption = "[]",
    value: ValueOption = "0",
    data: DataOption = "",
) -> None:
    """Plan the call of a method in a transaction, and print what officers are to approve."""
    with clear_errors(), ExitStack() as opened:
        desk = open_desk(settings_for(data), opened).contracts
        made, given = _artefact(contract), _arguments(arguments)
        view = desk.transact(name, made, address, method, args=given, value=value)
        say_json(view.intent)


def call(
    contract: ArtefactArgument,
    address: Annotated[str, typer.Argument(help="Of the contract.")],
    method: Annotated[str, typer.Argument(help="Its name.")],
    arguments: ArgumentsOption = "[]",
    data: DataOption = "",
) -> None:
    """Print what a method answers, as JSON, changing nothing."""
    with clear_errors(), ExitStack() as opened:
        desk = open_desk(settings_for(data), opened).contracts
        say_json(desk.call(_artefact(contract), address, method, _arguments(arguments)))


def contracts(data: DataOption = "", as_json: JsonOption = False) -> None:
    """List every deployment and call, and what became of it."""
    with clear_errors(), ExitStack() as opened:
        found = open_desk(settings_for(data), opened).contracts.list()
        if as_json:
            say_json({"contracts": found})
            return
        for each in found:
            approved = f"{len(each.approvals)}/{each.needed} approvals"
            say(f"{each.id}  {each.kind}  {each.status}  {each.contract or '-'}  {approved}"
                f"  {each.reason}")  # fmt: skip
            say(f"  {_call_line(each.call)}")


def _call_line(call: "CallText") -> str:
    if call.unknown:
        return f"unknown: {call.unknown}"
    given = ", ".join(
        f"{each.name or each.type} {json.dumps(each.value)}" for each in call.arguments
    )
    return f"{call.method.partition('(')[0]}({given})"


def approve(
    name: Annotated[str, typer.Argument(metavar="ID", help="As `wallet contracts` shows it.")],
    approval: Annotated[str, typer.Argument(help="As `foldex vault approve` prints it.")],
    data: DataOption = "",
) -> None:
    """Hand in an officer's approval of a deployment or call."""
    with clear_errors(), ExitStack() as opened:
        view = open_desk(settings_for(data), opened).contracts.approve(name, approval)
        say(f"{name}: approved by {', '.join(view.approvals)}; {view.needed} needed")


def _artefact(given: str) -> Any:
    """Return the JSON of a file that a compiler wrote, or the name as it is."""
    file = Path(given)
    return _json(file.read_text(encoding="utf-8"), given) if file.is_file() else given


def _arguments(text: str) -> Any:
    return _json(text, "--args")


def _json(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        fail(f"{where}: {error}", EXIT_USAGE)
