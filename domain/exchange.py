"""The exchange's whole state, and `apply`: the only way it ever changes.

`apply` is total: a recorded fact is never refused. Live running and replay share it, so a replayed
exchange is the live one.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from domain.events import (
    AccountOpened,
    AssetListed,
    DepositCredited,
    DepositReversed,
    Event,
    MarketHalted,
    MarketListed,
    MarketResumed,
    MarketSetCancelOnly,
    OrderAmended,
    OrderCancelled,
    OrderPlaced,
    RequestAnswered,
    SelfTradePrevented,
    TradeExecuted,
    WithdrawalApproved,
    WithdrawalCompleted,
    WithdrawalFailed,
    WithdrawalRejected,
    WithdrawalRequested,
    WriterStarted,
)
from domain.ledger import FEES, Account, Asset, Withdrawal, WithdrawalStatus
from domain.market import Market
from domain.order_book import Order
from domain.units import BUY

ANSWERS_KEPT_MS: Final = 24 * 60 * 60 * 1000
"""How long an idempotency key is remembered, in event time."""

Answers = OrderedDict[str, RequestAnswered]


class Exchange:
    """position: events applied. time_ms: that of the last event, ms UTC. See `domain.events`."""

    __slots__ = (
        "_appliers",
        "accounts",
        "answers",
        "assets",
        "deposits",
        "markets",
        "next_order_id",
        "next_withdrawal_id",
        "position",
        "reversals",
        "time_ms",
        "withdrawals",
        "writer",
    )

    def __init__(self) -> None:
        self.position = 0
        self.time_ms = 0
        self.writer = ""
        self.next_order_id = 1
        self.next_withdrawal_id = 1
        self.assets: dict[str, Asset] = {}
        self.markets: dict[str, Market] = {}
        self.accounts: dict[str, Account] = {FEES: Account(FEES)}
        self.deposits: dict[str, DepositCredited] = {}
        self.reversals: dict[str, DepositReversed] = {}
        self.withdrawals: dict[int, Withdrawal] = {}
        self.answers: dict[str, Answers] = {}
        self._appliers = self._make_appliers()

    def apply(self, event: Event) -> None:
        """Make a fact true."""
        self._appliers[type(event)](event)
        self.time_ms = event.time_ms
        self.position += 1

    def apply_all(self, events: Sequence[Event]) -> None:
        """Make facts true, in order."""
        if events:
            appliers = self._appliers
            for event in events:
                appliers[type(event)](event)
            self.time_ms = event.time_ms
            self.position += len(events)

    def open_orders(self) -> Iterator[Order]:
        """Yield every open order, account by account."""
        for account in self.accounts.values():
            yield from account.open_orders.values()

    def answer(self, scope: str, key: str) -> RequestAnswered | None:
        """Return what became of the command with this idempotency key, if it is remembered."""
        answers = self.answers.get(scope)
        return None if answers is None else answers.get(key)

    def _make_appliers(self) -> dict[type[Event], Callable[[Any], None]]:
        return {
            OrderPlaced: self._order_placed,
            TradeExecuted: self._trade_executed,
            OrderCancelled: self._order_cancelled,
            OrderAmended: self._order_amended,
            SelfTradePrevented: self._self_trade_prevented,
            RequestAnswered: self._request_answered,
            WriterStarted: self._writer_started,
            AssetListed: self._asset_listed,
            MarketListed: self.list_market,
            MarketHalted: self._market_halted,
            MarketSetCancelOnly: self._market_set_cancel_only,
            MarketResumed: self._market_resumed,
            AccountOpened: self._account_opened,
            DepositCredited: self._deposit_credited,
            DepositReversed: self._deposit_reversed,
            WithdrawalRequested: self._withdrawal_requested,
            WithdrawalApproved: self._withdrawal_approved,
            WithdrawalRejected: self._withdrawal_rejected,
            WithdrawalCompleted: self._withdrawal_completed,
            WithdrawalFailed: self._withdrawal_failed,
        }

    # Orders and trades: the hot path.

    def _order_placed(self, event: OrderPlaced) -> None:
        market = self.markets[event.market]
        account = self.accounts[event.account]
        try:
            base = account.balances[market.base_asset]
            quote = account.balances[market.quote_asset]
        except KeyError:
            base = account.balance(market.base_asset)
            quote = account.balance(market.quote_asset)
        order_id, side, hold = event.order_id, event.side, event.hold
        order = account.open_orders[order_id] = Order(
            order_id,
            event.account,
            side,
            event.price_ticks,
            event.quantity_lots,
            hold,
            event,
            base,
            quote,
        )
        if event.client_order_id:
            account.client_orders[event.client_order_id] = order
        self.next_order_id = order_id + 1
        if side == BUY:
            paying, book = quote, market.bids
        else:
            paying, book = base, market.asks
        paying.free -= hold
        paying.held += hold
        if event.resting_lots:
            # Already now, though its trades come next: they only ever touch the other side.
            book.add(order)

    def _trade_executed(self, event: TradeExecuted) -> None:
        market = self.markets[event.market]
        maker_account = self.accounts[event.maker_account]
        taker_account = self.accounts[event.taker_account]
        maker = maker_account.open_orders[event.maker_order_id]
        taker = taker_account.open_orders[event.taker_order_id]
        lots = event.quantity_lots
        if event.taker_side == BUY:
            buyer, seller = taker, maker
            buyer_fee, seller_fee = event.taker_fee, event.maker_fee
        else:
            buyer, seller = maker, taker
            buyer_fee, seller_fee = event.maker_fee, event.taker_fee
        base_amount, quote_amount = event.base_amount, event.quote_amount
        unheld = quote_amount + event.released
        buyer.hold -= unheld
        buyer.quote.held -= unheld
        if event.released:
            buyer.quote.free += event.released
        buyer.base.free += base_amount - buyer_fee
        seller.hold -= base_amount
        seller.base.held -= base_amount
        seller.quote.free += quote_amount - seller_fee
        market.fee_base.free += buyer_fee
        market.fee_quote.free += seller_fee
        market.last_price_ticks = event.price_ticks
        market.next_trade_id = event.trade_id + 1
        maker.quantity_lots -= lots
        if not maker.quantity_lots:
            (market.bids if maker.side == BUY else market.asks).remove(maker)
            maker_account.close(maker)
        taker.quantity_lots -= lots
        if not taker.quantity_lots:
            taker_account.close(taker)

    def _order_cancelled(self, event: OrderCancelled) -> None:
        account = self.accounts[event.account]
        order = account.open_orders[event.order_id]
        if event.in_book:
            market = self.markets[event.market]
            (market.bids if order.side == BUY else market.asks).remove(order)
        paying = order.quote if order.side == BUY else order.base
        paying.held -= event.released
        paying.free += event.released
        account.close(order)

    def _order_amended(self, event: OrderAmended) -> None:
        order = self.accounts[event.account].open_orders[event.order_id]
        side = self.markets[event.market].side(order.side)
        paying = order.quote if order.side == BUY else order.base
        more = event.hold - event.old_hold
        paying.free -= more
        paying.held += more
        order.hold = event.hold
        order.quantity_lots = event.quantity_lots
        if event.keeps_priority:
            return
        side.remove(order)
        order.price_ticks = event.price_ticks
        if event.resting_lots:
            side.add(order)

    def _self_trade_prevented(self, event: SelfTradePrevented) -> None:
        orders = self.accounts[event.account].open_orders
        for order_id, released in (
            (event.maker_order_id, event.maker_released),
            (event.taker_order_id, event.taker_released),
        ):
            order = orders[order_id]
            paying = order.quote if order.side == BUY else order.base
            paying.held -= released
            paying.free += released
            order.hold -= released
            order.quantity_lots -= event.quantity_lots

    # What operators do.

    def _writer_started(self, event: WriterStarted) -> None:
        self.writer = event.writer

    def _asset_listed(self, event: AssetListed) -> None:
        self.assets[event.asset] = Asset(event.asset, event.decimals)

    def list_market(self, event: MarketListed) -> None:
        """Add a market, open and with an empty book."""
        fees = self.accounts[FEES]
        self.markets[event.market] = Market(
            event, fees.balance(event.base_asset), fees.balance(event.quote_asset)
        )

    def _market_halted(self, event: MarketHalted) -> None:
        self.markets[event.market].status = "halted"

    def _market_set_cancel_only(self, event: MarketSetCancelOnly) -> None:
        self.markets[event.market].status = "cancel_only"

    def _market_resumed(self, event: MarketResumed) -> None:
        self.markets[event.market].status = "open"

    def _account_opened(self, event: AccountOpened) -> None:
        self.accounts[event.account] = Account(event.account)

    def _request_answered(self, event: RequestAnswered) -> None:
        answers = self.answers.get(event.scope)
        if answers is None:
            answers = self.answers[event.scope] = OrderedDict()
        forget_before_ms = event.time_ms - ANSWERS_KEPT_MS
        while answers and next(iter(answers.values())).time_ms < forget_before_ms:
            answers.popitem(last=False)
        answers[event.key] = event

    # Deposits and withdrawals.

    def _deposit_credited(self, event: DepositCredited) -> None:
        self.deposits[event.deposit_id] = event
        self.assets[event.asset].deposited += event.amount
        account = self.accounts[event.account]
        account.balance(event.asset).free += event.amount - event.debt_repaid
        if event.debt_repaid:
            account.owe(event.asset, -event.debt_repaid)

    def _deposit_reversed(self, event: DepositReversed) -> None:
        self.reversals[event.deposit_id] = event
        self.assets[event.asset].reversed += event.amount
        account = self.accounts[event.account]
        account.balance(event.asset).free -= event.taken
        account.owe(event.asset, event.amount - event.taken)

    def _withdrawal_requested(self, event: WithdrawalRequested) -> None:
        account = self.accounts[event.account]
        balance = account.balance(event.asset)
        balance.free -= event.amount
        balance.held += event.amount
        account.withdrawal_requests[event.request_id] = event.withdrawal_id
        self.next_withdrawal_id = event.withdrawal_id + 1
        self.withdrawals[event.withdrawal_id] = Withdrawal(
            event.withdrawal_id,
            event.account,
            event.asset,
            event.amount,
            event.address,
            event.request_id,
        )

    def _withdrawal_approved(self, event: WithdrawalApproved) -> None:
        self.withdrawals[event.withdrawal_id].status = "approved"

    def _withdrawal_rejected(self, event: WithdrawalRejected) -> None:
        self._release_withdrawal(event.withdrawal_id, "rejected")

    def _withdrawal_failed(self, event: WithdrawalFailed) -> None:
        self._release_withdrawal(event.withdrawal_id, "failed")

    def _withdrawal_completed(self, event: WithdrawalCompleted) -> None:
        withdrawal = self.withdrawals[event.withdrawal_id]
        withdrawal.status = "completed"
        self.accounts[withdrawal.account].balance(withdrawal.asset).held -= withdrawal.amount
        self.assets[withdrawal.asset].withdrawn += withdrawal.amount

    def _release_withdrawal(self, withdrawal_id: int, status: WithdrawalStatus) -> None:
        withdrawal = self.withdrawals[withdrawal_id]
        withdrawal.status = status
        balance = self.accounts[withdrawal.account].balance(withdrawal.asset)
        balance.held -= withdrawal.amount
        balance.free += withdrawal.amount
