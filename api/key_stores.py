"""Where API keys are kept: in a data directory, with the master key that encrypts them.

A stolen database gives no secret away; a stolen data directory does when the master key is the
default file inside it, which is why production sets FOLDEX_MASTER_KEY.
"""

import base64
import os
import secrets
from pathlib import Path
from typing import Final
from uuid import UUID

from eventsourcing.application import Application

from api.keys import KeyStore, KeyStoreError
from eventstore.sqlite_schema import prepare_file

MASTER_KEY_BYTES: Final = 32


def keys_in(directory: Path, master_key: str = "") -> KeyStore:
    """Return the keys in DIR/keys.db, made if need be; without a master key, DIR/master.key too.

    Raises: KeyStoreError: the master key is malformed, or is missing though keys exist.
    """
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "keys.db"
    key = _master_key(directory, master_key, may_create=not path.exists())
    prepare_file(path)
    application: Application[UUID] = Application(
        env={"PERSISTENCE_MODULE": "eventsourcing.sqlite", "SQLITE_DBNAME": str(path)}
    )
    path.chmod(0o600)
    return KeyStore(application, key)


def _master_key(directory: Path, given: str, *, may_create: bool) -> bytes:
    if given:
        return decoded_master_key(given)
    path = directory / "master.key"
    if not path.exists():
        if not may_create:
            raise KeyStoreError(
                f"{path} is missing, and keys.db cannot be read without it: restore that file, "
                "set FOLDEX_MASTER_KEY, or remove keys.db and create new keys"
            )
        _create_master_key(path)
    return decoded_master_key(path.read_text(encoding="ascii").strip())


def _create_master_key(path: Path) -> None:
    """Write a new key: other processes see the whole file or none, and the first one wins."""
    # Not the process's number: that of another container's process may be the same.
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(descriptor, secrets.token_bytes(MASTER_KEY_BYTES).hex().encode())
        os.fsync(descriptor)
        path.hardlink_to(draft)
    except FileExistsError:
        # Another process was first; its key is the one.
        return
    finally:
        os.close(descriptor)
        draft.unlink()


def decoded_master_key(text: str) -> bytes:
    """Return the key that a text gives. Raises: KeyStoreError: it is malformed."""
    for decode in (bytes.fromhex, _from_base64):
        try:
            key = decode(text)
        except ValueError:
            continue
        if len(key) == MASTER_KEY_BYTES:
            return key
    raise KeyStoreError("The master key is 32 bytes as 64 hex digits or as base64")


def _from_base64(text: str) -> bytes:
    return base64.b64decode(text, validate=True)
