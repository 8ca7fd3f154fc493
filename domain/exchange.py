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
        "fees",
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
        self.fees = Account(FEES)
        self.accounts: dict[str, Account] = {FEES: self.fees}
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
        try:
            seat = market.seats[event.account]
        except KeyError:
            account = self.accounts[event.account]
            seat = market.seats[event.account] = market.new_seat(account)
            account.balances[market.base_asset] = seat.base
            account.balances[market.quote_asset] = seat.quote
        if event.side == BUY:
            paying, receiving, book = seat.quote, seat.base, market.bids
        else:
            paying, receiving, book = seat.base, seat.quote, market.asks
        paying.free -= event.hold
        paying.held += event.hold
        self.next_order_id = event.order_id + 1
        if event.resting_lots:
            # Already now, and with what its trades will leave, though they come next: they only
            # ever touch the other side. What does not rest never becomes an open order.
            account, order_id = seat.account, event.order_id
            order = account.open_orders[order_id] = Order(
                order_id,
                event.account,
                event.side,
                event.price_ticks,
                event.resting_lots,
                event,
                paying,
                receiving,
            )
            if event.client_order_id:
                account.client_orders[event.client_order_id] = order
            book.add(order)

    def _trade_executed(self, event: TradeExecuted) -> None:
        market = self.markets[event.market]
        seat = market.seats[event.taker_account]
        if event.taker_side == BUY:
            book, paid, received = market.asks, event.quote_amount, event.base_amount
            paying, receiving = seat.quote, seat.base
            taker_fees, maker_fees = market.fee_base, market.fee_quote
        else:
            book, paid, received = market.bids, event.base_amount, event.quote_amount
            paying, receiving = seat.base, seat.quote
            taker_fees, maker_fees = market.fee_quote, market.fee_base
        if event.released:
            paying.held -= paid + event.released
            paying.free += event.released
        else:
            paying.held -= paid
        receiving.free += received - event.taker_fee
        taker_fees.free += event.taker_fee
        maker_account = self.accounts[event.maker_account]
        maker = maker_account.open_orders[event.maker_order_id]
        maker.paying.held -= received
        maker.receiving.free += paid - event.maker_fee
        maker_fees.free += event.maker_fee
        market.last_price_ticks = event.price_ticks
        market.next_trade_id = event.trade_id + 1
        if event.maker_remaining_lots:
            maker.quantity_lots = event.maker_remaining_lots
        else:
            book.remove(maker)
            del maker_account.open_orders[event.maker_order_id]
            if maker.placed.client_order_id:
                del maker_account.client_orders[maker.placed.client_order_id]

    def _order_cancelled(self, event: OrderCancelled) -> None:
        market = self.markets[event.market]
        seat = market.seats[event.account]
        if event.side == BUY:
            paying, book = seat.quote, market.bids
        else:
            paying, book = seat.base, market.asks
        paying.held -= event.released
        paying.free += event.released
        if event.in_book:
            account = seat.account
            order = account.open_orders[event.order_id]
            book.remove(order)
            del account.open_orders[event.order_id]
            if order.placed.client_order_id:
                del account.client_orders[order.placed.client_order_id]

    def _order_amended(self, event: OrderAmended) -> None:
        account = self.accounts[event.account]
        order = account.open_orders[event.order_id]
        more = event.hold - event.old_hold
        order.paying.free -= more
        order.paying.held += more
        if event.keeps_priority:
            order.quantity_lots = event.quantity_lots
            return
        side = self.markets[event.market].side(event.side)
        side.remove(order)
        if event.resting_lots:
            order.price_ticks, order.quantity_lots = event.price_ticks, event.resting_lots
            side.add(order)
        else:
            account.close(order)

    def _self_trade_prevented(self, event: SelfTradePrevented) -> None:
        maker = self.accounts[event.account].open_orders[event.maker_order_id]
        maker.quantity_lots = event.maker_remaining_lots
        # The taker is the same account's on the other side: it pays what the maker receives.
        for paying, released in (
            (maker.paying, event.maker_released),
            (maker.receiving, event.taker_released),
        ):
            paying.held -= released
            paying.free += released

    # What operators do.

    def _writer_started(self, event: WriterStarted) -> None:
        self.writer = event.writer

    def _asset_listed(self, event: AssetListed) -> None:
        self.assets[event.asset] = Asset(event.asset, event.decimals)

    def list_market(self, event: MarketListed) -> None:
        """Add a market, open and with an empty book."""
        self.markets[event.market] = Market(
            event, self.fees.balance(event.base_asset), self.fees.balance(event.quote_asset)
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
