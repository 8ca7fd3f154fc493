"""What may be signed: a file that people write and the signer reads once, when it starts.

Whatever no rule names is denied. The hash of the file is in the journal, so that it can be shown
later which policy a signature was made under.
"""

import base64
import binascii
import tomllib
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec

from wallet.approvals import Officers
from wallet.keys.errors import BadAddress
from wallet.keys.ethereum import parse_address
from wallet.signer.messages import rule_name
from wallet.types import IntentKind
from wallet.vault.document import Role

ANY: Final = "any"
OWN: Final = "own:"
EVM: Final = "eip155:"
FILE_BYTES_MAX: Final = 1024 * 1024
DAY_S: Final = 24 * 60 * 60
PAYING_NOBODY: Final = (IntentKind.RELEASE, IntentKind.DEPLOY)
COINS_ONLY: Final = (*PAYING_NOBODY, IntentKind.CALL)

Amount = Annotated[str, msgspec.Meta(pattern=r"^[0-9]{1,78}$")]
"""Of the smallest unit (wei), as text: numbers of TOML end at 64 bits."""
Selector = Annotated[str, msgspec.Meta(pattern=r"^0x[0-9a-f]{8}$")]


class BadPolicy(ValueError):
    """The policy cannot be read, or contradicts itself."""


class _Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A part of the file. An unknown name in it is an error: it may be a misspelt limit."""


class Officer(_Strict, frozen=True, kw_only=True):
    """Who may approve. public_key: Ed25519, base64."""

    name: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
    public_key: str

    @property
    def key(self) -> bytes:
        """The 32 bytes of the key."""
        return base64.b64decode(self.public_key, validate=True)


class ChainPolicy(_Strict, frozen=True, kw_only=True):
    """What a chain may be paid for including our transactions.

    gas_price_max: for one unit of gas. fee_max: for one transaction. fees_per_day: for all in any
    24 hours. fee_share_bps_max: of the amount of a withdrawal of the chain's own coin, in 1/100 %.
    """

    id: str
    gas_max: Annotated[int, msgspec.Meta(ge=21_000)]
    gas_price_max: Amount
    fee_max: Amount
    fees_per_day: Amount
    fee_share_bps_max: Annotated[int, msgspec.Meta(ge=0, le=10_000)]

    @property
    def number(self) -> int:
        """The chain id inside transactions."""
        return int(self.id.removeprefix(EVM))


class Rule(_Strict, frozen=True, kw_only=True):
    """What one kind of transaction may do with one asset of one chain.

    token: a contract's address; empty for the chain's own coin.
    roles: whose keys may sign it.
    to: addresses, `own:ROLE` for an address of ours, or `any` (withdrawals only).
    per_transaction, per_day: the most that may go with one, and with all in any 24 hours.
    approvals: how many officers must have signed one of more than `approvals_above`.
    selectors: for calls, which methods of the contracts in `to`.
    """

    chain: str
    kind: IntentKind
    roles: tuple[Role, ...]
    token: str = ""
    to: tuple[str, ...] = ()
    per_transaction: Amount = "0"
    per_day: Amount = "0"
    approvals: Annotated[int, msgspec.Meta(ge=0, le=16)]
    approvals_above: Amount = "0"
    selectors: tuple[Selector, ...] = ()

    @property
    def name(self) -> str:
        """What tells rules apart."""
        return rule_name(self.chain, self.kind, self.token)

    def approvals_needed(self, amount: int) -> int:
        """Return how many officers must have signed a transaction of this amount."""
        if self.approvals_above != "0" and amount <= int(self.approvals_above):
            return 0
        return self.approvals


class PolicyFile(_Strict, frozen=True, kw_only=True):
    """The whole file. stop_file: while it is there, nothing at all is signed.

    approval_age_s_max: how long after an officer made it an approval still counts.
    """

    version: Annotated[int, msgspec.Meta(ge=1, le=1)]
    stop_file: Path
    message_prefix: Annotated[str, msgspec.Meta(min_length=8)] = "Foldex proof: "
    approval_age_s_max: Annotated[int, msgspec.Meta(ge=60, le=30 * DAY_S)] = DAY_S
    officers: tuple[Officer, ...] = ()
    chains: tuple[ChainPolicy, ...] = ()
    rules: tuple[Rule, ...] = ()


class Policy:
    """A policy that was read and found to make sense."""

    def __init__(self, file: PolicyFile, digest: str) -> None:
        self.stop_file = file.stop_file
        self.message_prefix = file.message_prefix
        self.hash = digest
        self.officers = Officers(
            keys={officer.name: officer.key for officer in file.officers},
            age_s_max=file.approval_age_s_max,
        )
        self.chains = {chain.id: chain for chain in file.chains}
        self._rules = {rule.name: rule for rule in file.rules}

    def rule(self, chain: str, kind: IntentKind, token: str | None) -> Rule | None:
        """Return the rule for a kind of transaction; None when it is not allowed at all."""
        return self._rules.get(rule_name(chain, kind, token))

    @property
    def rules(self) -> Iterable[Rule]:
        """Every rule."""
        return self._rules.values()


def parse_policy(text: str) -> Policy:
    """Return the policy of a TOML text.

    Raises: BadPolicy: which part of it is wrong, and why.
    """
    try:
        file = msgspec.convert(tomllib.loads(text), PolicyFile, dec_hook=_path)
    except tomllib.TOMLDecodeError as error:
        raise BadPolicy(f"the policy is not TOML: {error}") from None
    except msgspec.ValidationError as error:
        raise BadPolicy(f"the policy is wrong: {error}") from None
    _check(file)
    return Policy(file, sha256(text.encode()).hexdigest())


def load_policy(path: Path) -> Policy:
    """Return the policy of a file. Raises: BadPolicy, OSError."""
    if path.stat().st_mode & 0o022:
        raise BadPolicy(f"others can change {path}: chmod 644 {path}")
    with path.open("rb") as file:
        data = file.read(FILE_BYTES_MAX + 1)
    if len(data) > FILE_BYTES_MAX:
        raise BadPolicy(f"{path} is longer than {FILE_BYTES_MAX} bytes")
    try:
        return parse_policy(data.decode())
    except UnicodeDecodeError:
        raise BadPolicy(f"{path} is not text") from None


def _path(kind: type, value: Any) -> Any:
    assert kind is Path
    return Path(value)


def _check(file: PolicyFile) -> None:
    if not file.stop_file.is_absolute():
        raise BadPolicy("stop_file is an absolute path")
    _unique("officer", [officer.name for officer in file.officers])
    _unique("key of an officer", [_officer_key(officer) for officer in file.officers])
    _unique("chain", [chain.id for chain in file.chains])
    _unique("rule", [rule.name for rule in file.rules])
    for chain in file.chains:
        if not (chain.id.startswith(EVM) and chain.id.removeprefix(EVM).isdecimal()):
            raise BadPolicy(f"chain {chain.id!r}: this signer signs for chains eip155:NUMBER")
        if chain.id != f"{EVM}{chain.number}" or chain.number == 0:
            raise BadPolicy(f"chain {chain.id!r} is not a chain's id")
    for rule in file.rules:
        _check_rule(rule, file)


def _check_rule(rule: Rule, file: PolicyFile) -> None:
    chains = {chain.id for chain in file.chains}
    for wrong, why in (
        (rule.chain not in chains, "there is no such chain"),
        (not rule.roles or Role.COLD in rule.roles, "roles are some of deposit, hot, gas"),
        (rule.approvals > len(file.officers), "it needs more officers than there are"),
        (int(rule.per_day) < int(rule.per_transaction), "less may go in a day than at once"),
        (
            bool(rule.selectors) != (rule.kind is IntentKind.CALL),
            "calls, and only they, need methods",
        ),
        (
            bool(rule.to) != (rule.kind not in PAYING_NOBODY),
            "it needs a `to`, or must not have one",
        ),
        (bool(rule.token) and rule.kind in COINS_ONLY, "only payments are of a token"),
    ):
        if wrong:
            raise BadPolicy(f"the rule for {rule.name}: {why}")
    if rule.token:
        _address(rule.token, rule.name)
    for to in rule.to:
        _check_destination(to, rule)


def _check_destination(to: str, rule: Rule) -> None:
    if to == ANY:
        if rule.kind is not IntentKind.WITHDRAWAL:
            raise BadPolicy(f"the rule for {rule.name}: only withdrawals go to any address")
    elif to.startswith(OWN):
        if to.removeprefix(OWN) not in list(Role):
            raise BadPolicy(f"the rule for {rule.name}: {to!r} is no role of ours")
    else:
        _address(to, rule.name)


def _address(text: str, name: str) -> None:
    try:
        parse_address(text)
    except BadAddress as error:
        raise BadPolicy(f"the rule for {name}: {text!r}: {error}") from None


def _officer_key(officer: Officer) -> bytes:
    try:
        key = officer.key
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != 32:
        raise BadPolicy(f"the public key of {officer.name} is not 32 bytes of base64")
    return key


def _unique(what: str, names: list[Any]) -> None:
    if len(set(names)) != len(names):
        raise BadPolicy(f"the policy names a {what} twice")
