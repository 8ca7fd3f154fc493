"""Why custody could not do something. The codes are those of the topic `errors`: they stay."""

from typing import ClassVar


class WalletError(Exception):
    """Something was not done. `retryable`: the same may succeed later without anyone's help."""

    code: ClassVar[str] = "INTERNAL"
    retryable: ClassVar[bool] = False

    @property
    def reason(self) -> str:
        """What records and people are told."""
        return f"{self.code}: {self}"


class BadRequest(WalletError):
    """A command or an argument makes no sense."""

    code = "BAD_REQUEST"


class BadAddress(WalletError):
    """No address of this chain, or one with a wrong checksum."""

    code = "BAD_ADDRESS"


class TagRequired(WalletError):
    """The payee takes payments only with a tag."""

    code = "TAG_REQUIRED"


class UnknownToken(WalletError):
    """The token is not registered."""

    code = "UNKNOWN_TOKEN"


class TokenConflict(WalletError):
    """The contract is another asset already, or the asset another contract."""

    code = "TOKEN_CONFLICT"


class TokenMismatch(WalletError):
    """The contract is no token, or says something else of itself than was said of it."""

    code = "TOKEN_MISMATCH"


class TokenDisabled(BadRequest):
    """The token neither comes nor goes until an operator enables it."""

    code = "TOKEN_DISABLED"


class UnknownAsset(WalletError):
    """The exchange does not list the asset."""

    code = "UNKNOWN_ASSET"


class UnknownContract(WalletError):
    """There is no such contract or artefact."""

    code = "UNKNOWN_CONTRACT"


class UnknownMethod(WalletError):
    """The contract has no such method, or not with these arguments."""

    code = "UNKNOWN_METHOD"


class CallFailed(WalletError):
    """The contract refused a call; the text is its reason."""

    code = "CALL_FAILED"


class ExchangeSaysNo(WalletError):
    """The exchange refused; the text begins with its own code, such as `insufficient_funds`."""

    code = "EXCHANGE_REFUSED"


class ExchangeAway(WalletError):
    """The exchange does not answer: what it lists is unknown now, or what it did when asked."""

    code = "EXCHANGE_UNAVAILABLE"
    retryable = True


class DuplicateMismatch(WalletError):
    """The key of an earlier command came again with other contents."""

    code = "DUPLICATE_MISMATCH"


class PolicyDenied(WalletError):
    """The signer's policy does not allow it."""

    code = "POLICY_DENIED"


class ApprovalRequired(WalletError):
    """Too few officers have approved it, or a signature of theirs is not valid."""

    code = "APPROVAL_REQUIRED"


class BadApproval(WalletError):
    """It is no approval of exactly this payment by one of the officers."""

    code = "BAD_APPROVAL"


class ApprovalExpired(WalletError):
    """The officer made it too long ago: another one is needed."""

    code = "APPROVAL_EXPIRED"


class DuplicateApproval(WalletError):
    """The officer has approved it before, and that still counts."""

    code = "DUPLICATE_APPROVAL"


class LimitExceeded(WalletError):
    """It is more than may be paid at once or in a day."""

    code = "LIMIT_EXCEEDED"


class InsufficientHotFunds(WalletError):
    """The hot wallet holds too little; a refill helps."""

    code = "INSUFFICIENT_HOT_FUNDS"
    retryable = True


class FeeAboveCap(WalletError):
    """The chain asks for more than the policy pays."""

    code = "FEE_ABOVE_CAP"
    retryable = True


class SignerUnavailable(WalletError):
    """The signer does not answer."""

    code = "SIGNER_UNAVAILABLE"
    retryable = True


class SignerRolledBack(WalletError):
    """The signer's journal is an older copy, or another one: it may have forgotten whom it paid."""

    code = "SIGNER_ROLLED_BACK"


class VaultLocked(WalletError):
    """The vault is locked: its passphrase or key service is needed."""

    code = "VAULT_LOCKED"
    retryable = True


class NodeUnavailable(WalletError):
    """The node does not answer, or not with what was asked for."""

    code = "NODE_UNAVAILABLE"
    retryable = True


class NodeLagging(WalletError):
    """The node does not know a block yet, or not any more: ask again from a fresh tip."""

    code = "NODE_LAGGING"
    retryable = True


class NodeRefused(WalletError):
    """The node refuses the request itself; the text is its reason."""

    code = "NODE_REFUSED"


class WrongChain(WalletError):
    """The node serves another chain than the one we keep books of. Nothing may go on."""

    code = "WRONG_CHAIN"


class KeyUsedElsewhere(WalletError):
    """Someone else signs with our key. Nothing may go on."""

    code = "KEY_USED_ELSEWHERE"


class AlreadySigned(WalletError):
    """Something was signed for it, which may be mined: it cannot be taken back any more."""

    code = "ALREADY_SIGNED"


class AlreadyEnded(WalletError):
    """It was paid, or it failed: nothing can be changed any more."""

    code = "ALREADY_ENDED"


class NotSigned(WalletError):
    """Nothing was signed for it yet, so there is nothing to replace."""

    code = "NOT_SIGNED"


class FeeCapReached(WalletError):
    """A replacement would cost more than the policy pays."""

    code = "FEE_CAP_REACHED"


class NonceConflict(WalletError):
    """The slot is not the one this payment was given."""

    code = "NONCE_CONFLICT"


class WillFail(WalletError):
    """The chain says beforehand that the transaction would fail; nothing was signed."""

    code = "TX_WOULD_FAIL"


class TxReverted(WalletError):
    """The transaction is in a block and failed."""

    code = "TX_REVERTED"


class TxExpired(WalletError):
    """The transaction can no longer be mined."""

    code = "TX_EXPIRED"


class DeepReorg(WalletError):
    """More blocks were replaced than we wait for."""

    code = "DEEP_REORG"


class ChainPaused(WalletError):
    """Deposits and withdrawals of this chain are stopped until an operator resumes them."""

    code = "CHAIN_PAUSED"
    retryable = True


class ReconciliationFailed(WalletError):
    """The books and the chain differ."""

    code = "RECONCILIATION_FAILED"


class TokensTaken(WalletError):
    """Tokens left an address of ours in a transaction that none of ours sent."""

    code = "TOKENS_TAKEN"


class BadInterface(WalletError):
    """What is said of a call's data does not encode to the same data again."""

    code = "BAD_INTERFACE"


class DifferencesNotAccepted(WalletError):
    """Who resumes accepts what differs, but there are other differences than were named."""

    code = "DIFFERENCES_NOT_ACCEPTED"
