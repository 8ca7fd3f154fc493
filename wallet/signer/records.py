"""What the journal remembers. The stored names and fields stay; a changed meaning is a new name."""

import msgspec

from wallet.approvals import IntentText


class _Record(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """time_ms: of the signer's clock, since 1970; never earlier than that of the record before."""

    time_ms: int


class Opened(_Record, frozen=True, kw_only=True, tag="opened.v1"):
    """The signer started. keys: each role's extended public key."""

    vault_id: str
    generation: int
    policy: str
    keys: dict[str, str]


class SignedPayment(_Record, frozen=True, kw_only=True, tag="signed.v1"):
    """A transaction was signed; it is on disk before anyone gets the signature.

    content: `content_hash` of the intent. rule: whose limits it counts against.
    digest: of the unsigned transaction. amount, fee_max: of the smallest unit, as text.
    """

    intent: IntentText
    content: str
    rule: str
    slot: str
    key: str
    digest: str
    txid: str
    tip: str
    price: str
    fee_max: str
    approved_by: tuple[str, ...]


class Refused(_Record, frozen=True, kw_only=True, tag="denied.v1"):
    """A request was denied."""

    code: str
    message: str
    intent_id: str
    slot: str
    digest: str


class SignedMessage(_Record, frozen=True, kw_only=True, tag="message_signed.v1"):
    """A text was signed, to prove that an address is ours."""

    key: str
    text: str


Record = Opened | SignedPayment | Refused | SignedMessage
