"""The whole state as canonical bytes, and back: equal states give equal bytes.

Everything that `decide` or `apply` ever reads is in it: last prices, id counters, idempotency keys,
queue order. Amounts that have no bound are decimal text, as msgpack integers end at 64 bits.
"""

import hashlib
from collections import OrderedDict

import msgspec

from domain.events import (
    DepositCredited,
    DepositReversed,
    MarketListed,
    OrderPlaced,
    RequestAnswered,
)
from domain.exchange import Exchange
from domain.ledger import Account, Withdrawal
from domain.ledger import Asset as LedgerAsset
from domain.market import Market, MarketStatus
from domain.order_book import BookSide

FORMAT = 1


class _Asset(msgspec.Struct, array_like=True):
    code: str
    decimals: int
    deposited: str
    withdrawn: str
    reversed: str


class _Account(msgspec.Struct, array_like=True):
    account_id: str
    balances: list[tuple[str, str, str]]
    """(asset, free, held), by asset."""
    withdrawal_requests: list[tuple[str, int]]
    debts: list[tuple[str, str]]
    """(asset, debt), by asset."""


class _Order(msgspec.Struct, array_like=True):
    placed: OrderPlaced
    price_ticks: int
    quantity_lots: int
    hold: int


class _Market(msgspec.Struct, array_like=True):
    listed: MarketListed
    status: MarketStatus
    last_price_ticks: int
    next_trade_id: int
    bids: list[_Order]
    asks: list[_Order]
    """Best price first, then in queue order."""


class _State(msgspec.Struct, array_like=True):
    format: int
    position: int
    time_ms: int
    writer: str
    next_order_id: int
    next_withdrawal_id: int
    assets: list[_Asset]
    accounts: list[_Account]
    markets: list[_Market]
    deposits: list[DepositCredited]
    withdrawals: list[Withdrawal]
    answers: list[tuple[str, list[RequestAnswered]]]
    reversals: list[DepositReversed]


class _AnyState(msgspec.Struct, array_like=True):
    """What a state of every format begins with."""

    format: int


class SnapshotUnreadable(Exception):
    """The bytes are not a state that this version of Foldex can read."""


def dump(exchange: Exchange) -> bytes:
    """Return the state as canonical bytes."""
    return msgspec.msgpack.encode(
        _State(
            FORMAT,
            exchange.position,
            exchange.time_ms,
            exchange.writer,
            exchange.next_order_id,
            exchange.next_withdrawal_id,
            [_dump_asset(asset) for _, asset in sorted(exchange.assets.items())],
            [_dump_account(account) for _, account in sorted(exchange.accounts.items())],
            [_dump_market(market) for _, market in sorted(exchange.markets.items())],
            [deposit for _, deposit in sorted(exchange.deposits.items())],
            [withdrawal for _, withdrawal in sorted(exchange.withdrawals.items())],
            [(scope, list(kept.values())) for scope, kept in sorted(exchange.answers.items())],
            [reversal for _, reversal in sorted(exchange.reversals.items())],
        )
    )


def format_of(state: bytes) -> int:
    """Return the format of dumped bytes, of whichever version. Raises: SnapshotUnreadable."""
    try:
        return msgspec.msgpack.decode(state, type=_AnyState).format
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise SnapshotUnreadable(str(error)) from error


def load(state: bytes) -> Exchange:
    """Return the exchange that `dump` made these bytes of. Raises: SnapshotUnreadable."""
    try:
        dumped = msgspec.msgpack.decode(state, type=_State)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise SnapshotUnreadable(str(error)) from error
    if dumped.format != FORMAT:
        raise SnapshotUnreadable(f"snapshot format {dumped.format}, not {FORMAT}")
    exchange = Exchange()
    _load_ledger(exchange, dumped)
    for market in dumped.markets:
        _load_market(exchange, market)
    _load_open_orders(exchange)
    # Last, as placing the open orders again has moved them.
    _load_balances(exchange, dumped)
    exchange.position = dumped.position
    exchange.time_ms = dumped.time_ms
    exchange.writer = dumped.writer
    exchange.next_order_id = dumped.next_order_id
    exchange.next_withdrawal_id = dumped.next_withdrawal_id
    return exchange


def state_hash(exchange: Exchange) -> str:
    """Return the SHA-256 of the whole state, in hex."""
    return hashlib.sha256(dump(exchange)).hexdigest()


def _dump_asset(asset: LedgerAsset) -> _Asset:
    return _Asset(
        asset.code,
        asset.decimals,
        str(asset.deposited),
        str(asset.withdrawn),
        str(asset.reversed),
    )


def _dump_account(account: Account) -> _Account:
    return _Account(
        account.account_id,
        [
            (asset, str(balance.free), str(balance.held))
            for asset, balance in sorted(account.balances.items())
        ],
        sorted(account.withdrawal_requests.items()),
        [(asset, str(debt)) for asset, debt in sorted(account.debts.items())],
    )


def _dump_market(market: Market) -> _Market:
    return _Market(
        market.listed,
        market.status,
        market.last_price_ticks,
        market.next_trade_id,
        _dump_side(market, market.bids),
        _dump_side(market, market.asks),
    )


def _dump_side(market: Market, side: BookSide) -> list[_Order]:
    return [
        _Order(order.placed, order.price_ticks, order.quantity_lots, market.hold_of(order))
        for _, orders in side.levels_best_first()
        for order in orders
    ]


def _load_ledger(exchange: Exchange, dumped: _State) -> None:
    for asset in dumped.assets:
        exchange.assets[asset.code] = LedgerAsset(
            asset.code,
            asset.decimals,
            int(asset.deposited),
            int(asset.withdrawn),
            int(asset.reversed),
        )
    for kept in dumped.accounts:
        account = exchange.accounts.setdefault(kept.account_id, Account(kept.account_id))
        account.withdrawal_requests.update(kept.withdrawal_requests)
        account.debts.update((code, int(debt)) for code, debt in kept.debts)
    exchange.deposits.update((deposit.deposit_id, deposit) for deposit in dumped.deposits)
    exchange.reversals.update((reversal.deposit_id, reversal) for reversal in dumped.reversals)
    exchange.withdrawals.update((each.withdrawal_id, each) for each in dumped.withdrawals)
    for scope, answers in dumped.answers:
        exchange.answers[scope] = OrderedDict((answer.key, answer) for answer in answers)


def _load_market(exchange: Exchange, dumped: _Market) -> None:
    listed = dumped.listed
    exchange.list_market(listed)
    market = exchange.markets[listed.market]
    market.status = dumped.status
    market.last_price_ticks = dumped.last_price_ticks
    market.next_trade_id = dumped.next_trade_id
    for side, orders in ((market.bids, dumped.bids), (market.asks, dumped.asks)):
        for kept in orders:
            exchange.apply(kept.placed)
            order = exchange.accounts[kept.placed.account].open_orders[kept.placed.order_id]
            side.remove(order)
            order.price_ticks = kept.price_ticks
            order.quantity_lots = kept.quantity_lots
            side.add(order)


def _load_balances(exchange: Exchange, dumped: _State) -> None:
    for kept in dumped.accounts:
        account = exchange.accounts[kept.account_id]
        for code, free, held in kept.balances:
            balance = account.balance(code)
            balance.free, balance.held = int(free), int(held)


def _load_open_orders(exchange: Exchange) -> None:
    """Put open orders in the order they were placed: cancel-all goes through them so."""
    for account in exchange.accounts.values():
        account.open_orders = dict(sorted(account.open_orders.items()))
        account.client_orders = {
            order.client_order_id: order
            for order in account.open_orders.values()
            if order.client_order_id
        }
