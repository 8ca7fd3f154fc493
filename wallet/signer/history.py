"""What was signed before, folded from the journal: slots, payments, and the sums of a day."""

from collections import deque
from dataclasses import dataclass, field

from wallet.signer.records import Opened, Record, SignedPayment
from wallet.types import IntentKind

DAY_MS = 24 * 60 * 60 * 1000


def name_of(kind: IntentKind, intent_id: str) -> str:
    """Return the name of an intent; the release of a payment's slot may have the payment's id."""
    return f"release {intent_id}" if kind is IntentKind.RELEASE else f"intent {intent_id}"


@dataclass(slots=True)
class UsedSlot:
    """One place in the order of an address's transactions, and what was signed for it.

    Only one of all these transactions can ever be in a block.
    """

    payment: str = ""
    """The id of what it was first used for; empty when that was a release."""
    release: str = ""
    """The id of the release that was signed for it, if any."""
    tip: int = 0
    price: int = 0
    fee_max: int = 0
    """The highest so far."""


class DaySum:
    """A sum over any 24 hours. Times only grow."""

    __slots__ = ("_entries", "_sum")

    def __init__(self) -> None:
        self._entries: deque[tuple[int, int]] = deque()
        self._sum = 0

    def add(self, time_ms: int, amount: int) -> None:
        """Count an amount from now on for a day."""
        self._entries.append((time_ms, amount))
        self._sum += amount

    def at(self, time_ms: int) -> int:
        """Return what was counted in the 24 hours that end now."""
        while self._entries and self._entries[0][0] <= time_ms - DAY_MS:
            self._sum -= self._entries.popleft()[1]
        return self._sum


@dataclass(slots=True)
class History:
    """All that the rules need to know of the past.

    contents: for each intent that was signed (by `name_of`), its content and its slot.
    digests: the unsigned transactions that were signed, for which intent: asked again, they are
    answered again.
    """

    time_ms: int = 0
    opened: Opened | None = None
    slots: dict[str, UsedSlot] = field(default_factory=dict)
    contents: dict[str, tuple[str, str]] = field(default_factory=dict)
    digests: dict[tuple[str, str], str] = field(default_factory=dict)
    amounts: dict[str, DaySum] = field(default_factory=dict)
    fees: dict[str, DaySum] = field(default_factory=dict)

    def apply(self, record: Record) -> None:
        """Remember one more record. It happened, so nothing is refused here."""
        self.time_ms = max(self.time_ms, record.time_ms)
        if isinstance(record, Opened):
            self.opened = record
        elif isinstance(record, SignedPayment):
            self._apply_signed(record)

    def amount_of_day(self, rule: str, time_ms: int) -> int:
        """Return what was signed under a rule in the last 24 hours."""
        return self.amounts[rule].at(time_ms) if rule in self.amounts else 0

    def fees_of_day(self, chain: str, time_ms: int) -> int:
        """Return the most that what was signed in the last 24 hours can cost."""
        return self.fees[chain].at(time_ms) if chain in self.fees else 0

    def _apply_signed(self, record: SignedPayment) -> None:
        intent, slot = record.intent, self.slots.setdefault(record.slot, UsedSlot())
        name = name_of(intent.kind, intent.id)
        if name not in self.contents:
            self.contents[name] = (record.content, record.slot)
            amounts = self.amounts.setdefault(record.rule, DaySum())
            amounts.add(record.time_ms, int(intent.amount))
        if intent.kind is IntentKind.RELEASE:
            slot.release = intent.id
        else:
            slot.payment = intent.id
        more = max(int(record.fee_max) - slot.fee_max, 0)
        self.fees.setdefault(intent.chain, DaySum()).add(record.time_ms, more)
        slot.tip = max(slot.tip, int(record.tip))
        slot.price = max(slot.price, int(record.price))
        slot.fee_max = max(slot.fee_max, int(record.fee_max))
        self.digests[name, record.digest] = record.slot
