"""How careful custody is: confirmations, fees, and how much is kept in the hot wallet."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from wallet.types import FeePolicy, Intent, IntentKind

ANY = "*"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfirmationRule:
    """From this amount on (of the asset: 1.5 ether), a deposit of it waits for so many blocks.

    confirmations: 1 is the block it is in.
    """

    asset: str = ANY
    at_least: Decimal = Decimal(0)
    confirmations: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """What the hot wallet holds of an asset, in base units.

    Above high, down to target goes to cold; below low, up to target is asked for from cold.
    sweep_from: the least that is collected from a deposit address.
    """

    low: int
    target: int
    high: int
    sweep_from: int

    def __post_init__(self) -> None:
        """Raise ValueError when the limits are not in order."""
        if not 0 <= self.low <= self.target <= self.high or self.sweep_from <= 0:
            raise ValueError(f"not in order: {self}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """rules: the first that matches holds; one that matches anything must be the last.

    payment_confirmations: how deep a payment is when its end is believed. reorg_max: how many
    blocks can be disconnected; more stops everything. replace_after: blocks that an attempt waits
    before one with a higher fee takes its place. in_flight_max: payments of one sender that wait
    for their end. blocks_per_step: followed before anything else gets its turn; blocks_per_read: in
    one request and one transaction of the books. top_up_gas: units of gas that a token's sweep
    needs. approvals: of officers that a withdrawal or contract waits for; the signer has its own
    rules and checks each.
    """

    rules: Sequence[ConfirmationRule]
    fee: FeePolicy
    payment_confirmations: int = 12
    reorg_max: int = 256
    replace_after: int = 3
    in_flight_max: int = 16
    blocks_per_step: int = 500
    blocks_per_read: int = 20
    pause_on_reversal: bool = True
    top_up_gas: int = 100_000
    approvals: int = 0

    def __post_init__(self) -> None:
        """Raise ValueError when some deposit would match no rule."""
        last = self.rules[-1] if self.rules else None
        if last is None or last.asset != ANY or last.at_least:
            raise ValueError("the last rule must match every deposit")
        if any(rule.confirmations < 1 for rule in self.rules):
            raise ValueError("a deposit needs one confirmation at least")

    def is_reviewed(self, intent: Intent) -> bool:
        """Return whether people decide on an intent; all others are custody's own."""
        return intent.kind in (IntentKind.WITHDRAWAL, IntentKind.DEPLOY, IntentKind.CALL)

    def approvals_needed(self, intent: Intent) -> int:
        """Return how many officers must have approved an intent before it gets a slot."""
        return self.approvals if self.is_reviewed(intent) else 0

    def confirmations(self, asset: str, amount: int, decimals: int) -> int:
        """Return how many blocks a deposit waits for. amount: base units, with so many decimals."""
        for rule in self.rules:
            if rule.asset in (ANY, asset) and amount >= rule.at_least.scaleb(decimals):
                return rule.confirmations
        raise AssertionError("the last rule matches everything")
