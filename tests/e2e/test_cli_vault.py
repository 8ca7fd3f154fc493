"""The ceremonies on the command line: make, back up, restore, rotate, approve; nothing leaks."""

import base64
import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from tests.signer_world import PAYEE, policy_text
from wallet.approvals import IntentText, is_valid, parse_approval
from wallet.keys.online import OnlineKeys
from wallet.vault.officers import load_officer

ROOT = Path(__file__).resolve().parents[2]
PASSPHRASE = "correct horse battery"
OTHER = "staple battery horse"
WORDS = "test " * 11 + "junk"
JUNK_ADDRESS = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
CHEAP = ("--memory-mib", "8")


class Desk:
    """A directory with passphrases in files, and `foldex`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.seen = ""
        for name, text in (("one", PASSPHRASE), ("two", OTHER), ("words", WORDS)):
            (directory / name).write_text(text + "\n")
            (directory / name).chmod(0o600)

    def __call__(self, *arguments: str, status: int = 0, **given: str) -> str:
        """Run a command; its exit status is as expected. Returns what it printed."""
        result = subprocess.run(
            [str(ROOT / "foldex"), *arguments],
            cwd=self.directory,
            env={**os.environ, **given},
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
            timeout=60,
            start_new_session=True,  # Without a terminal to ask at.
        )
        self.seen += result.stdout + result.stderr
        assert result.returncode == status, result.stderr
        assert "Traceback" not in result.stderr
        return result.stdout if status == 0 else result.stderr


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    desk = Desk(tmp_path_factory.mktemp("desk"))
    desk("vault", "create", "--passphrase-file", "one", *CHEAP)
    return desk


def xpubs(desk: Desk, vault: str = "vault") -> dict[str, str]:
    found: dict[str, str] = json.loads(desk("vault", "xpub", "--vault", vault, "--json"))
    return found


def test_a_vault_is_made_once(desk: Desk) -> None:
    assert set(xpubs(desk)) == {"deposit", "hot", "gas"}
    assert "never overwritten" in desk(
        "vault", "create", "--passphrase-file", "one", *CHEAP, status=2
    )
    assert json.loads(desk("vault", "status", "--json"))["generation"] == 1
    assert "there is no vault" in desk("vault", "status", "--vault", "elsewhere", status=2)


def test_a_phrase_is_imported_and_gives_the_addresses_of_other_wallets(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    roles = ["--role", "deposit", "--role", "gas"]
    desk("vault", "create", *roles, "--passphrase-file", "one", *CHEAP)
    taken = ["vault", "import", "hot", "--phrase-file", "words", "--passphrase-file", "one"]
    assert JUNK_ADDRESS in desk(*taken)
    assert OnlineKeys(xpubs(desk)).hot == JUNK_ADDRESS
    assert "has a key for hot already" in desk(*taken, status=2)
    cold = ["vault", "import", "cold", "--passphrase-file", "one"]
    hot = xpubs(desk)["hot"]
    assert "another role has this key" in desk(*cold, "--xpub", hot, status=2)
    assert "give its --xpub" in desk(*cold, status=2)
    assert WORDS not in desk.seen


def test_the_cold_wallet_has_a_vault_of_its_own(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    made = ["vault", "create", "--passphrase-file", "one", *CHEAP, "--vault"]
    desk(*made, "cold", "--role", "cold", "--phrase-file", "words")
    cold = xpubs(desk, "cold")
    assert list(cold) == ["cold"]
    assert OnlineKeys(cold).cold == JUNK_ADDRESS
    desk(*made, "online", "--cold", cold["cold"])
    hot = xpubs(desk, "online")["hot"]
    import_ = ["vault", "import", "--passphrase-file", "one", "--vault", "cold"]
    assert OnlineKeys(xpubs(desk, "online")).hot in desk(*import_, "hot", "--xpub", hot)
    (tmp_path / "others").write_text("abandon " * 11 + "about\n")
    (tmp_path / "others").chmod(0o600)
    assert "without other seeds" in desk(*import_, "gas", "--phrase-file", "others", status=2)
    for wrong in (["--role", "cold", "--role", "hot"], ["--phrase-file", "words"]):
        assert "or of cold alone" in desk(*made, "wrong", *wrong, status=2)
    (tmp_path / "cold" / "policy.toml").write_text(policy_text(tmp_path))
    desk("signer", "init", "--vault", "cold", "--passphrase-file", "one")
    run = ["signer", "run", "--vault", "cold", "--passphrase-file", "one"]
    assert "stays off line" in desk(*run, status=2)


def test_backup_check_and_restore(desk: Desk) -> None:
    made = ["--passphrase-file", "one", "--new-passphrase-file", "two"]
    desk("vault", "backup", "--out", "bundle", *made, *CHEAP)
    assert xpubs(desk)["hot"] in desk(
        "vault", "backup", "--check", "bundle", "--passphrase-file", "two"
    )
    assert "passphrase is wrong" in desk(
        "vault", "backup", "--check", "bundle", "--passphrase-file", "one", status=2
    )
    back = ["--passphrase-file", "two", "--new-passphrase-file", "one", *CHEAP]
    desk("vault", "restore", "bundle", "--vault", "again", *back)
    assert xpubs(desk, "again") == xpubs(desk)
    assert "never overwritten" in desk(
        "vault", "restore", "bundle", "--vault", "again", *back, status=2
    )


def test_rotation_changes_the_passphrase(desk: Desk) -> None:
    desk(
        "vault",
        "backup",
        "--out",
        "before",
        "--passphrase-file",
        "one",
        "--new-passphrase-file",
        "one",
        *CHEAP,
    )
    desk(
        "vault",
        "restore",
        "before",
        "--vault",
        "turned",
        "--passphrase-file",
        "one",
        "--new-passphrase-file",
        "one",
        *CHEAP,
    )
    turned = ["vault", "rotate", "--vault", "turned"]
    desk(*turned, "--passphrase-file", "one", "--new-passphrase-file", "two", *CHEAP)
    assert "passphrase is wrong" in desk(*turned, "--passphrase-file", "one", status=2)
    desk(*turned, "--passphrase-file", "two")
    assert json.loads(desk("vault", "status", "--vault", "turned", "--json"))["generation"] == 4


def test_an_officer_approves_what_was_shown(desk: Desk) -> None:
    lines = desk(
        "vault", "officer-key", "ann", "--out", "ann.key", "--passphrase-file", "two", *CHEAP
    )
    public = load_officer(desk.directory / "ann.key").public_key
    assert f'public_key = "{public}"' in lines
    wish = {"id": "w7", "kind": "withdrawal", "chain": "eip155:1", "to": PAYEE, "amount": "5"}
    (desk.directory / "intent.json").write_text(json.dumps(wish))
    approve = ["vault", "approve", "--key", "ann.key", "--intent", "intent.json"]
    approval = parse_approval(desk(*approve, "--yes", "--passphrase-file", "two"))
    intent = msgspec.convert(wish, IntentText).intent()
    assert is_valid(approval, base64.b64decode(public), intent)
    assert not is_valid(approval, base64.b64decode(public), replace(intent, amount=6))
    assert "passphrase is wrong" in desk(*approve, "--yes", "--passphrase-file", "one", status=2)
    desk(*approve, status=1)  # Nobody said yes.
    (desk.directory / "intent.json").write_text(json.dumps({**wish, "amount": "5.5"}))
    assert "no payment" in desk(*approve, "--yes", status=2)


def test_the_signer_needs_a_policy_and_a_journal(desk: Desk) -> None:
    run = ["signer", "run", "--passphrase-file", "one"]
    assert "policy.toml" in desk(*run, status=2)
    policy = desk.directory / "vault" / "policy.toml"
    policy.write_text(policy_text(desk.directory))
    assert "officers: ann, ben, cat" in desk("signer", "policy", "vault/policy.toml")
    assert "signer init" in desk(*run, status=3)
    desk("signer", "init", "--passphrase-file", "one")
    assert "already" in desk("signer", "init", "--passphrase-file", "one", status=3)
    assert "0 records" in desk("signer", "verify", "--unlock", "--passphrase-file", "one")
    assert "no answer" in desk("signer", "status", status=3)


def test_a_passphrase_is_never_an_argument_or_a_variable(desk: Desk) -> None:
    assert "No such option" in desk("vault", "rotate", "--passphrase", PASSPHRASE, status=2)
    given = {"FOLDEX_PASSPHRASE": PASSPHRASE, "PASSPHRASE": PASSPHRASE}
    assert "no terminal" in desk("vault", "rotate", status=2, **given)
    (desk.directory / "open").write_text(PASSPHRASE)
    (desk.directory / "open").chmod(0o644)
    assert "chmod 600" in desk("vault", "rotate", "--passphrase-file", "open", status=2)


def test_nothing_secret_was_printed(desk: Desk) -> None:
    assert "generation" in desk.seen
    for secret in (PASSPHRASE, OTHER, WORDS):
        assert secret not in desk.seen.replace("--passphrase " + PASSPHRASE, "")
