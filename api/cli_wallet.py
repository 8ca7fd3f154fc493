"""`wallet`: custody of one chain's coins."""

from contextlib import ExitStack
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
    say,
    say_json,
    settings_for,
)

if TYPE_CHECKING:
    from api.settings import Settings
    from wallet.desk import Desk


app = typer.Typer(no_args_is_help=True, help="Custody: deposits, withdrawals and contracts.")


@app.command(epilog=examples("FOLDEX_ENGINE=127.0.0.1:7420 foldex wallet run"))
def run(data: DataOption = "") -> None:
    """Run custody beside the engine that FOLDEX_ENGINE names, until SIGTERM.

    `serve` runs it by itself when FOLDEX_ETHEREUM_URL is set.
    """
    with clear_errors():
        from api.custody_process import run_custody

        settings = settings_for(data)
        if not settings.engine:
            fail("FOLDEX_ENGINE is needed: HOST:PORT of the engine", EXIT_USAGE)
        raise typer.Exit(run_custody(settings, on_ready=say))


@app.command(epilog=examples("foldex wallet status", "foldex wallet status --json"))
def status(data: DataOption = "", as_json: JsonOption = False) -> None:
    """Show how far the chain is followed, and what is under way."""
    with clear_errors(), ExitStack() as opened:
        found = open_desk(settings_for(data), opened).status()
        if as_json:
            say_json(found)
            return
        say(f"{found.chain} is followed to block {found.height}; {found.addresses} addresses")
        say(f"deposits: {found.deposits or 'none'}; payments under way: {found.open_payments}")
        for asset, amount in found.refills.items():
            say(f"the hot wallet {found.hot} asks for {amount} base units of {asset}")
        if found.paused:
            say(f"PAUSED by {found.paused_by or 'custody itself'}: {found.paused}")
        for each in found.differences:
            say(f"DIFFERENT: {each}")
        if found.unlisted:
            say(f"DIFFERENT: {found.unlisted} more: see `foldex wallet reconcile`")
        if found.mark:
            say(f"who resumes with exactly these differences says so: --accept {found.mark}")


@app.command(epilog=examples("foldex wallet reconcile", "foldex wallet reconcile --data data"))
def reconcile(data: DataOption = "", as_json: JsonOption = False) -> None:
    """Compare the books with the chain and with the ledger; exit with 1 on any difference.

    What differs is recorded in the books and pauses the chain, as custody itself does it hourly.
    """
    with clear_errors(), ExitStack() as opened:
        from api.custody_setup import reconcile_now

        report = reconcile_now(settings_for(data), opened)
        if as_json:
            say_json(report)
        else:
            say(f"as of block {report.block.height} {report.block.hash}")
            for total in report.totals:
                say(f"{total.asset}: {total.on_chain} on chain, {total.credited} credited and"
                    f" {total.dust} dust, in base units")  # fmt: skip
            for each in report.unscanned:
                say(f"before the token was watched? {each}: see `foldex wallet rescan`")
            for each in report.differences:
                say(f"DIFFERENT: {each}")
            say(f"{report.addresses} addresses, {report.deposits} deposits and"
                f" {report.withdrawals} withdrawals compared; {len(report.differences)}"
                " differences")  # fmt: skip
        if report.differences:
            raise typer.Exit(EXIT_DIFFERENT)


@app.command(epilog=examples("foldex wallet pause --reason 'incident 12'"))
def pause(reason: Annotated[str, typer.Option(help="Why.")], data: DataOption = "") -> None:
    """Stop crediting deposits and signing payments."""
    with clear_errors(), ExitStack() as opened:
        open_desk(settings_for(data), opened).pause(reason, "command line")
        say("paused")


@app.command(
    epilog=examples(
        "foldex wallet resume --reason 'incident 12 is over'",
        "foldex wallet resume --reason 'a gift of 1 wei' --accept 1f0c3a9e5d7b2468",
    )
)
def resume(
    reason: Annotated[str, typer.Option(help="Why.")],
    accept: Annotated[
        str, typer.Option(metavar="MARK", help="Of the differences, as `wallet status` shows it.")
    ] = "",
    data: DataOption = "",
) -> None:
    """Go on crediting and signing, also with the differences that --accept names."""
    with clear_errors(), ExitStack() as opened:
        desk = open_desk(settings_for(data), opened)
        desk.resume("command line", reason, accept)
        say("resumed")
        for each in desk.status().differences:
            say(f"still different: {each}")


@app.command(
    name="accept-journal",
    epilog=examples("foldex wallet accept-journal --reason 'restored, compared'"),
)
def accept_journal(
    reason: Annotated[str, typer.Option(help="Why.")], data: DataOption = ""
) -> None:
    """Believe the signer's journal as it is now, though custody saw it further on.

    A journal that is too old forgets whom it paid: first do what docs/security.md says.
    """
    with clear_errors(), ExitStack() as opened:
        open_desk(settings_for(data), opened).accept_journal("command line", reason)
        say("accepted; custody is still paused: foldex wallet resume")


@app.command(epilog=examples("foldex wallet payments", "foldex wallet payments --json"))
def payments(data: DataOption = "", as_json: JsonOption = False) -> None:
    """List every transaction of ours with its attempts and its end."""
    with clear_errors(), ExitStack() as opened:
        found = open_desk(settings_for(data), opened).payments()
        if as_json:
            say_json(found)
            return
        for each in found:
            last = each.txids[-1] if each.txids else "-"
            say(f"{each.id}  {each.status}  {each.amount} {each.asset}  {last}  {each.reason}")


@app.command(
    epilog=examples(
        "foldex wallet faucet --url http://127.0.0.1:8545 0x7099… 1.5",
        "foldex wallet faucet --url http://127.0.0.1:8545 --token 0x5FbD… 0x7099… 250",
    )
)
def faucet(
    address: Annotated[str, typer.Argument(help="Who gets it.")],
    amount: Annotated[str, typer.Argument(help="Ether or whole tokens, such as 1.5.")],
    url: Annotated[str, typer.Option(help="Of a node for development.")],
    token: Annotated[str, typer.Option(help="A token's contract, instead of ether.")] = "",
) -> None:
    """Pay from a development node's first account, whose key everybody knows; never a real one."""
    with clear_errors():
        from api.faucet import pay, pay_token
        from wallet.config import base_units
        from wallet.types import Address, TokenId

        to = Address(address)
        if token:
            say(pay_token(url, TokenId(Address(token)), to, amount))
        else:
            say(pay(url, to, base_units(amount, 18)))


def open_desk(settings: "Settings", opened: ExitStack) -> "Desk":
    """Return what people ask custody through. Raises: WalletError, BadSetting, StoreError."""
    from api import custody_setup
    from api.deployment import deployment_of

    return custody_setup.open_desk(settings, deployment_of(settings), opened)
