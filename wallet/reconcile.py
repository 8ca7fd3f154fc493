"""Compares the books with the chain and with the exchange's ledger; any difference is named.

Three equations, each exact: what every address of ours holds on chain is what the books say; what
the ledger credited and reversed of this chain's deposits is what the books say, dust apart; every
withdrawal that the ledger calls completed is one that the books saw paid, by the same transaction.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from wallet.book import Book
from wallet.chain import Chain
from wallet.coins import Coin, Coins
from wallet.errors import NodeLagging
from wallet.ports import Keys
from wallet.records.deposit import Deposit
from wallet.records.payment import Payment
from wallet.types import Address, BlockRef, Mined

ADDRESSES_PER_REQUEST = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerFacts:
    """What the exchange's ledger says. credited: units by deposit id, without reversed ones.

    completed: transaction by withdrawal id, of assets that are on the chain.
    """

    credited: Mapping[str, int]
    completed: Mapping[int, str]


@dataclass(frozen=True, slots=True)
class Difference:
    """Two that should be equal. Amounts in base units on chain, ledger units in the ledger."""

    what: str
    books: str
    other: str

    def __str__(self) -> str:
        return f"{self.what}: books {self.books}, other {self.other}"

    @property
    def texts(self) -> list[str]:
        """What, books and other."""
        return [self.what, self.books, self.other]

    @property
    def identity(self) -> tuple[str, str]:
        """What makes it the same difference later: by how much, while both amounts move on."""
        if self.books.isdigit() and self.other.isdigit():
            return self.what, str(int(self.other) - int(self.books))
        return self.what, f"{self.books} {self.other}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Total:
    """Of one asset, in base units. dust: credited to nobody, as it is below a ledger unit."""

    asset: str
    on_chain: int
    credited: int
    dust: int


@dataclass(slots=True)
class Report:
    """block: as of which. addresses: how many were compared. differences: none when all is well.

    unscanned: what addresses hold more of a token than the books say, while there are blocks that
    were never scanned for it: it may have come before the token was registered; a rescan tells.
    """

    block: BlockRef
    addresses: int = 0
    deposits: int = 0
    withdrawals: int = 0
    totals: list[Total] = field(default_factory=list)
    differences: list[Difference] = field(default_factory=list)
    unscanned: list[Difference] = field(default_factory=list)


def reconcile(*, chain: Chain, book: Book, coins: Coins, keys: Keys, ledger: LedgerFacts) -> Report:
    """Compare everything as of the block that the books are at.

    Raises: NodeLagging: the chain has moved away from that block; follow it, then ask again.
    """
    book.catch_up()
    tip = book.chain_record.tip
    if chain.confirmations(tip) is None:
        raise NodeLagging(f"block {tip.height} {tip.hash} is not on the chain; follow it first")
    report = Report(tip)
    addresses = [keys.hot, keys.gas, keys.cold, *book.account_of]
    report.addresses = len(addresses)
    for coin in coins:
        on_chain = _compare_holdings(chain, book, coin, addresses, report)
        report.totals.append(_total(book, coin, on_chain))
    _compare_deposits(book, ledger, report)
    _compare_withdrawals(book, ledger, report)
    _compare_refunds(chain, book, report)
    _compare_paid(chain, book, report)
    return report


def _compare_holdings(
    chain: Chain, book: Book, coin: Coin, addresses: list[Address], report: Report
) -> int:
    total = 0
    for first in range(0, len(addresses), ADDRESSES_PER_REQUEST):
        page = addresses[first : first + ADDRESSES_PER_REQUEST]
        found = chain.balances(page, coin.token, report.block)
        for address in page:
            total += found[address]
            what, books = f"{coin.asset} at {address}", book.holding(address, coin.token)
            if found[address] > books and not book.is_wholly_covered(coin.token):
                report.unscanned.append(Difference(what, str(books), str(found[address])))
            else:
                _compare(report, what, books, found[address])
    return total


def _compare_deposits(book: Book, ledger: LedgerFacts, report: Report) -> None:
    credited = {deposit.deposit_id: deposit.units for deposit in _deposits(book) if deposit.units}
    untold = {owed[1] for deposit in _deposits(book) for owed in deposit.owed}
    report.deposits = len(credited)
    prefix = f"{book.chain}:"
    in_ledger = {key: units for key, units in ledger.credited.items() if key.startswith(prefix)}
    for deposit_id in sorted((credited.keys() | in_ledger.keys()) - untold):
        books, other = credited.get(deposit_id, 0), in_ledger.get(deposit_id, 0)
        _compare(report, f"deposit {deposit_id}", books, other)


def _compare_withdrawals(book: Book, ledger: LedgerFacts, report: Report) -> None:
    """One that the ledger is about to be told of may be in it already, after a crash in between."""
    paid: dict[int, str] = {}
    untold: set[int] = set()
    for payment in book.records.values():
        if isinstance(payment, Payment) and payment.status == "paid" and payment.withdrawal_id:
            paid[payment.withdrawal_id] = payment.final.txid if payment.final else ""
            if not payment.told:
                untold.add(payment.withdrawal_id)
    report.withdrawals = len(paid)
    for number in sorted(paid.keys() | ledger.completed.keys()):
        books, other = paid.get(number, "not paid"), ledger.completed.get(number, "not completed")
        if number in untold and other == "not completed":
            continue
        _compare(report, f"withdrawal {number}", books, other)


def _compare_refunds(chain: Chain, book: Book, report: Report) -> None:
    """Nothing that was given back may have been paid as well, in whatever branch of the chain."""
    for payment in book.records.values():
        if not isinstance(payment, Payment) or payment.status != "failed" or not payment.signed:
            continue
        outcome = chain.outcome(payment.attempts)
        paid = isinstance(outcome, Mined) and outcome.ok and not payment.is_release(outcome.txid)
        _compare(report, f"{payment.intent.id} failed", "not paid", "paid" if paid else "not paid")


def _compare_paid(chain: Chain, book: Book, report: Report) -> None:
    """What a reorganisation un-mined after its end is mined again: it may fail the second time.

    Then a client was not paid, though the ledger says so. What moves between addresses of ours and
    fails is no difference: what each of them holds is compared anyway.
    """
    first = book.blocks[0].ref.height if book.blocks else report.block.height
    for payment in book.records.values():
        if not isinstance(payment, Payment) or payment.status != "paid" or not payment.final:
            continue
        if not payment.withdrawal_id or payment.final.height < first:
            continue
        outcome = chain.outcome(payment.attempts)
        failed = isinstance(outcome, Mined) and not outcome.ok
        _compare(report, f"{payment.intent.id} paid", "paid", "failed" if failed else "paid")


def _compare(report: Report, what: str, books: int | str, other: int | str) -> None:
    if books != other:
        report.differences.append(Difference(what, str(books), str(other)))


def _total(book: Book, coin: Coin, on_chain: int) -> Total:
    credited = dust = 0
    for deposit in _deposits(book):
        if deposit.asset == coin.asset and deposit.status == "credited":
            credited += deposit.amount - deposit.dust
            dust += deposit.dust
    return Total(asset=coin.asset, on_chain=on_chain, credited=credited, dust=dust)


def _deposits(book: Book) -> list[Deposit]:
    return [record for record in book.records.values() if isinstance(record, Deposit)]
