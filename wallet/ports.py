"""What custody is handed by whoever runs it: the exchange, the keys' public side, the signer."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from wallet.approvals import Officers
from wallet.types import Address, ChainId, Intent, IntentKind, TokenId, TxId, Unsigned


class ExchangeRefused(Exception):
    """The exchange refused a command for good. code: the refusal's."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


class ExchangeUnavailable(Exception):
    """Whether the command was taken is unknown: send the same again later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovedWithdrawal:
    """A withdrawal that the exchange approved. amount: ledger units."""

    withdrawal_id: int
    account: str
    asset: str
    amount: int
    address: str


@dataclass(frozen=True, slots=True)
class KnownWithdrawal:
    """status: requested, approved, rejected, completed or failed, by the exchange's log."""

    status: str
    withdrawal: ApprovedWithdrawal


class Requests(Protocol):
    """How commands ask the exchange for withdrawals. Every request may be repeated.

    All of them raise ExchangeRefused and ExchangeUnavailable.
    """

    def request(
        self, *, account: str, asset: str, units: int, address: str, request_id: str
    ) -> int:
        """Hold an amount, in ledger units, for a withdrawal; return its number."""

    def reject(self, *, withdrawal_id: int, rejected_by: str, reason: str) -> None:
        """Release the hold of one that is not approved."""

    def find(self, withdrawal_id: int) -> KnownWithdrawal | None:
        """Return a withdrawal, if there is one."""


class Exchange(Protocol):
    """Every command may be repeated: the second time changes nothing.

    All of them but `decimals` raise ExchangeRefused and ExchangeUnavailable.
    """

    def credit(self, *, account: str, asset: str, units: int, deposit_id: str) -> None:
        """Credit a deposit, in ledger units."""

    def reverse(self, *, deposit_id: str) -> None:
        """Reverse a credited deposit."""

    def complete(self, *, withdrawal_id: int, txid: str) -> None:
        """Record that a withdrawal was paid."""

    def fail(self, *, withdrawal_id: int, reason: str) -> None:
        """Give the held amount back."""

    def decimals(self, asset: str) -> int | None:
        """Return the decimals of an asset's ledger unit; None when it is not listed.

        Raises: ExchangeAway (an error of `wallet.errors`): ask again.
        """

    def approved(self, after: int) -> tuple[Sequence[ApprovedWithdrawal], int]:
        """Return withdrawals approved after a position of its log, and how far that looked."""


class Keys(Protocol):
    """The public side of the keys: addresses, never anything secret."""

    @property
    def hot(self) -> Address:
        """Where withdrawals are paid from."""

    @property
    def gas(self) -> Address:
        """What pays the fees of deposit addresses that hold only tokens."""

    @property
    def cold(self) -> Address:
        """Where what is not needed goes. Its key is not online."""

    def deposit_address(self, index: int) -> Address:
        """Return the deposit address of an index."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """A signed transaction."""

    txid: TxId
    raw: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """Whose approvals a payment needs, by the signer's policy, and how many of them."""

    officers: Officers
    needed: int


class Signer(Protocol):
    """Another process, which checks everything itself and denies by default."""

    def requirement(self, intent: Intent) -> Requirement:
        """Return whose approvals a payment needs.

        Raises: PolicyDenied: no rule allows it at all; SignerUnavailable.
        """

    def sign(
        self, intent: Intent, unsigned: Unsigned, approvals: Sequence[str], index: int | None
    ) -> Signed:
        """Return the signed transaction; the same request gets the same answer.

        approvals: officers' signatures over the intent. index: of the deposit address that sends,
        None for the hot wallet.
        Raises: PolicyDenied, ApprovalRequired, LimitExceeded, NonceConflict: it was not signed
        and will not be; SignerUnavailable, VaultLocked: try again.
        """

    def allows(self, chain: ChainId, kind: IntentKind, token: TokenId | None) -> bool:
        """Return whether its policy has a rule for such payments; without one it denies them all.

        Raises: SignerUnavailable.
        """
