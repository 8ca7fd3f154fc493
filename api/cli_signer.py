"""`signer`: the process that signs, and its journal."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from api.cli_output import (
    EXIT_DIFFERENT,
    EXIT_STORE,
    EXIT_USAGE,
    JsonOption,
    examples,
    fail,
    say,
    say_json,
)
from api.cli_secrets import (
    DEFAULT_VAULT,
    DescriptorOption,
    FileOption,
    ServiceOption,
    TokenOption,
    VaultOption,
    secret_errors,
    unlocker,
)

if TYPE_CHECKING:
    from wallet.signer.process import Clients

PolicyOption = Annotated[
    Path | None, typer.Option("--policy", help="What may be signed [default: policy.toml there]")
]
JournalOption = Annotated[
    Path | None, typer.Option("--journal", metavar="DIR", help="[default: journal there]")
]
SocketOption = Annotated[
    Path | None, typer.Option("--socket", help="Where clients ask [default: signer.sock there]")
]

ClientOption = Annotated[
    list[str] | None,
    typer.Option(
        "--client-user",
        metavar="USER",
        help="Whose processes may ask too, by name or number: custody's, where it has its own."
        " Needs --socket-group.",
    ),
]
GroupOption = Annotated[
    str,
    typer.Option(
        "--socket-group",
        metavar="GROUP",
        help="Whose members can reach the socket; the signer's user must be one.",
    ),
]

app = typer.Typer(no_args_is_help=True, help="Sign what the policy allows; nothing else.")


@app.command(
    epilog=examples(
        "foldex signer run --vault vault --passphrase-file passphrase",
        "foldex signer run --socket /run/foldex/signer.sock --client-user custody"
        " --socket-group foldex-signing",
    )
)
def run(
    *,
    vault: VaultOption = DEFAULT_VAULT,
    policy: PolicyOption = None,
    journal: JournalOption = None,
    socket: SocketOption = None,
    client_user: ClientOption = None,
    socket_group: GroupOption = "",
    passphrase_file: FileOption = None,
    passphrase_fd: DescriptorOption = None,
    key_service: ServiceOption = "",
    key_service_token: TokenOption = None,
) -> None:
    """Open the vault and sign until SIGTERM."""
    with secret_errors():
        clients = _clients(client_user or [], socket_group)
        from wallet.signer import hardening, process
        from wallet.signer.policy import load_policy
        from wallet.vault.vault import open_vault

        hardened = hardening.forbid_looking()
        allowed = load_policy(policy or vault / "policy.toml")
        opener = unlocker(passphrase_file, passphrase_fd, key_service, key_service_token)
        _log_to_stderr()
        if not process.run(
            keyring=open_vault(vault, opener).keyring(),
            policy=allowed,
            journal=journal or vault / "journal",
            socket=socket or vault / "signer.sock",
            hardened=hardened,
            clients=clients,
        ):
            fail("the signer could not write its journal and has stopped", EXIT_STORE)


@app.command(epilog=examples("foldex signer init --vault vault"))
def init(
    *,
    vault: VaultOption = DEFAULT_VAULT,
    journal: JournalOption = None,
    passphrase_file: FileOption = None,
    passphrase_fd: DescriptorOption = None,
    key_service: ServiceOption = "",
    key_service_token: TokenOption = None,
) -> None:
    """Make the empty journal of a new vault. Never do it for a vault that has signed."""
    with secret_errors():
        from wallet.signer.journal import Journal
        from wallet.vault.vault import open_vault

        opener = unlocker(passphrase_file, passphrase_fd, key_service, key_service_token)
        where = journal or vault / "journal"
        Journal.create(where, open_vault(vault, opener).keyring().authenticate)
        say(f"An empty journal is in {where}.")


@app.command(epilog=examples("foldex signer verify --vault vault", "foldex signer verify --json"))
def verify(
    *,
    vault: VaultOption = DEFAULT_VAULT,
    journal: JournalOption = None,
    unlock: Annotated[
        bool, typer.Option("--unlock", help="Open the vault, too, to prove the head authentic.")
    ] = False,
    passphrase_file: FileOption = None,
    passphrase_fd: DescriptorOption = None,
    key_service: ServiceOption = "",
    key_service_token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check every record of the journal and its chain. Works beside a running signer."""
    with secret_errors():
        from wallet.signer.verify import verify as check
        from wallet.vault.vault import open_vault

        opener = unlocker(passphrase_file, passphrase_fd, key_service, key_service_token)
        authenticate = open_vault(vault, opener).keyring().authenticate if unlock else None
        found = check(journal or vault / "journal", authenticate)
        if as_json:
            say_json(found)
            return
        say(f"{found.records} records: {found.signed} signed, {found.denied} denied.")
        proof = "authentic" if unlock else "as its file says; --unlock proves it"
        say(f"head {found.head}: {proof}")


@app.command(epilog=examples("foldex signer policy vault/policy.toml"))
def policy(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="The policy.")],
    as_json: JsonOption = False,
) -> None:
    """Check a policy and show what it allows."""
    with secret_errors():
        from wallet.signer.policy import load_policy

        found = load_policy(path)
        if as_json:
            say_json({"hash": found.hash, "rules": list(found.rules)})
            return
        say(f"policy {found.hash}; nothing is signed while {found.stop_file} is there")
        say(f"an approval is good for {found.officers.age_s_max} s")
        say(f"officers: {', '.join(found.officers.keys) or 'none'}")
        for rule in found.rules:
            say(
                f"{rule.name}: from {', '.join(rule.roles)} to {', '.join(rule.to) or '-'}; at most"
                f" {rule.per_transaction} at once and {rule.per_day} a day; {rule.approvals}"
                f" officers above {rule.approvals_above}"
            )


@app.command(epilog=examples("foldex signer prove 'Foldex proof: 2026-11-21, block 0x…'"))
def prove(
    text: Annotated[str, typer.Argument(help="Fresh, and beginning as the policy says.")],
    *,
    vault: VaultOption = DEFAULT_VAULT,
    socket: SocketOption = None,
    role: Annotated[str, typer.Option(help="Whose address.")] = "hot",
    index: Annotated[int, typer.Option(min=0, help="Which of the role's addresses.")] = 0,
) -> None:
    """Have the signer sign a text with an address of ours: proof that we have it (EIP-191)."""
    with _clear_answers():
        from wallet.signer.client import SignerClient

        client = SignerClient(socket or vault / "signer.sock")
        address, signature = client.sign_message(role, index, text)
        say_json({"address": address, "msg": text, "sig": "0x" + _with_v(signature).hex()})


@app.command(epilog=examples("foldex signer status --vault vault"))
def status(
    vault: VaultOption = DEFAULT_VAULT, socket: SocketOption = None, as_json: JsonOption = False
) -> None:
    """Ask the running signer how it is."""
    with _clear_answers():
        import msgspec

        from wallet.signer.client import SignerClient

        found = msgspec.to_builtins(SignerClient(socket or vault / "signer.sock").status())
        if as_json:
            say_json(found)
            return
        for name, value in found.items():
            say(f"{name:<11} {', '.join(value) if isinstance(value, list | tuple) else value}")


def _clients(users: list[str], group: str) -> "Clients":
    """Return who may ask besides our own user. Both are named, or none."""
    import grp
    import pwd

    from wallet.signer.process import Clients

    if bool(users) != bool(group):
        fail("--client-user and --socket-group go together", EXIT_USAGE)
    try:
        uids = {int(name) if name.isdecimal() else pwd.getpwnam(name).pw_uid for name in users}
        gid = int(group) if group.isdecimal() else grp.getgrnam(group).gr_gid if group else None
    except KeyError as error:
        fail(f"there is no such user or group: {error}", EXIT_USAGE)
    return Clients(uids=frozenset(uids), group=gid)


@contextmanager
def _clear_answers() -> Iterator[None]:
    from wallet.errors import SignerUnavailable, WalletError

    with secret_errors():
        try:
            yield
        except SignerUnavailable as error:
            fail(str(error), EXIT_STORE)
        except WalletError as error:
            fail(str(error), EXIT_DIFFERENT)


def _with_v(signature: bytes) -> bytes:
    """Return a signature as wallets check it: its last byte is 27 or 28."""
    return signature[:64] + bytes([signature[64] + 27])


def _log_to_stderr() -> None:
    import logging

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
