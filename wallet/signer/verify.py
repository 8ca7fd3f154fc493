"""Check a journal without a signer: every record, the chain of hashes, the head."""

from pathlib import Path

import msgspec

from wallet.signer.journal import (
    START,
    Authenticate,
    damaged,
    read_head,
    records,
)
from wallet.signer.records import Refused, SignedPayment


class Verified(msgspec.Struct, frozen=True, kw_only=True):
    """What a journal holds. head: the last record's hash."""

    records: int
    signed: int
    denied: int
    head: str


def verify(directory: Path, authenticate: Authenticate | None) -> Verified:
    """Return what a journal holds; all of it is whole and in place.

    authenticate: of the open vault; without it the head's own authentication is not checked.
    Raises: NoJournal, JournalDamaged.
    """
    head = read_head(directory, authenticate)
    position, signed, refused = START, 0, 0
    reached_head = head == START
    for record, position in records(directory):
        signed += isinstance(record, SignedPayment)
        refused += isinstance(record, Refused)
        reached_head = reached_head or position == head
    if not reached_head:
        raise damaged(directory, "it does not have the records that its head names")
    return Verified(records=position.count, signed=signed, denied=refused, head=position.hash.hex())
