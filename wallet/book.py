"""Everything custody knows, folded from its own log: records by id, and what is to be done.

Nothing is changed here but by `catch_up`: whoever decides something takes a copy of a record, lets
it make its event, saves it, and reads the event back from the log like everyone else.
"""

from collections import defaultdict
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import UUID

from eventsourcing.domain import Aggregate

from wallet.coins import Holding
from wallet.coverage import Coverage
from wallet.records.addresses import AddressBook, address_book_id
from wallet.records.chain_record import ChainRecord, chain_record_id
from wallet.records.deposit import Deposit, deposit_record_id
from wallet.records.owner import Owner, owner_record_id
from wallet.records.payment import Payment, payment_record_id
from wallet.records.rescan import Rescan
from wallet.records.token_list import RegisteredToken, TokenList, token_list_id
from wallet.store import Books
from wallet.types import Address, BlockHash, BlockRef, ChainId, DepositKey, IntentId, TokenId

Record = TypeVar("Record", bound=Aggregate)

Observe = Callable[[int, Any, Aggregate], None]
"""Told of each event once it is folded: its position, and the record that it is of."""

_OPEN_PAYMENTS = ("planned", "slotted", "signed")


@dataclass(frozen=True, slots=True)
class KeptBlock:
    """A block that may still be disconnected, with what it changed."""

    ref: BlockRef
    effects: list[Any]


class Book:
    """One chain's books. held: what each of our addresses holds, in base units, as of the tip.

    disconnected: how many blocks were ever disconnected.
    """

    def __init__(
        self,
        chain: ChainId,
        books: Books,
        *,
        keep_blocks: int = 256,
        observe: Observe = lambda position, event, record: None,
    ) -> None:
        self.chain = chain
        self._observe = observe
        self._keep_blocks = keep_blocks
        self.position = 0
        self.records: dict[UUID, Aggregate] = {}
        self.blocks: list[KeptBlock] = []
        self.disconnected = 0
        self.held: dict[Holding, int] = defaultdict(int)
        self.account_of: dict[Address, str] = {}
        self.address_of: dict[str, Address] = {}
        self.index_of: dict[Address, int] = {}
        self.deposits_by_status: dict[str, set[UUID]] = defaultdict(set)
        self.deposits_by_block: dict[str, set[UUID]] = defaultdict(set)
        self.deposits_owing: set[UUID] = set()
        self.deposits_at: dict[Address, set[UUID]] = defaultdict(set)
        self.open_payments: dict[UUID, None] = {}
        self.untold_payments: dict[UUID, None] = {}
        self.payment_by_slot: dict[tuple[Address, str], UUID] = {}
        self.owners: dict[Address, UUID] = {}
        self.open_rescans: dict[UUID, None] = {}
        self._coverage: dict[str, Coverage] = {}
        self._opened_height = 0
        self._books = books

    def catch_up(self) -> bool:
        """Fold what is new in the log; return whether anything was."""
        before = self.position
        for position, event in self._books.events_after(self.position):
            self._fold(event)
            self.position = position
            self._observe(position, event, self.records[event.originator_id])
        return self.position > before

    def save(self, *records: Aggregate) -> None:
        """Save the new events of some records, all or none. Raises: RecordChanged."""
        self._books.put(*records)
        self.catch_up()

    def copy(self, record: Record) -> Record:
        """Return a record of its own to decide on."""
        return deepcopy(record)

    @property
    def chain_record(self) -> ChainRecord:
        """What we know of the chain. Raises: LookupError: it is not followed yet."""
        record = self.find(ChainRecord, chain_record_id(self.chain))
        if record is None:
            raise LookupError(f"{self.chain} is not followed yet")
        return record

    def find(self, kind: type[Record], record_id: UUID) -> Record | None:
        """Return a record, not to be changed, if there is one."""
        found = self.records.get(record_id)
        return found if isinstance(found, kind) else None

    def get(self, kind: type[Record], record_id: UUID) -> Record:
        """Return a record, not to be changed."""
        found = self.find(kind, record_id)
        if found is None:
            raise LookupError(f"no {kind.__name__} {record_id}")
        return found

    def deposit(self, key: DepositKey) -> Deposit | None:
        """Return a deposit, if it was seen."""
        return self.find(Deposit, deposit_record_id(key))

    def payment(self, intent: IntentId) -> Payment | None:
        """Return a payment, if it was planned."""
        return self.find(Payment, payment_record_id(intent))

    def owner(self, address: Address) -> Owner | None:
        """Return a sender, if it has sent before."""
        return self.find(Owner, owner_record_id(self.chain, address))

    @property
    def addresses(self) -> AddressBook | None:
        """The address book, once there is one."""
        return self.find(AddressBook, address_book_id(self.chain))

    @property
    def token_list(self) -> TokenList | None:
        """The list of tokens, once one was registered."""
        return self.find(TokenList, token_list_id(self.chain))

    @property
    def tokens(self) -> list[RegisteredToken]:
        """Every registered token, in the order they were."""
        found = self.token_list
        return [] if found is None else list(found.tokens.values())

    def is_covered(self, token: str, height: int) -> bool:
        """Return whether a block was scanned for a token; for the chain's own coin: empty."""
        coverage = self._coverage.get(token.lower())
        return coverage is not None and coverage.has(height)

    def is_wholly_covered(self, token: TokenId | None) -> bool:
        """Return whether every block since the books began was scanned for a token or the coin."""
        coverage = self._coverage.get((token or "").lower())
        return coverage is not None and coverage.has_all(self._opened_height + 1)

    def holding(self, address: Address, token: TokenId | None) -> int:
        """Return what an address holds by the books, in base units."""
        return self.held.get((address, token), 0)

    def deposits(self, status: str) -> list[Deposit]:
        """Return the deposits of a status, in the order they were seen."""
        found = [self.get(Deposit, each) for each in self.deposits_by_status[status]]
        return sorted(found, key=lambda deposit: (deposit.created_on, deposit.key))

    def _fold(self, event: Any) -> None:
        record_id: UUID = event.originator_id
        before = self.records.get(record_id)
        if isinstance(before, Deposit):
            self._forget_deposit(before)
        record = event.mutate(before)
        self.records[record_id] = record
        match record:
            case Deposit():
                self._index_deposit(record)
            case Payment():
                self._index_payment(record)
            case ChainRecord():
                self._follow(event)
            case AddressBook():
                self._assign(event)
            case Owner():
                self.owners[record.address] = record_id
            case TokenList():
                self._watch_token(event)
            case Rescan():
                self._take_rescan(record, event)
            case _:
                pass

    def _forget_deposit(self, deposit: Deposit) -> None:
        self.deposits_by_status[deposit.status].discard(deposit.id)
        blocks = self.deposits_by_block.get(deposit.hash)
        if blocks is not None:
            blocks.discard(deposit.id)
            if not blocks:
                del self.deposits_by_block[deposit.hash]

    def _index_deposit(self, deposit: Deposit) -> None:
        self.deposits_by_status[deposit.status].add(deposit.id)
        self.deposits_at[deposit.address].add(deposit.id)
        if deposit.status != "orphaned":
            self.deposits_by_block[deposit.hash].add(deposit.id)
        if deposit.owed:
            self.deposits_owing.add(deposit.id)
        else:
            self.deposits_owing.discard(deposit.id)

    def _index_payment(self, payment: Payment) -> None:
        if payment.status in _OPEN_PAYMENTS:
            self.open_payments[payment.id] = None
        else:
            self.open_payments.pop(payment.id, None)
        if payment.anchor:
            self.payment_by_slot[payment.owner, payment.anchor] = payment.id
        if payment.withdrawal_id and payment.status in ("paid", "failed") and not payment.told:
            self.untold_payments[payment.id] = None
        else:
            self.untold_payments.pop(payment.id, None)

    def _follow(self, event: Any) -> None:
        if isinstance(event, ChainRecord.Created):
            self.blocks = [KeptBlock(self.chain_record.tip, [])]
            self._coverage[""] = Coverage(event.height)
            self._opened_height = event.height
        elif isinstance(event, ChainRecord.Connected):
            self._apply(event.settled, 1)
            if not event.blocks or not self._follows(event.blocks[0][2]):
                self.blocks.clear()
            for height, block_hash, parent, effects in event.blocks:
                ref = BlockRef(height=height, hash=BlockHash(block_hash), parent=BlockHash(parent))
                self.blocks.append(KeptBlock(ref, effects))
                self._apply(effects, 1)
            if len(self.blocks) > 2 * self._keep_blocks:
                del self.blocks[: -self._keep_blocks]
        elif isinstance(event, ChainRecord.Disconnected):
            self._apply(self.blocks.pop().effects, -1)
            self.disconnected += 1
            for coverage in self._coverage.values():
                coverage.disconnect(event.height)

    def _watch_token(self, event: Any) -> None:
        if isinstance(event, TokenList.Watched):
            self._coverage[event.contract.lower()] = Coverage(event.height)

    def _take_rescan(self, rescan: Rescan, event: Any) -> None:
        """What was found in a block that may still go, goes with it."""
        if rescan.status == "running":
            self.open_rescans[rescan.id] = None
        else:
            self.open_rescans.pop(rescan.id, None)
        if isinstance(event, Rescan.Scanned):
            kept = {block.ref.hash: block for block in self.blocks}
            for _, block_hash, effects in event.blocks:
                if block_hash in kept:
                    kept[block_hash].effects.extend(effects)
                self._apply(effects, 1)
            for coverage in self._coverage.values():
                coverage.add(event.first, event.height)

    def _follows(self, parent: str) -> bool:
        return bool(self.blocks) and self.blocks[-1].ref.hash == parent

    def _apply(self, effects: list[Any], sign: int) -> None:
        for address, token, change in effects:
            self.held[Address(address), TokenId(token) if token else None] += sign * change

    def _assign(self, event: Any) -> None:
        if isinstance(event, AddressBook.Assigned):
            address = Address(event.address)
            self.account_of[address] = event.account
            self.address_of[event.account] = address
            self.index_of[address] = event.index
