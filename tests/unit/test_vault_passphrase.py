"""Where passphrases may come from."""

import getpass
import os
import warnings
from pathlib import Path

import pytest

from wallet.vault import passphrase
from wallet.vault.errors import UnsafeFile, VaultError


def test_a_file_gives_its_first_line(tmp_path: Path) -> None:
    path = tmp_path / "passphrase"
    path.write_bytes("mot de passe é\r\nsecond\n".encode())
    path.chmod(0o600)
    assert passphrase.from_file(path).reveal() == "mot de passe é"


@pytest.mark.parametrize(("content", "mode"), [(b"x", 0o644), (b"", 0o600), (b"\xff", 0o600)])
def test_a_file_that_others_can_read_or_that_is_no_text_is_refused(
    tmp_path: Path, content: bytes, mode: int
) -> None:
    path = tmp_path / "passphrase"
    path.write_bytes(content)
    path.chmod(mode)
    with pytest.raises(UnsafeFile):
        passphrase.from_file(path)


def test_a_directory_is_no_passphrase(tmp_path: Path) -> None:
    with pytest.raises(UnsafeFile, match="regular"):
        passphrase.from_file(tmp_path)


def test_a_descriptor_gives_it_and_is_closed() -> None:
    reading, writing = os.pipe()
    os.write(writing, b"through a pipe\n")
    os.close(writing)
    assert passphrase.from_descriptor(reading).reveal() == "through a pipe"
    with pytest.raises(VaultError, match="cannot be read"):
        passphrase.from_descriptor(reading)


def test_a_new_one_is_asked_for_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter(["one", "one", "one", "two", "one"])
    monkeypatch.setattr("getpass.getpass", lambda _: next(answers))
    assert passphrase.from_terminal("new", twice=True).reveal() == "one"
    with pytest.raises(VaultError, match="not the same"):
        passphrase.from_terminal("new", twice=True)
    assert passphrase.from_terminal("old").reveal() == "one"


def test_without_a_terminal_nothing_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_terminal(_: str) -> str:
        warnings.warn("cannot control echo", getpass.GetPassWarning, stacklevel=2)
        return "shown to everyone"

    monkeypatch.setattr("getpass.getpass", no_terminal)
    with pytest.raises(VaultError, match="no terminal"):
        passphrase.from_terminal("old")
