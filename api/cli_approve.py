"""`vault approve`: an officer sees what a transaction does, and signs a yes to exactly that.

What its data means is worked out here, on the officer's own machine: custody's word is not enough.
"""

import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from api.cli_output import EXIT_DIFFERENT, EXIT_USAGE, fail, say
from api.cli_secrets import DescriptorOption, FileOption, passphrase, secret_errors

if TYPE_CHECKING:
    from wallet.call_text import CallText, IntentFile
    from wallet.chain import Artefact
    from wallet.types import Intent

ContractOption = Annotated[
    str,
    typer.Option(
        metavar="FILE",
        help="What a compiler wrote of the contract, had from where you trust: nothing else is"
        " believed. [default: contracts that come with Foldex, then what --intent says]",
    ),
]
_WIDTH: Final = 10


def approve(
    *,
    key: Annotated[Path, typer.Option(metavar="FILE", help="The officer's key.")],
    intent: Annotated[Path, typer.Option(metavar="FILE", help="What is to be paid, as JSON.")],
    contract: ContractOption = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    passphrase_file: FileOption = None,
    passphrase_fd: DescriptorOption = None,
) -> None:
    """Show what is to be paid or called, and sign an officer's approval of exactly that.

    Works on a machine without a network.
    """
    with secret_errors():
        from wallet.approvals import approve as sign
        from wallet.approvals import format_approval
        from wallet.types import IntentKind
        from wallet.vault.officers import load_officer, open_officer
        from wallet.vault.protection import PassphraseProtection

        given, wanted = _read(intent)
        file = load_officer(key)
        for name in ("id", "kind", "chain", "token", "to", "tag", "amount"):
            _show(name, getattr(wanted, name))
        if wanted.kind in (IntentKind.DEPLOY, IntentKind.CALL):
            _show_call(given, wanted, contract)
        if wanted.data:
            _show("data", wanted.data.hex())
        if not yes and not typer.confirm("Approve exactly this?", err=True):
            raise typer.Exit(1)
        secret = passphrase(f"Passphrase of {file.officer}", passphrase_file, passphrase_fd)
        opened = open_officer(file, PassphraseProtection(secret, file.protection, os.urandom))
        made = sign(opened, file.officer, wanted, approved_ms=time.time_ns() // 1_000_000)
        say(format_approval(made))


def _read(file: Path) -> "tuple[IntentFile, Intent]":
    import msgspec

    from wallet.call_text import IntentFile

    try:
        given = msgspec.json.decode(file.read_bytes(), type=IntentFile)
        return given, given.intent()
    except (msgspec.MsgspecError, ValueError) as error:
        fail(f"{file} is no payment: {error}", EXIT_USAGE)


def _show_call(given: "IntentFile", wanted: "Intent", contract: str) -> None:
    """Show what the data means; end when what is said of it is not so."""
    from wallet.errors import BadInterface
    from wallet.ethereum.calls import explain
    from wallet.ethereum.compiled import own_artefacts

    try:
        if contract:
            call, source = explain(wanted, [_artefact(contract)]), f"the ABI in {contract}"
        else:
            call = explain(wanted, own_artefacts(), given.interface)
            source = f"Foldex's own {call.source}" if call.source else "custody's words for it"
    except BadInterface as error:
        fail(
            f"what is said of the data is not what it does, so do not approve it: {error}",
            EXIT_DIFFERENT,
        )
    if call.unknown:
        _show("method", f"UNKNOWN: {call.unknown}; nobody can tell here what it does")
    else:
        _show_known(call, source)


def _show_known(call: "CallText", source: str) -> None:
    _show("method", call.method)
    for number, each in enumerate(call.arguments, 1):
        name = each.name or f"#{number}"
        typer.echo(f"  {name} = {json.dumps(each.value)}  ({each.type})", err=True)
    if call.code:
        _show("code", f"Keccak-256 {call.code}")
    _show("read by", f"{source}; encoded again, it is exactly the data below")


def _artefact(path: str) -> "Artefact":
    from wallet.errors import WalletError
    from wallet.ethereum.compiled import own_artefact, read_artefact

    try:
        file = Path(path)
        if not file.is_file():
            return own_artefact(path)
        return read_artefact(file.read_text(encoding="utf-8"))
    except WalletError as error:
        fail(f"--contract {path}: {error}", EXIT_USAGE)


def _show(name: str, value: Any) -> None:
    """Print on stderr. What a terminal might obey is written out."""
    text = str(value)
    shown = text if text.isascii() and text.isprintable() else ascii(text)
    typer.echo(f"{name:<{_WIDTH}} {shown}", err=True)
