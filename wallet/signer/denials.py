"""Why the signer says no. The codes are in its journal and in clients: they stay."""

from enum import StrEnum


class Denial(StrEnum):
    """One reason each. All that is not allowed is denied."""

    STOPPED = "stopped"
    BAD_INTENT = "bad_intent"
    BAD_TRANSACTION = "bad_transaction"
    UNKNOWN_CHAIN = "unknown_chain"
    WRONG_CHAIN = "wrong_chain"
    WRONG_KEY = "wrong_key"
    WRONG_NONCE = "wrong_nonce"
    WRONG_EFFECT = "wrong_effect"
    NO_RULE = "no_rule"
    WRONG_ROLE = "wrong_role"
    DESTINATION = "destination"
    SELECTOR = "selector"
    GAS = "gas"
    FEE_PRICE = "fee_price"
    FEE = "fee"
    FEE_SHARE = "fee_share"
    FEES_OF_DAY = "fees_of_day"
    AMOUNT = "amount"
    AMOUNT_OF_DAY = "amount_of_day"
    APPROVALS = "approvals"
    BAD_APPROVAL = "bad_approval"
    APPROVAL_EXPIRED = "approval_expired"
    OTHER_INTENT = "other_intent"
    SECOND_SLOT = "second_slot"
    SLOT_TAKEN = "slot_taken"
    SLOT_RELEASED = "slot_released"
    FEE_NOT_HIGHER = "fee_not_higher"
    MESSAGE = "message"


class Denied(Exception):
    """The request is refused; nothing was signed."""

    def __init__(self, code: Denial, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
