"""API keys: who may ask for what, their secrets encrypted.

Verifying an HMAC needs the secret itself, so a hash will not do: secrets are encrypted with
AES-256-GCM under a master key that is not in the database.
"""

import base64
import re
import secrets
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, cast
from uuid import UUID

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from eventsourcing.application import AggregateNotFoundError, Application
from eventsourcing.domain import Aggregate, event
from eventsourcing.persistence import PersistenceError

ACCOUNT_SCOPES: Final = frozenset({"read", "trade", "withdraw"})
STAFF_SCOPES: Final = frozenset({"operate", "audit"})
LABEL_LENGTH_MAX: Final = 64
RECHECK_S: Final = 1.0
"""How soon a key that another process created or revoked is seen here, at the latest."""

_KEY_ID = re.compile(r"fdxk_([0-9a-f]{32})", re.ASCII)
_NONCE_BYTES: Final = 12
_PAGE: Final = 100


class KeyStoreError(Exception):
    """The keys cannot be used, or not in this way. The text says what to do; never a secret."""


class KeysUnavailable(KeyStoreError):
    """The database of the keys does not answer."""


@dataclass(frozen=True, slots=True)
class Key:
    """An API key that is in force. account: whose it is, empty for operators and auditors."""

    key_id: str
    account: str
    scopes: frozenset[str]
    label: str
    secret: bytes = field(repr=False)


class KeyRow(msgspec.Struct, frozen=True, kw_only=True):
    """What a list of keys shows of one: everything but its secret."""

    key_id: str
    account: str
    scopes: list[str]
    label: str
    revoked: bool


class ApiKey(Aggregate):
    """A key as recorded: created once, perhaps revoked. `sealed_secret` is base64 of AES-GCM."""

    # Stored instead of the module path, so that the code may move.
    TOPIC = "api_key"

    class Created(Aggregate.Created):
        TOPIC = "api_key_created.v1"

        account: str
        scopes: list[str]
        label: str
        sealed_secret: str

    class Revoked(Aggregate.Event):
        TOPIC = "api_key_revoked.v1"

    @event(Created)
    def __init__(self, account: str, scopes: list[str], label: str, sealed_secret: str) -> None:
        self.account = account
        self.scopes = scopes
        self.label = label
        self.sealed_secret = sealed_secret
        self.revoked = False

    @event(Revoked)
    def revoke(self) -> None:
        self.revoked = True


class KeyStore:
    """Creates, revokes and finds API keys; safe to use from several threads and processes."""

    def __init__(self, application: Application[UUID], master_key: bytes) -> None:
        """Use the keys in an application's database; `api.key_stores` opens it."""
        self._cipher = AESGCM(master_key)
        self._application = application
        self._lock = threading.Lock()
        self._cache: dict[str, Key] = {}
        self._changes = 0
        self._seen_notification: int | None = None
        self._checked_s = float("-inf")

    def create(self, account: str, scopes: Iterable[str], label: str = "") -> tuple[str, str]:
        """Return a new key's id and its secret, which is shown this once and never again.

        Raises: KeyStoreError: unknown scopes, or scopes that do not go with an account or without.
        """
        wanted = _checked_scopes(account, scopes)
        if len(label) > LABEL_LENGTH_MAX or not label.isprintable():
            raise KeyStoreError(f"A label is up to {LABEL_LENGTH_MAX} printable characters")
        secret = "fdxs_" + secrets.token_urlsafe(32)
        seal_id = secrets.token_hex(16)
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = self._cipher.encrypt(nonce, secret.encode(), _bound_to(seal_id, account, wanted))
        kept = seal_id + ":" + base64.b64encode(nonce + sealed).decode()
        key = ApiKey(account=account, scopes=wanted, label=label, sealed_secret=kept)
        with _answering():
            self._application.save(key)
        return f"fdxk_{key.id.hex}", secret

    def revoke(self, key_id: str) -> None:
        """End a key; ending it again changes nothing. Raises: KeyStoreError: no such key."""
        key = self._load(key_id)
        if key is None:
            raise KeyStoreError("There is no such API key")
        if not key.revoked:
            key.revoke()
            with _answering():
                self._application.save(key)
        with self._lock:
            self._forget()

    def find(self, key_id: str) -> Key | None:
        """Return the key if it is in force. Reads the database only when something changed there.

        Raises: KeyStoreError: the master key is not the one the secret was encrypted with.
        """
        with self._lock:
            self._forget_if_changed()
            known, changes = self._cache.get(key_id), self._changes
        if known is not None:
            return known
        stored = self._load(key_id)
        if stored is None or stored.revoked:
            return None
        key = Key(
            key_id, stored.account, frozenset(stored.scopes), stored.label, self._unseal(stored)
        )
        with self._lock:
            # What was changed since the key was asked for may be its end, and is not seen again.
            if changes == self._changes:
                self._cache[key_id] = key
        return key

    def cached(self, key_id: str) -> Key | None:
        """Return the key if it is known to be in force, without waiting for anything."""
        # The time first: a key that is found after it was still in force at that time.
        checked_s = self._checked_s
        known = self._cache.get(key_id)
        return known if time.monotonic() - checked_s < RECHECK_S else None

    def rows(self) -> list[KeyRow]:
        """Return every key, in force or revoked, oldest first."""
        repository = self._application.repository
        with _answering():
            found = [cast(ApiKey, repository.get(key_id)) for key_id in self._ids()]
        return [
            KeyRow(
                key_id=f"fdxk_{key.id.hex}",
                account=key.account,
                scopes=key.scopes,
                label=key.label,
                revoked=key.revoked,
            )
            for key in found
        ]

    def close(self) -> None:
        """Close the database."""
        self._application.close()

    def _forget_if_changed(self) -> None:
        """Another process may have revoked a key: look at the log's end, once in RECHECK_S."""
        now_s = time.monotonic()
        if now_s - self._checked_s < RECHECK_S:
            return
        with _answering():
            newest = self._application.recorder.max_notification_id()
        if newest != self._seen_notification:
            self._seen_notification = newest
            self._forget()
        # Only now: `cached` does not wait, and without an answer nothing is known to be in force.
        self._checked_s = now_s

    def _forget(self) -> None:
        self._cache.clear()
        self._changes += 1

    def _ids(self) -> list[UUID]:
        ids: dict[UUID, None] = {}
        start: int | None = None
        recorder = self._application.recorder
        while page := recorder.select_notifications(start, _PAGE, inclusive_of_start=False):
            ids.update((cast(UUID, each.originator_id), None) for each in page)
            start = page[-1].id
        return list(ids)

    def _load(self, key_id: str) -> ApiKey | None:
        match = _KEY_ID.fullmatch(key_id)
        if match is None:
            return None
        try:
            with _answering():
                return cast(ApiKey, self._application.repository.get(UUID(match.group(1))))
        except AggregateNotFoundError:
            return None

    def _unseal(self, key: ApiKey) -> bytes:
        seal_id, _, text = key.sealed_secret.partition(":")
        sealed = base64.b64decode(text)
        bound_to = _bound_to(seal_id, key.account, key.scopes)
        try:
            return self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], bound_to)
        except InvalidTag as error:
            raise KeyStoreError(
                "the keys were written with another master key: give FOLDEX_MASTER_KEY that one"
            ) from error


@contextmanager
def _answering() -> Iterator[None]:
    """Raises: KeysUnavailable: instead of the library's errors."""
    try:
        yield
    except PersistenceError as error:
        raise KeysUnavailable(f"the database of the API keys cannot be used: {error}") from error


def _checked_scopes(account: str, scopes: Iterable[str]) -> list[str]:
    wanted = sorted(set(scopes))
    if not wanted:
        raise KeyStoreError("A key needs at least one scope")
    allowed = ACCOUNT_SCOPES if account else STAFF_SCOPES
    if not allowed.issuperset(wanted):
        whose = "of an account" if account else "without an account"
        raise KeyStoreError(f"A key {whose} has scopes of: {', '.join(sorted(allowed))}")
    return wanted


def _bound_to(seal_id: str, account: str, scopes: list[str]) -> bytes:
    """Return what the encryption vouches for: nobody can widen a key by editing the database."""
    return "\n".join((seal_id, account, *scopes)).encode()
