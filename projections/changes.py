"""Which balances an event changes: the one rule that balances and statements both fold."""

from collections.abc import Callable
from typing import Any, NamedTuple

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


class Change(NamedTuple):
    """free, held, debt: by how many ledger units. reference: `order:7`, `trade:BTC-USDT:3` …"""

    account: str
    asset: str
    free: int
    held: int
    reference: str
    debt: int = 0


Rule = Callable[[Catalogue, Any], list[Change]]


def _paying_asset(catalogue: Catalogue, market: str, side: str) -> str:
    listed = catalogue.markets[market]
    return listed.quote_asset if side == BUY else listed.base_asset


def _order_placed(catalogue: Catalogue, event: OrderPlaced) -> list[Change]:
    asset = _paying_asset(catalogue, event.market, event.side)
    reference = f"order:{event.order_id}"
    return [Change(event.account, asset, -event.hold, event.hold, reference)]


def _order_cancelled(catalogue: Catalogue, event: OrderCancelled) -> list[Change]:
    asset = _paying_asset(catalogue, event.market, event.side)
    reference = f"order:{event.order_id}"
    return [Change(event.account, asset, event.released, -event.released, reference)]


def _order_amended(catalogue: Catalogue, event: OrderAmended) -> list[Change]:
    asset = _paying_asset(catalogue, event.market, event.side)
    more = event.hold - event.old_hold
    return [Change(event.account, asset, -more, more, f"order:{event.order_id}")]


def _self_trade_prevented(catalogue: Catalogue, event: SelfTradePrevented) -> list[Change]:
    listed = catalogue.markets[event.market]
    taker_asset, maker_asset = listed.base_asset, listed.quote_asset
    if event.taker_side == BUY:
        taker_asset, maker_asset = maker_asset, taker_asset
    return [
        _release(event.account, maker_asset, event.maker_released, event.maker_order_id),
        _release(event.account, taker_asset, event.taker_released, event.taker_order_id),
    ]


def _release(account: str, asset: str, amount: int, order_id: int) -> Change:
    return Change(account, asset, amount, -amount, f"order:{order_id}")


def _trade_executed(catalogue: Catalogue, event: TradeExecuted) -> list[Change]:
    listed = catalogue.markets[event.market]
    base, quote = listed.base_asset, listed.quote_asset
    buyer, seller = event.taker_account, event.maker_account
    buyer_fee, seller_fee = event.taker_fee, event.maker_fee
    if event.taker_side != BUY:
        buyer, seller = seller, buyer
        buyer_fee, seller_fee = seller_fee, buyer_fee
    paid, released = event.quote_amount, event.released
    reference = f"trade:{event.market}:{event.trade_id}"
    return [
        Change(buyer, quote, released, -paid - released, reference),
        Change(buyer, base, event.base_amount - buyer_fee, 0, reference),
        Change(seller, base, 0, -event.base_amount, reference),
        Change(seller, quote, paid - seller_fee, 0, reference),
        Change(FEES, base, buyer_fee, 0, reference),
        Change(FEES, quote, seller_fee, 0, reference),
    ]


def _deposit_credited(_: Catalogue, event: DepositCredited) -> list[Change]:
    reference, repaid = f"deposit:{event.deposit_id}", event.debt_repaid
    return [Change(event.account, event.asset, event.amount - repaid, 0, reference, -repaid)]


def _deposit_reversed(_: Catalogue, event: DepositReversed) -> list[Change]:
    reference, taken = f"deposit:{event.deposit_id}", event.taken
    return [Change(event.account, event.asset, -taken, 0, reference, event.amount - taken)]


def _withdrawal_requested(_: Catalogue, event: WithdrawalRequested) -> list[Change]:
    reference = f"withdrawal:{event.withdrawal_id}"
    return [Change(event.account, event.asset, -event.amount, event.amount, reference)]


def _withdrawal_released(
    _: Catalogue, event: WithdrawalRejected | WithdrawalFailed
) -> list[Change]:
    reference = f"withdrawal:{event.withdrawal_id}"
    return [Change(event.account, event.asset, event.amount, -event.amount, reference)]


def _withdrawal_completed(_: Catalogue, event: WithdrawalCompleted) -> list[Change]:
    reference = f"withdrawal:{event.withdrawal_id}"
    return [Change(event.account, event.asset, 0, -event.amount, reference)]


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
