"""`wallet token add|list|disable|enable`, `wallet rescan`, `wallet rescans`."""

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated, Final

import typer

from api.cli_output import (
    EXIT_DIFFERENT,
    DataOption,
    JsonOption,
    clear_errors,
    examples,
    progress_bar,
    say,
    say_json,
    settings_for,
)
from api.cli_wallet import open_desk

if TYPE_CHECKING:
    from wallet.desk import Desk
    from wallet.token_desk import RescanView, TokenView

BY: Final = "command line"
POLL_S: Final = 0.2

app = typer.Typer(no_args_is_help=True, help="Tokens: which ones custody takes.")

ContractArgument = Annotated[str, typer.Argument(metavar="CONTRACT", help="The token's address.")]
FirstArgument = Annotated[int, typer.Argument(help="Height of the first block.")]
LastArgument = Annotated[
    int | None, typer.Argument(help="Height of the last one [default: the last one followed]")
]


@app.command(
    epilog=examples(
        "foldex wallet token add 0xA0b8… USDC --decimals 6 --minimum 1 --sweep-from 20",
        "foldex wallet token add 0xA0b8… USDC --decimals 6 --no-review --no-measured --json",
    )
)
def add(
    *,
    contract: ContractArgument,
    asset: Annotated[str, typer.Argument(help="What the exchange lists it as.")],
    decimals: Annotated[int, typer.Option(help="The contract must say the same.")],
    decimals_untold: Annotated[
        bool, typer.Option("--decimals-untold", help="The contract tells none: yours are believed.")
    ] = False,
    minimum: Annotated[str, typer.Option(help="The least that a deposit is credited for.")] = "0",
    hot_low: Annotated[str, typer.Option(help="Below it, the hot wallet asks for more.")] = "0",
    hot_target: Annotated[str, typer.Option(help="What the hot wallet is kept at.")] = "0",
    hot_high: Annotated[str, typer.Option(help="Above it, the rest goes to cold.")] = "0",
    sweep_from: Annotated[str, typer.Option(help="The least that is collected; 0: never.")] = "0",
    review: Annotated[bool, typer.Option(help="Each deposit waits for an operator.")] = True,
    measured: Annotated[bool, typer.Option(help="Credit what the balance grew by.")] = True,
    data: DataOption = "",
    as_json: JsonOption = False,
) -> None:
    """Take a token, or take a known one on other terms. Amounts are of whole tokens.

    List it in the signer's policy file as well, else the signer signs no payment of it.
    """
    with clear_errors(), ExitStack() as opened:
        from wallet.tokens import TokenRequest

        request = TokenRequest(
            contract=contract, asset=asset, decimals=decimals, decimals_untold=decimals_untold,
            minimum=minimum, hot_low=hot_low, hot_target=hot_target, hot_high=hot_high,
            sweep_from=sweep_from, review=review, measured=measured,
        )  # fmt: skip
        _show(open_desk(settings_for(data), opened).tokens.add(request, BY), as_json=as_json)


@app.command("list", epilog=examples("foldex wallet token list", "foldex wallet token list --json"))
def list_(data: DataOption = "", as_json: JsonOption = False) -> None:
    """List every token."""
    with clear_errors(), ExitStack() as opened:
        found = open_desk(settings_for(data), opened).tokens.all()
        if as_json:
            say_json({"tokens": found})
            return
        for each in found:
            _show(each, as_json=False)


@app.command(epilog=examples("foldex wallet token disable 0xA0b8… --reason 'incident 12'"))
def disable(
    contract: ContractArgument,
    reason: Annotated[str, typer.Option(help="Why.")],
    data: DataOption = "",
    as_json: JsonOption = False,
) -> None:
    """Send a token's deposits to quarantine and refuse its withdrawals."""
    with clear_errors(), ExitStack() as opened:
        desk = open_desk(settings_for(data), opened).tokens
        _show(desk.disable(contract, reason, BY), as_json=as_json)


@app.command(epilog=examples("foldex wallet token enable 0xA0b8…"))
def enable(contract: ContractArgument, data: DataOption = "", as_json: JsonOption = False) -> None:
    """Let a token come and go again."""
    with clear_errors(), ExitStack() as opened:
        desk = open_desk(settings_for(data), opened).tokens
        _show(desk.enable(contract, BY), as_json=as_json)


def rescan(
    *,
    first: FirstArgument,
    last: LastArgument = None,
    name: Annotated[
        str, typer.Option("--id", help="Your name of it: the same name is done once, for ever.")
    ],
    wait: Annotated[bool, typer.Option(help="Wait until it is done.")] = False,
    data: DataOption = "",
    as_json: JsonOption = False,
) -> None:
    """Have custody look at blocks again, for deposits that were not looked for.

    Nothing is credited twice. With --wait it exits with 1 when the rescan failed.
    """
    with clear_errors(), ExitStack() as opened:
        desk = open_desk(settings_for(data), opened)
        view = desk.tokens.rescan(name, first, last, BY)
        if wait:
            view = _wait(desk, view, last)
        if as_json:
            say_json(view)
        else:
            say(_rescan_line(view))
        if view.status == "failed":
            raise typer.Exit(EXIT_DIFFERENT)


def rescans(data: DataOption = "", as_json: JsonOption = False) -> None:
    """List rescans: how far each is and what it found."""
    with clear_errors(), ExitStack() as opened:
        found = open_desk(settings_for(data), opened).tokens.rescans()
        if as_json:
            say_json({"rescans": found})
            return
        for each in found:
            say(_rescan_line(each))


def _wait(desk: "Desk", view: "RescanView", asked_last: int | None) -> "RescanView":
    with progress_bar("blocks") as progress:
        while view.status == "running":
            time.sleep(POLL_S)
            view = desk.tokens.rescan(view.name, view.first, asked_last, BY)
            if view.last is not None:
                progress(view.next - view.first, view.last - view.first + 1)
    return view


def _rescan_line(view: "RescanView") -> str:
    last = "the last" if view.last is None else view.last
    return (
        f"{view.name}  {view.first} to {last}  {view.status}  {view.next - view.first} blocks"
        f" looked at, {view.found} deposits found  {view.reason}"
    ).rstrip()


def _show(token: "TokenView", *, as_json: bool) -> None:
    from wallet.token_desk import SIGNED

    if as_json:
        say_json(token)
        return
    state = f"disabled: {token.disabled}" if token.disabled else "enabled"
    whose = " (untold: an operator's word)" if token.decimals_untold else ""
    say(f"{token.asset}  {token.contract}  {token.decimals} decimals{whose}  {state}")
    if token.allowed is None:
        say("  the signer does not answer")
    elif missing := [kind for kind in SIGNED if kind not in token.allowed]:
        say(f"  the signer's policy has no rule for: {', '.join(missing)}")
