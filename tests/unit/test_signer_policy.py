"""The policy file: what is wrong in it is named, and nothing is guessed."""

from pathlib import Path

import pytest

from tests.signer_world import TOKEN, policy_text, public_key
from wallet.signer.policy import BadPolicy, load_policy, parse_policy
from wallet.types import IntentKind

HERE = Path("/run/foldex")


def test_a_policy_says_what_its_file_says() -> None:
    policy = parse_policy(policy_text(HERE))
    assert policy.stop_file == HERE / "stop"
    assert sorted(policy.officers.keys) == ["ann", "ben", "cat"]
    assert policy.officers.age_s_max == 24 * 60 * 60
    rule = policy.rule("eip155:1337", IntentKind.WITHDRAWAL, None)
    assert rule is not None
    assert (rule.approvals_needed(10**17), rule.approvals_needed(10**17 + 1)) == (0, 2)
    assert policy.rule("eip155:1337", IntentKind.WITHDRAWAL, TOKEN.lower()) is not None
    assert policy.rule("eip155:1337", IntentKind.REFILL, None) is None
    assert policy.rule("eip155:1", IntentKind.WITHDRAWAL, None) is None


def test_the_policy_in_the_documentation_is_one() -> None:
    page = (Path(__file__).parents[2] / "docs" / "security.md").read_text()
    policy = parse_policy(page.split("```toml\n")[1].split("```")[0])
    assert policy.rule("eip155:1", IntentKind.WITHDRAWAL, None) is not None


def test_another_text_has_another_hash() -> None:
    text = policy_text(HERE)
    assert parse_policy(text).hash != parse_policy(text + "# a remark\n").hash


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("version = 1", "version = 2", "version"),
        ("version = 1", "version =", "not TOML"),
        ("per_day", "per_dya", "per_dya"),
        ('"5000000000000000000"', "5000000000000000000", "str"),
        ('"5000000000000000000"', '"5e18"', "per_transaction"),
        ('"20000000000000000000"', '"2"', "less may go in a day"),
        ("approvals = 2", "approvals = 4", "more officers"),
        ("approvals = 2", "approvals = -1", "approvals"),
        ("approvals = 2\n", "", "approvals"),
        ('roles = ["gas"]', "roles = []", "roles"),
        ('roles = ["gas"]', 'roles = ["cold"]', "roles"),
        ('roles = ["gas"]', 'roles = ["boss"]', "boss"),
        ('to = ["own:deposit"]', 'to = ["any"]', "only withdrawals"),
        ('to = ["own:deposit"]', 'to = ["own:boss"]', "no role"),
        ('to = ["own:deposit"]', "to = []", "needs a `to`"),
        ('to = ["own:deposit"]', 'to = ["0x12"]', "0x12"),
        ("0x3C44CdDdB6", "0x3c44CdDdB6", "EIP-55"),
        ('selectors = ["0x3fb5c1cb"]', "", "methods"),
        ("0x3fb5c1cb", "0x3FB5C1CB", "selectors"),
        ('kind = "deploy"', 'kind = "release"', "twice"),
        ('kind = "deploy"', 'kind = "gift"', "gift"),
        ('name = "ben"', 'name = "ann"', "names a officer twice"),
        (public_key("ben"), public_key("ann"), "key of an officer twice"),
        (public_key("ben"), "AAAA", "32 bytes"),
        (public_key("ben"), "not base64", "32 bytes"),
        ('id = "eip155:1337"', 'id = "eip155:01337"', "not a chain's id"),
        ('id = "eip155:1337"', 'id = "eip155:1"', "no such chain"),
        ('id = "eip155:1337"', 'id = "bip122:000"', "eip155:NUMBER"),
        ("gas_max = 1_000_000", "gas_max = 1", "gas_max"),
        ("fee_share_bps_max = 1000", "fee_share_bps_max = 10001", "fee_share"),
        ("/run/foldex/stop", "stop", "absolute"),
        ('kind = "release"\n', 'kind = "release"\ntoken = "0x12"\n', "only payments"),
    ],
)
def test_a_policy_that_is_wrong_is_refused_and_says_where(old: str, new: str, why: str) -> None:
    text = policy_text(HERE)
    assert old in text
    with pytest.raises(BadPolicy, match=why):
        parse_policy(text.replace(old, new, 1 if "CONTRACT" in old else -1))


def test_a_policy_that_others_can_change_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.write_text(policy_text(tmp_path))
    path.chmod(0o664)
    with pytest.raises(BadPolicy, match="others can change"):
        load_policy(path)
    path.chmod(0o644)
    assert load_policy(path).chains
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(BadPolicy, match="not text"):
        load_policy(path)
