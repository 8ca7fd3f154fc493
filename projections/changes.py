"""Which balances an event changes: the one rule that balances and statements both fold."""

from collections.abc import Callable
from typing import Any

from domain.events import (
    DepositCredited,
    DepositReversed,
    Event,
    OrderAmended,
    OrderCancelled,
    OrderPlaced,
    SelfTradePrevented,
    TradeExecuted,
    WithdrawalCompleted,
    WithdrawalFailed,
    WithdrawalRejected,
    WithdrawalRequested,
)
from domain.ledger import FEES
from domain.units import BUY
from projections.catalogue import Catalogue

Key = tuple[str, str]
"""account, asset"""
Change = tuple[Key, int, int, int, str]
"""By how many ledger units free, held and debt change; and a reference: `order:7`, `deposit:x` …

A plain tuple: two are made for each event, and a named one takes several times as long.
"""

Rule = Callable[[Catalogue, Any], tuple[Change, ...]]


def _paying_asset(catalogue: Catalogue, market: str, side: str) -> str:
    listed = catalogue.markets[market]
    return listed.quote_asset if side == BUY else listed.base_asset


def _order_placed(catalogue: Catalogue, event: OrderPlaced) -> tuple[Change, ...]:
    key, hold = (event.account, _paying_asset(catalogue, event.market, event.side)), event.hold
    return ((key, -hold, hold, 0, f"order:{event.order_id}"),)


def _order_cancelled(catalogue: Catalogue, event: OrderCancelled) -> tuple[Change, ...]:
    asset = _paying_asset(catalogue, event.market, event.side)
    return (_release(event.account, asset, event.released, event.order_id),)


def _order_amended(catalogue: Catalogue, event: OrderAmended) -> tuple[Change, ...]:
    asset = _paying_asset(catalogue, event.market, event.side)
    return (_release(event.account, asset, event.old_hold - event.hold, event.order_id),)


def _self_trade_prevented(catalogue: Catalogue, event: SelfTradePrevented) -> tuple[Change, ...]:
    listed = catalogue.markets[event.market]
    taker_asset, maker_asset = listed.base_asset, listed.quote_asset
    if event.taker_side == BUY:
        taker_asset, maker_asset = maker_asset, taker_asset
    return (
        _release(event.account, maker_asset, event.maker_released, event.maker_order_id),
        _release(event.account, taker_asset, event.taker_released, event.taker_order_id),
    )


def _release(account: str, asset: str, amount: int, order_id: int) -> Change:
    return ((account, asset), amount, -amount, 0, f"order:{order_id}")


def _trade_executed(catalogue: Catalogue, event: TradeExecuted) -> tuple[Change, ...]:
    listed = catalogue.markets[event.market]
    base, quote = listed.base_asset, listed.quote_asset
    buyer, seller = event.taker_account, event.maker_account
    buyer_fee, seller_fee = event.taker_fee, event.maker_fee
    if event.taker_side != BUY:
        buyer, seller = seller, buyer
        buyer_fee, seller_fee = seller_fee, buyer_fee
    got, paid, released = event.base_amount, event.quote_amount, event.released
    reference = f"trade:{event.market}:{event.trade_id}"
    return (
        ((buyer, quote), released, -paid - released, 0, reference),
        ((buyer, base), got - buyer_fee, 0, 0, reference),
        ((seller, base), 0, -got, 0, reference),
        ((seller, quote), paid - seller_fee, 0, 0, reference),
        ((FEES, base), buyer_fee, 0, 0, reference),
        ((FEES, quote), seller_fee, 0, 0, reference),
    )


def _deposit_credited(_: Catalogue, event: DepositCredited) -> tuple[Change, ...]:
    key, repaid = (event.account, event.asset), event.debt_repaid
    return ((key, event.amount - repaid, 0, -repaid, f"deposit:{event.deposit_id}"),)


def _deposit_reversed(_: Catalogue, event: DepositReversed) -> tuple[Change, ...]:
    key, taken = (event.account, event.asset), event.taken
    return ((key, -taken, 0, event.amount - taken, f"deposit:{event.deposit_id}"),)


def _withdrawal_requested(_: Catalogue, event: WithdrawalRequested) -> tuple[Change, ...]:
    key, amount = (event.account, event.asset), event.amount
    return ((key, -amount, amount, 0, f"withdrawal:{event.withdrawal_id}"),)


def _withdrawal_released(
    _: Catalogue, event: WithdrawalRejected | WithdrawalFailed
) -> tuple[Change, ...]:
    key, amount = (event.account, event.asset), event.amount
    return ((key, amount, -amount, 0, f"withdrawal:{event.withdrawal_id}"),)


def _withdrawal_completed(_: Catalogue, event: WithdrawalCompleted) -> tuple[Change, ...]:
    key = (event.account, event.asset)
    return ((key, 0, -event.amount, 0, f"withdrawal:{event.withdrawal_id}"),)


RULES: dict[type[Event], Rule] = {
    OrderPlaced: _order_placed,
    TradeExecuted: _trade_executed,
    OrderCancelled: _order_cancelled,
    OrderAmended: _order_amended,
    SelfTradePrevented: _self_trade_prevented,
    DepositCredited: _deposit_credited,
    DepositReversed: _deposit_reversed,
    WithdrawalRequested: _withdrawal_requested,
    WithdrawalRejected: _withdrawal_released,
    WithdrawalFailed: _withdrawal_released,
    WithdrawalCompleted: _withdrawal_completed,
}
