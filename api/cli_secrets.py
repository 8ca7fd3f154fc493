"""What the commands with secrets share: where passphrases and key services are, clear errors."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from api.cli_output import EXIT_LOCKED, EXIT_STORE, EXIT_USAGE, clear_errors, fail

if TYPE_CHECKING:
    from wallet.keys.secret import Secret
    from wallet.vault.document import Argon2Params, TransitParams
    from wallet.vault.protection import PassphraseProtection, Protection
    from wallet.vault.vault import Unlocker

DEFAULT_VAULT = Path("vault")
VaultOption = Annotated[
    Path, typer.Option("--vault", metavar="DIR", help="Directory of the vault.")
]
FileOption = Annotated[
    Path | None,
    typer.Option(
        "--passphrase-file",
        metavar="FILE",
        help="Its first line; only its owner may reach it. Without it the terminal is asked.",
    ),
]
DescriptorOption = Annotated[
    int | None,
    typer.Option("--passphrase-fd", metavar="N", help="The same, from an open file descriptor."),
]
NewFileOption = Annotated[
    Path | None,
    typer.Option("--new-passphrase-file", metavar="FILE", help="The passphrase from now on."),
]
NewDescriptorOption = Annotated[
    int | None, typer.Option("--new-passphrase-fd", metavar="N", help="The same, by descriptor.")
]
ServiceOption = Annotated[
    str,
    typer.Option(
        "--key-service", metavar="URL", help="HashiCorp Vault or OpenBao that protects the vault."
    ),
]
TokenOption = Annotated[
    Path | None,
    typer.Option(
        "--key-service-token", metavar="FILE", help="Its token; only its owner may reach the file."
    ),
]
ServiceKeyOption = Annotated[
    str,
    typer.Option(
        "--key-service-key", metavar="MOUNT/NAME", help="Which key of its transit engine."
    ),
]
MemoryOption = Annotated[
    int, typer.Option("--memory-mib", min=8, max=1024, help="Memory that a guess shall cost.")
]


@contextmanager
def secret_errors() -> Iterator[None]:
    """Turn what goes wrong with vaults and signers into one clear line."""
    from wallet.keys.errors import KeysError
    from wallet.signer.journal import JournalError, JournalInUse
    from wallet.signer.policy import BadPolicy
    from wallet.signer.server import SocketInUse
    from wallet.vault.errors import VaultDamaged, VaultError

    with clear_errors():
        try:
            yield
        except (JournalInUse, SocketInUse) as error:
            fail(str(error), EXIT_LOCKED)
        except (JournalError, VaultDamaged) as error:
            fail(str(error), EXIT_STORE)
        except (VaultError, KeysError, BadPolicy) as error:
            fail(str(error), EXIT_USAGE)


def passphrase(
    prompt: str, file: Path | None, descriptor: int | None, *, is_new: bool = False
) -> "Secret[str]":
    """Return a passphrase from where the command line says; by default from the terminal."""
    from wallet.vault import passphrase as sources

    if file is not None:
        return sources.from_file(file)
    if descriptor is not None:
        return sources.from_descriptor(descriptor)
    return sources.from_terminal(prompt, twice=is_new)


def unlocker(
    file: Path | None, descriptor: int | None, service: str = "", token: Path | None = None
) -> "Unlocker":
    """Return what opens a vault, whichever way it is protected."""

    def unlock(params: "Argon2Params | TransitParams") -> "Protection":
        from wallet.vault.document import Argon2Params
        from wallet.vault.protection import PassphraseProtection

        if isinstance(params, Argon2Params):
            given = passphrase("Passphrase of the vault", file, descriptor)
            return PassphraseProtection(given, params, os.urandom)
        return _transit(service, token, params)

    return unlock


def new_passphrase_protection(
    file: Path | None, descriptor: int | None, memory_mib: int, what: str = "New passphrase"
) -> "PassphraseProtection":
    """Return the protection of a passphrase that is given for the first time."""
    from wallet.vault.protection import PassphraseProtection

    given = passphrase(what, file, descriptor, is_new=True)
    return PassphraseProtection.new(given, os.urandom, memory_mib * 1024)


def new_service_protection(service: str, token: Path | None, key: str) -> "Protection":
    """Return the protection of a key service."""
    from wallet.vault.document import TransitParams

    mount, _, name = key.rpartition("/")
    if not name:
        fail("a key of the service is named MOUNT/NAME, as transit/foldex", EXIT_USAGE)
    return _transit(service, token, TransitParams(mount=mount or "transit", key=name))


def _transit(service: str, token: Path | None, params: "TransitParams") -> "Protection":
    from wallet.vault.passphrase import from_file
    from wallet.vault.transit import TransitProtection

    if not service or token is None:
        fail("this needs --key-service and --key-service-token", EXIT_USAGE)
    return TransitProtection(service, from_file(token), params)
