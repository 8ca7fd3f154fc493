"""The vault: what it keeps comes back, and nothing that was changed or mixed up does."""

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from wallet.keys.public import ExtendedPublicKey
from wallet.keys.secret import Secret
from wallet.vault import files, vault
from wallet.vault.contents import Contents, Key, Seed
from wallet.vault.document import Argon2Params, Document, Role, TransitParams, decode, encode
from wallet.vault.errors import (
    NoVault,
    UnsafeFile,
    VaultDamaged,
    VaultError,
    VaultExists,
    WeakPassphrase,
    WrongPassphrase,
)
from wallet.vault.protection import PassphraseProtection, Protection

PASSPHRASE = "correct horse battery"
OTHER = "staple battery horse"
CHEAP_KIB = 64
"""Argon2id at its cheapest: these tests open vaults often."""


def protection(passphrase: str = PASSPHRASE) -> PassphraseProtection:
    return PassphraseProtection.new(Secret(passphrase), os.urandom, CHEAP_KIB)


def unlocker(passphrase: str = PASSPHRASE) -> vault.Unlocker:
    def unlock(params: Argon2Params | TransitParams) -> Protection:
        assert isinstance(params, Argon2Params)
        return PassphraseProtection(Secret(passphrase), params, os.urandom)

    return unlock


def keys() -> tuple[Key, ...]:
    cold = Key.of_seed(Role.COLD, Seed.new(os.urandom)).xpub
    seeded = (Role.DEPOSIT, Role.HOT, Role.GAS)
    return (
        *(Key.of_seed(role, Seed.new(os.urandom)) for role in seeded),
        Key.watched(Role.COLD, cold),
    )


@pytest.fixture
def made(tmp_path: Path) -> Contents:
    return vault.create(tmp_path, keys(), protection(), os.urandom)


def shown(contents: Contents) -> list[tuple[str, str, bytes | None]]:
    """What must survive: roles, public keys and seeds."""
    return [
        (key.role, key.xpub.text, key.seed.entropy.reveal() if key.seed else None)
        for key in contents.keys
    ]


def test_what_is_put_in_comes_back(tmp_path: Path, made: Contents) -> None:
    found = vault.open_vault(tmp_path, unlocker())
    assert shown(found) == shown(made)
    assert found.journal_key.reveal() == made.journal_key.reveal()
    digest = bytes(range(32))
    assert found.keyring().sign(Role.HOT, 3, digest) == made.keyring().sign(Role.HOT, 3, digest)


def test_an_imported_phrase_and_its_passphrase_come_back(tmp_path: Path) -> None:
    seed = Seed.of_phrase(Secret("test " * 11 + "junk"), Secret("naïve 25th"))
    vault.create(tmp_path, (Key.of_seed(Role.HOT, seed, account=7),), protection(), os.urandom)
    (found,) = vault.open_vault(tmp_path, unlocker()).keys
    assert found.path == "m/44'/60'/7'"
    assert found.seed is not None
    assert found.seed.phrase().reveal() == ("test " * 11 + "junk")
    assert found.seed.passphrase.reveal() == "naïve 25th"


def test_each_role_has_a_seed_of_its_own(tmp_path: Path) -> None:
    seed = Seed.new(os.urandom)
    vault.create(tmp_path, (Key.of_seed(Role.HOT, seed),), protection(), os.urandom)
    with pytest.raises(VaultError, match="another role has this key"):
        vault.add_key(tmp_path, unlocker(), Key.of_seed(Role.GAS, seed), os.urandom)
    with pytest.raises(VaultError, match="has a key for hot already"):
        vault.add_key(tmp_path, unlocker(), Key.of_seed(Role.HOT, Seed.new(os.urandom)), os.urandom)


def test_a_watched_role_shows_addresses_and_cannot_sign(tmp_path: Path, made: Contents) -> None:
    keyring = made.keyring()
    assert keyring.address(Role.COLD, 0).startswith("0x")
    assert not keyring.can_sign(Role.COLD)
    with pytest.raises(ValueError, match="cannot sign for cold"):
        keyring.sign(Role.COLD, 0, bytes(32))


@pytest.mark.parametrize("wrong", [OTHER, PASSPHRASE + " ", PASSPHRASE.title(), ""])
def test_a_wrong_passphrase_is_refused(tmp_path: Path, made: Contents, wrong: str) -> None:
    with pytest.raises(WrongPassphrase) as refused:
        vault.open_vault(tmp_path, unlocker(wrong))
    assert PASSPHRASE not in str(refused.value)


def test_a_short_passphrase_makes_no_vault() -> None:
    with pytest.raises(WeakPassphrase):
        protection("short")


def test_no_vault_is_overwritten(tmp_path: Path, made: Contents) -> None:
    before = (tmp_path / "vault.json").read_bytes()
    with pytest.raises(VaultExists):
        vault.create(tmp_path, keys(), protection(), os.urandom)
    assert (tmp_path / "vault.json").read_bytes() == before
    with pytest.raises(NoVault, match="vault create"):
        vault.open_vault(tmp_path / "elsewhere", unlocker())


def test_only_the_owner_can_read_it(tmp_path: Path, made: Contents) -> None:
    path = tmp_path / "vault.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for mode in (0o640, 0o604, 0o620):
        path.chmod(mode)
        with pytest.raises(UnsafeFile, match="chmod 600"):
            vault.open_vault(tmp_path, unlocker())
    path.chmod(0o600)
    assert sorted(found.name for found in tmp_path.iterdir()) == ["lock", "vault.json"]


def test_no_secret_is_in_the_file_or_shown(tmp_path: Path, made: Contents) -> None:
    text = (
        (tmp_path / "vault.json").read_bytes() + repr(made).encode() + repr(made.keyring()).encode()
    )
    for key in made.keys:
        if key.seed is None:
            continue
        secret = key.seed.entropy.reveal()
        assert secret not in text
        assert secret.hex().encode() not in text
        assert key.seed.phrase().reveal().encode() not in text
    assert PASSPHRASE.encode() not in text
    assert made.journal_key.reveal().hex().encode() not in text


def changes(document: Document) -> Iterator[tuple[str, Document]]:
    """Yield the document with one thing changed, each in turn."""
    change: Callable[..., Document] = msgspec.structs.replace
    deposit, hot, gas, cold = document.keys
    other = Key.of_seed(Role.COLD, Seed.new(os.urandom)).xpub.text

    def entries(*changed: object) -> Document:
        return change(document, keys=changed)

    yield "another id", change(document, vault_id="0" * 32)
    yield "an older generation", change(document, generation=document.generation - 1)
    yield (
        "seeds swapped",
        entries(deposit, change(hot, seed=gas.seed), change(gas, seed=hot.seed), cold),
    )
    yield (
        "roles swapped",
        entries(deposit, change(hot, role=Role.GAS), change(gas, role=Role.HOT), cold),
    )
    yield "another path", entries(deposit, change(hot, path="m/44'/60'/1'"), gas, cold)
    yield "another version", entries(deposit, change(hot, version=2), gas, cold)
    yield "another xpub", entries(deposit, change(hot, xpub=other), gas, cold)
    yield "another cold xpub", entries(deposit, hot, gas, change(cold, xpub=other))
    yield "a seed gone", entries(deposit, change(hot, seed=None), gas, cold)
    yield "a key gone", entries(deposit, hot, cold)
    yield "another order", entries(hot, deposit, gas, cold)
    yield "another journal key", change(document, journal_key=document.seal)
    assert hot.seed is not None
    flipped = bytes([hot.seed.ciphertext[0] ^ 1]) + hot.seed.ciphertext[1:]
    yield (
        "a flipped bit",
        entries(deposit, change(hot, seed=change(hot.seed, ciphertext=flipped)), gas, cold),
    )
    yield "an empty seal", change(document, seal=change(document.seal, nonce=b""))


def test_any_change_of_the_file_is_refused(tmp_path: Path, made: Contents) -> None:
    document = files.load(tmp_path)
    for what, changed in changes(document):
        files.write_private(tmp_path / "vault.json", encode(changed), replace=True)
        with pytest.raises((VaultDamaged, WrongPassphrase)):
            pytest.fail(f"{what}: {vault.open_vault(tmp_path, unlocker())} was accepted")


def test_parts_of_another_vault_with_the_same_passphrase_are_refused(tmp_path: Path) -> None:
    for name in ("one", "two"):
        vault.create(tmp_path / name, keys(), protection(), os.urandom)
    one, two = (files.load(tmp_path / name) for name in ("one", "two"))
    mixed = msgspec.structs.replace(one, keys=(one.keys[0], two.keys[1], *one.keys[2:]))
    files.write_private(tmp_path / "one" / "vault.json", encode(mixed), replace=True)
    with pytest.raises(VaultDamaged):
        vault.open_vault(tmp_path / "one", unlocker())


def test_every_cut_and_every_garbled_file_is_refused(tmp_path: Path, made: Contents) -> None:
    whole = (tmp_path / "vault.json").read_bytes()
    for cut in (0, 1, len(whole) // 2, len(whole) - 3):
        with pytest.raises(VaultDamaged):
            decode(whole[:cut])
    with pytest.raises(VaultDamaged, match="format 2"):
        decode(whole.replace(b'"format": 1', b'"format": 2'))
    with pytest.raises(VaultDamaged):
        decode(whole.replace(b'"memory_kib": 64', b'"memory_kib": 99999999'))
    with pytest.raises(VaultDamaged):
        decode(whole.replace(b'"format": 1', b'"format": 1, "extra": 1'))


def test_rotation_changes_every_byte_of_encryption_and_no_key(
    tmp_path: Path, made: Contents
) -> None:
    before = files.load(tmp_path)
    vault.rotate(tmp_path, unlocker(), None, os.urandom)
    after = files.load(tmp_path)
    assert after.generation == before.generation + 1
    assert after.data_key != before.data_key
    for old, new in zip(before.keys, after.keys, strict=True):
        assert old.xpub == new.xpub
        assert old.seed is None or old.seed != new.seed
    assert shown(vault.open_vault(tmp_path, unlocker())) == shown(made)


def test_rotation_to_another_passphrase_ends_the_old_one(tmp_path: Path, made: Contents) -> None:
    vault.rotate(tmp_path, unlocker(), protection(OTHER), os.urandom)
    with pytest.raises(WrongPassphrase):
        vault.open_vault(tmp_path, unlocker())
    assert shown(vault.open_vault(tmp_path, unlocker(OTHER))) == shown(made)


def test_a_backup_has_a_passphrase_of_its_own_and_can_be_restored(
    tmp_path: Path, made: Contents
) -> None:
    bundle = tmp_path / "bundle.json"
    vault.backup(tmp_path, unlocker(), bundle, protection(OTHER), os.urandom)
    assert stat.S_IMODE(bundle.stat().st_mode) == 0o600
    assert shown(vault.check_backup(bundle, unlocker(OTHER))) == shown(made)
    with pytest.raises(WrongPassphrase):
        vault.check_backup(bundle, unlocker())
    restored = vault.restore(bundle, unlocker(OTHER), tmp_path / "new", protection(), os.urandom)
    assert shown(vault.open_vault(tmp_path / "new", unlocker())) == shown(restored) == shown(made)
    with pytest.raises(VaultExists):
        vault.restore(bundle, unlocker(OTHER), tmp_path / "new", protection(), os.urandom)
    with pytest.raises(VaultExists):
        vault.backup(tmp_path, unlocker(), bundle, protection(OTHER), os.urandom)


def test_two_cannot_change_a_vault_at_once(tmp_path: Path, made: Contents) -> None:
    with files.changing(tmp_path), pytest.raises(VaultError, match="someone else"):
        vault.rotate(tmp_path, unlocker(), None, os.urandom)
    vault.rotate(tmp_path, unlocker(), None, os.urandom)


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_failed_write_leaves_the_old_vault(
    tmp_path: Path, made: Contents, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    def fail(*_: object) -> None:
        raise OSError("no space")

    owner = os if failing == "fsync" else Path
    new = protection(OTHER)
    with monkeypatch.context() as patched:
        patched.setattr(owner, failing, fail)
        with pytest.raises(OSError, match="no space"):
            vault.rotate(tmp_path, unlocker(), new, os.urandom)
    assert shown(vault.open_vault(tmp_path, unlocker())) == shown(made)
    assert sorted(found.name for found in tmp_path.iterdir()) == ["lock", "vault.json"]


def test_an_xpub_is_all_that_a_watched_key_needs(made: Contents) -> None:
    cold = made.keys[-1]
    assert Key.watched(Role.COLD, ExtendedPublicKey.parse(cold.xpub.text)) == cold
