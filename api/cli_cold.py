"""`vault sign`: refills from the cold wallet, signed on its own machine without a network."""

from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from api.cli_output import EXIT_DIFFERENT, EXIT_USAGE, fail, say
from api.cli_secrets import DescriptorOption, FileOption, VaultOption, secret_errors, unlocker

if TYPE_CHECKING:
    from wallet.signer.offline import Refill

DEFAULT = Path("cold")
WEI_DECIMALS = 18


def sign(
    file: Annotated[Path, typer.Argument(help="As `foldex wallet refill export` wrote it.")],
    *,
    out: Annotated[Path, typer.Option(metavar="FILE", help="Where the signed ones go.")],
    vault: VaultOption = DEFAULT,
    chain: Annotated[str, typer.Option(help="The only chain that is signed for.")] = "eip155:1",
    fee_max: Annotated[
        str, typer.Option(metavar="ETHER", help="The most that each may cost the chain.")
    ] = "0.1",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    passphrase_file: FileOption = None,
    passphrase_fd: DescriptorOption = None,
) -> None:
    """Show what a refill does, and sign it with the cold wallet's seed. Needs no network.

    Only payments to the hot wallet that this vault knows are signed.
    """
    with secret_errors():
        from wallet.refill_file import BadFile, RefillFile, read, write
        from wallet.signer import offline
        from wallet.vault.vault import open_vault

        try:
            asked = read(file, RefillFile)
        except BadFile as error:
            fail(str(error), EXIT_USAGE)
        keyring = open_vault(vault, unlocker(passphrase_file, passphrase_fd)).keyring()
        refills = offline.checked(asked, keyring, chain=chain, fee_max=_wei(fee_max))
        for each in refills:
            _show(each)
        if not yes and not typer.confirm("Sign exactly this?", err=True):
            raise typer.Exit(EXIT_DIFFERENT)
        write(out, offline.sign(refills, keyring, chain=chain))
        say(f"{len(refills)} signed: bring {out} to `foldex wallet refill import`")


def _show(refill: "Refill") -> None:
    """Print what the transaction says, read from its bytes; the file's own words come last."""
    item, transaction = refill.item, refill.transaction
    what = f"base units of the token {item.token}" if item.token else "wei"
    for name, value in (
        ("id", item.id),
        ("chain", f"eip155:{transaction.chain_id}"),
        ("from", f"{item.sender} (cold)"),
        ("to", f"{item.to} (hot)"),
        ("amount", f"{item.amount} {what}"),
        ("nonce", transaction.nonce),
        ("fee", f"at most {transaction.fee_max} wei: {transaction.gas} gas at {transaction.price}"),
        ("said", item.summary),
    ):
        typer.echo(f"{name:<8} {value}", err=True)


def _wei(ether: str) -> int:
    try:
        return int(Decimal(ether).scaleb(WEI_DECIMALS).to_integral_exact())
    except (InvalidOperation, ValueError, OverflowError):
        fail(f"--fee-max {ether!r} is no amount", EXIT_USAGE)
