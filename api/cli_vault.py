"""`vault`: make, import, rotate, back up and restore the seeds; the officers' keys."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from api.cli_output import EXIT_USAGE, JsonOption, examples, fail, say, say_json
from api.cli_secrets import (
    DEFAULT_VAULT,
    DescriptorOption,
    FileOption,
    MemoryOption,
    NewDescriptorOption,
    NewFileOption,
    ServiceKeyOption,
    ServiceOption,
    TokenOption,
    VaultOption,
    new_passphrase_protection,
    new_service_protection,
    passphrase,
    secret_errors,
    unlocker,
)

if TYPE_CHECKING:
    from wallet.vault.contents import Contents, Key
    from wallet.vault.protection import Protection

app = typer.Typer(no_args_is_help=True, help="The seeds of the wallets, encrypted at rest.")

ColdOption = Annotated[
    str, typer.Option("--cold", metavar="XPUB", help="The cold wallet's extended public key.")
]

RolesOption = Annotated[
    list[str] | None,
    typer.Option(
        "--role",
        help="deposit, hot or gas [default: all of them]; or cold alone, on its machine off line",
    ),
]


@app.command(
    epilog=examples(
        "foldex vault create --vault cold --role cold",
        "foldex vault create --vault vault --cold xpub6D…",
        "foldex vault create --key-service https://vault:8200 --key-service-token token"
        " --key-service-key transit/foldex",
    )
)
def create(
    *,
    vault: VaultOption = DEFAULT_VAULT,
    cold: ColdOption = "",
    role: RolesOption = None,
    phrase_file: Annotated[
        Path | None, typer.Option(help="With --role cold: BIP-39 words instead of a new seed.")
    ] = None,
    passphrase_file: FileOption = None,
    passphrase_fd: DescriptorOption = None,
    key_service: ServiceOption = "",
    key_service_token: TokenOption = None,
    key_service_key: ServiceKeyOption = "",
    memory_mib: MemoryOption = 64,
) -> None:
    """Make a vault with a new seed for each online role: deposit, hot, gas.

    With --role for some of them only; those of the others can be imported. The cold wallet's seed
    has a vault of its own, which is made and used on a machine without a network.
    """
    with secret_errors():
        from wallet.vault import vault as vaults

        protection: Protection = (
            new_service_protection(key_service, key_service_token, key_service_key)
            if key_service
            else new_passphrase_protection(passphrase_file, passphrase_fd, memory_mib)
        )
        made = vaults.create(vault, _new_keys(role, cold, phrase_file), protection, os.urandom)
        _say_keys(made)
        say(f"Now make a backup and keep it elsewhere: foldex vault backup --vault {vault} --out …")


@app.command(
    "import",
    epilog=examples(
        "foldex vault import hot --phrase-file words.txt", "foldex vault import cold --xpub xpub6D…"
    ),
)
def import_key(
    role: Annotated[str, typer.Argument(help="deposit, hot, gas or cold.")],
    *,
    vault: VaultOption = DEFAULT_VAULT,
    xpub: Annotated[str, typer.Option(help="Of a seed that stays elsewhere.")] = "",
    account: Annotated[int, typer.Option(min=0, help="Number of the account.")] = 0,
    phrase_file: Annotated[
        Path | None, typer.Option(help="BIP-39 words; only its owner may reach it.")
    ] = None,
    passphrase_file: FileOption = None,
    passphrase_fd: DescriptorOption = None,
    key_service: ServiceOption = "",
    key_service_token: TokenOption = None,
) -> None:
    """Put a seed that exists, or an extended public key, into the vault."""
    with secret_errors():
        from wallet.vault import vault as vaults

        key = _imported(role, xpub, account, phrase_file)
        opener = unlocker(passphrase_file, passphrase_fd, key_service, key_service_token)
        _say_keys(vaults.add_key(vault, opener, key, os.urandom))


@app.command(epilog=examples("foldex vault rotate", "foldex vault rotate --new-passphrase"))
def rotate(
    *,
    vault: VaultOption = DEFAULT_VAULT,
    new_passphrase: Annotated[
        bool, typer.Option("--new-passphrase", help="Ask for another passphrase.")
    ] = False,
    passphrase_file: FileOption = None,
    passphrase_fd: DescriptorOption = None,
    new_passphrase_file: NewFileOption = None,
    new_passphrase_fd: NewDescriptorOption = None,
    key_service: ServiceOption = "",
    key_service_token: TokenOption = None,
    key_service_key: ServiceKeyOption = "",
    memory_mib: MemoryOption = 64,
) -> None:
    """Encrypt the vault again, under a new data key, and under a new passphrase when one is given.

    With --key-service-key it moves to that key of the service.
    """
    with secret_errors():
        from wallet.vault import vault as vaults

        protection: Protection | None = None
        if key_service_key:
            protection = new_service_protection(key_service, key_service_token, key_service_key)
        elif new_passphrase or new_passphrase_file or new_passphrase_fd is not None:
            protection = new_passphrase_protection(
                new_passphrase_file, new_passphrase_fd, memory_mib
            )
        opener = unlocker(passphrase_file, passphrase_fd, key_service, key_service_token)
        done = vaults.rotate(vault, opener, protection, os.urandom)
        say(f"Encrypted again: generation {done.generation}. Make a new backup.")


@app.command(
    epilog=examples(
        "foldex vault backup --out /media/usb/foldex.backup",
        "foldex vault backup --check /media/usb/foldex.backup",
    )
)
def backup(
    *,
    vault: VaultOption = DEFAULT_VAULT,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Where to.")] = None,
    check: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Open this backup and show its keys.")
    ] = None,
    passphrase_file: FileOption = None,
    passphrase_fd: DescriptorOption = None,
    new_passphrase_file: NewFileOption = None,
    new_passphrase_fd: NewDescriptorOption = None,
    key_service: ServiceOption = "",
    key_service_token: TokenOption = None,
    memory_mib: MemoryOption = 256,  # It lies about for years and is opened rarely.
) -> None:
    """Write all seeds to one encrypted file, under a passphrase of its own, and open it to see."""
    with secret_errors():
        from wallet.vault import vault as vaults

        if check is not None:
            _say_keys(vaults.check_backup(check, unlocker(passphrase_file, passphrase_fd)))
            return
        if out is None:
            fail("where to? --out FILE, or --check FILE", EXIT_USAGE)
        opener = unlocker(passphrase_file, passphrase_fd, key_service, key_service_token)
        protection = new_passphrase_protection(
            new_passphrase_file, new_passphrase_fd, memory_mib, "Passphrase of the backup"
        )
        _say_keys(vaults.backup(vault, opener, out, protection, os.urandom))
        say(f"Written and opened again: {out}")


@app.command(epilog=examples("foldex vault restore /media/usb/foldex.backup --vault vault"))
def restore(
    bundle: Annotated[Path, typer.Argument(metavar="FILE", help="The backup.")],
    *,
    vault: VaultOption = DEFAULT_VAULT,
    passphrase_file: FileOption = None,
    passphrase_fd: DescriptorOption = None,
    new_passphrase_file: NewFileOption = None,
    new_passphrase_fd: NewDescriptorOption = None,
    key_service: ServiceOption = "",
    key_service_token: TokenOption = None,
    key_service_key: ServiceKeyOption = "",
    memory_mib: MemoryOption = 64,
) -> None:
    """Make a vault of a backup. There must be none yet."""
    with secret_errors():
        from wallet.vault import vault as vaults

        protection: Protection = (
            new_service_protection(key_service, key_service_token, key_service_key)
            if key_service
            else new_passphrase_protection(new_passphrase_file, new_passphrase_fd, memory_mib)
        )
        opener = unlocker(passphrase_file, passphrase_fd)
        _say_keys(vaults.restore(bundle, opener, vault, protection, os.urandom))


@app.command(epilog=examples("foldex vault xpub --json > xpubs.json"))
def xpub(vault: VaultOption = DEFAULT_VAULT, as_json: JsonOption = False) -> None:
    """Print the extended public keys: all that online processes need. The vault stays locked."""
    with secret_errors():
        from wallet.vault.files import load

        found = {entry.role.value: entry.xpub for entry in load(vault).keys}
        if as_json:
            say_json(found)
            return
        _say_addresses(found)


@app.command(epilog=examples("foldex vault status --vault vault"))
def status(vault: VaultOption = DEFAULT_VAULT, as_json: JsonOption = False) -> None:
    """Show what the vault holds and how it is protected, without opening it."""
    with secret_errors():
        from wallet.vault.document import Argon2Params
        from wallet.vault.files import load

        document = load(vault)
        protection = document.protection
        how = (
            f"Argon2id, {protection.memory_kib // 1024} MiB, {protection.iterations} passes"
            if isinstance(protection, Argon2Params)
            else f"key service, {protection.mount}/{protection.key}"
        )
        keys = {
            entry.role.value: f"{entry.path}  {'seed here' if entry.seed else 'public key only'}"
            for entry in document.keys
        }
        if as_json:
            facts = {"vault": document.vault_id, "generation": document.generation}
            say_json({**facts, "protection": how, "keys": keys})
            return
        say(f"vault       {document.vault_id}, generation {document.generation}")
        say(f"protection  {how}")
        for role, text in keys.items():
            say(f"{role:<11} {text}")


@app.command("officer-key", epilog=examples("foldex vault officer-key ann --out ann.key"))
def officer_key(
    name: Annotated[str, typer.Argument(help="As the signer's policy names the officer.")],
    out: Annotated[Path, typer.Option(metavar="FILE", help="Where to.")],
    passphrase_file: FileOption = None,
    passphrase_fd: DescriptorOption = None,
    memory_mib: MemoryOption = 64,
) -> None:
    """Make an officer's key, and print the lines for the signer's policy."""
    with secret_errors():
        from wallet.vault.officers import create_officer

        protection = new_passphrase_protection(
            passphrase_file, passphrase_fd, memory_mib, "Passphrase of the officer"
        )
        made = create_officer(out, name, protection, os.urandom)
        say("[[officers]]")
        say(f'name = "{made.officer}"')
        say(f'public_key = "{made.public_key}"')


def _new_keys(roles: list[str] | None, cold: str, words: Path | None) -> "tuple[Key, ...]":
    from wallet.keys.public import ExtendedPublicKey
    from wallet.vault.contents import Key, Seed
    from wallet.vault.document import ONLINE_ROLES, Role

    if roles == [Role.COLD] and not cold:
        seed = Seed.of_phrase(passphrase("Words", words, None)) if words else Seed.new(os.urandom)
        return (Key.of_seed(Role.COLD, seed),)
    wanted = [role for role in ONLINE_ROLES if roles is None or role in roles]
    if words or (roles is not None and len(wanted) != len(set(roles))):
        names = ", ".join(ONLINE_ROLES)
        fail(
            f"a vault has seeds of {names}, or of cold alone, whose words may be given", EXIT_USAGE
        )
    keys = [Key.of_seed(role, Seed.new(os.urandom)) for role in wanted]
    if cold:
        keys.append(Key.watched(Role.COLD, ExtendedPublicKey.parse(cold)))
    return tuple(keys)


def _imported(role: str, xpub: str, account: int, phrase_file: Path | None) -> "Key":
    from wallet.keys.public import ExtendedPublicKey
    from wallet.vault.contents import Key, Seed
    from wallet.vault.document import Role

    if role not in list(Role):
        fail(f"a role is one of {', '.join(Role)}", EXIT_USAGE)
    if xpub:
        return Key.watched(Role(role), ExtendedPublicKey.parse(xpub), account)
    if role == Role.COLD:
        fail("the cold seed stays offline: give its --xpub", EXIT_USAGE)
    phrase = passphrase("Words", phrase_file, None)
    extra = passphrase("BIP-39 passphrase (often none)", None, None) if not phrase_file else None
    return Key.of_seed(Role(role), Seed.of_phrase(phrase, extra), account)


def _say_keys(contents: "Contents") -> None:
    say(f"vault {contents.vault_id}, generation {contents.generation}")
    _say_addresses({key.role.value: key.xpub.text for key in contents.keys})


def _say_addresses(xpubs: "Mapping[str, str]") -> None:
    from wallet.keys.online import OnlineKeys

    keys = OnlineKeys(xpubs)
    for role, text in xpubs.items():
        say(f"{role:<8} {text}")
        say(f"         first address {keys.address(role, 0)}")
