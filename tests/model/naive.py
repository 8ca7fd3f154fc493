"""A second exchange, written to be obviously right instead of fast.

It shares no code with the real one and keeps nothing that can be worked out: what is held is added
up from open orders and pending withdrawals whenever it is asked for, the book is the list of open
orders sorted again for each trade, and a refused order is undone by putting a copy back. It reads
the same commands, as they are the question that both answer; refusals are known by their codes.
"""

from copy import copy
from dataclasses import dataclass, field, replace
from fractions import Fraction
from math import ceil
from typing import Any

from tests.model.naive_book import (
    Fill,
    Market,
    Order,
    Refused,
    Result,
    require_passive,
    trade_with_book,
)
from tests.model.naive_checks import (
    LARGEST,
    PREVENTIONS,
    check_fields,
    check_limit_order,
    check_market_order,
    check_size,
)

DAY_MS = 86_400_000
FEES = "fees"


@dataclass
class Withdrawal:
    id: int
    account: str
    asset: str
    amount: int
    address: str
    request_id: str
    status: str = "requested"


@dataclass
class Answer:
    key: tuple[str, str]
    asked: str
    result: Result
    time_ms: int


@dataclass
class NaiveExchange:
    """owned: (account, asset) -> free and held units together."""

    assets: list[str]
    accounts: list[str]
    markets: list[Market]
    orders: list[Order] = field(default_factory=list)
    owned: dict[tuple[str, str], int] = field(default_factory=dict)
    deposits: list[tuple[str, str, str, int]] = field(default_factory=list)
    reversed_deposits: list[str] = field(default_factory=list)
    owed: dict[tuple[str, str], int] = field(default_factory=dict)
    withdrawals: list[Withdrawal] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    placed: int = 0
    arrivals: int = 0
    time_ms: int = 0

    # What can be asked about the state.

    def market(self, symbol: str) -> Market:
        """Return a market. Raises: Refused."""
        for market in self.markets:
            if market.symbol == symbol:
                return market
        raise Refused("unknown_market")

    def held(self, account: str, asset: str) -> int:
        """Return what open orders and pending withdrawals need, counted from nothing."""
        total = 0
        for order in self.orders:
            if order.account == account:
                total += self.market(order.market).cost(order, asset)
        for withdrawal in self.withdrawals:
            if (withdrawal.account, withdrawal.asset) == (account, asset) and (
                withdrawal.status in ("requested", "approved")
            ):
                total += withdrawal.amount
        return total

    def free(self, account: str, asset: str) -> int:
        """Return what may be spent."""
        return self.owned.get((account, asset), 0) - self.held(account, asset)

    # What can be asked for.

    def handle(self, command: Any) -> Result:
        """Return what becomes of a command, after doing it."""
        now_ms = max(self.time_ms, command.time_ms)
        key = (command.scope, command.idempotency_key)
        asked = repr((type(command).__name__, replace_time(command)))
        if command.idempotency_key:
            for answer in self.answers:
                if answer.key == key and answer.time_ms >= now_ms - DAY_MS:
                    if answer.asked != asked:
                        return Result("idempotency_key_reused")
                    return replace(answer.result, fills=(), repeated=not answer.result.code)
        try:
            result: Result = getattr(self, "do_" + type(command).__name__)(command)
        except Refused as refusal:
            result = Result(refusal.code)
        if command.idempotency_key:
            self.answers = [answer for answer in self.answers if answer.key != key]
            self.answers.append(Answer(key, asked, result, now_ms))
        if command.idempotency_key or not (result.code or result.repeated):
            self.time_ms = now_ms
        return result

    def do_PlaceOrder(self, command: Any) -> Result:
        market = self.market(command.market)
        self._require_account(command.account)
        asked = (
            command.market, command.side, command.type, command.time_in_force,
            command.price_ticks, command.quantity_lots, command.post_only,
        )  # fmt: skip
        if command.client_order_id:
            for order in self.orders:
                if (order.account, order.client_id) == (command.account, command.client_order_id):
                    if order.asked != asked:
                        raise Refused("duplicate_client_order_id")
                    return replace(order.first, fills=(), repeated=True)
        if market.status != "open":
            raise Refused("market_" + market.status)
        check_fields(command)
        if command.type == "market":
            check_market_order(market, command)
        else:
            check_limit_order(market, command)
        order = Order(
            self.placed + 1, command.account, command.market, command.side, command.price_ticks,
            command.quantity_lots, self.arrivals, command.client_order_id, command.post_only, asked,
        )  # fmt: skip
        before = self._copy_of_everything()
        try:
            return self._place(market, command, order)
        except Refused:
            self.orders, self.owned, self.markets = before
            raise

    def _place(self, market: Market, command: Any, order: Order) -> Result:
        asset = market.paid_asset(order.side)
        free = self.free(order.account, asset)
        limit = command.type == "limit"
        needed = market.cost(order, asset)
        require_passive(self.orders, market, order)
        fills, stopped, prevented = trade_with_book(
            self.orders, market, order, command.self_trade_prevention, command.quote_amount,
            any_price=not limit,
        )  # fmt: skip
        filled = sum(fill.lots for fill in fills)
        value = sum(fill.value for fill in fills)
        if command.time_in_force == "fok" and filled != command.quantity_lots:
            raise Refused("would_not_fill")
        if not limit:
            if not fills:
                raise Refused("no_liquidity")
            if value < market.min_notional:
                raise Refused("below_minimum")
            lots = command.quantity_lots or filled
            needed = value if order.side == "buy" else lots * market.lot_units
        if free < needed:
            raise Refused("insufficient_funds")
        self._settle(market, order, fills)
        self.placed += 1
        self.arrivals += 1
        rests = limit and command.time_in_force == "gtc" and not stopped and order.lots > 0
        if rests:
            self.orders.append(order)
            status = "partially_filled" if fills else "open"
        else:
            done = filled == (command.quantity_lots or filled) and not prevented
            status = "filled" if done else "cancelled"
        order.first = Result("", order.id, 0, status, filled, value, fills=tuple(fills))
        return order.first

    def do_AmendOrder(self, command: Any) -> Result:
        order = self._find_order(command)
        market = self.market(order.market)
        if command.self_trade_prevention not in PREVENTIONS:
            raise Refused("bad_field")
        if command.price_ticks < 0 or command.quantity_lots < 0:
            raise Refused("not_positive")
        price = command.price_ticks or order.price
        lots = command.quantity_lots or order.lots
        reduces = price == order.price and lots <= order.lots
        if market.status == "halted" or (market.status == "cancel_only" and not reduces):
            raise Refused("market_" + market.status)
        if (price, lots) == (order.price, order.lots):
            return Result("", order.id, 0, "open", repeated=True)
        check_size(market, price, lots)
        if reduces:
            order.lots = lots
            return Result("", order.id, 0, "open")
        before = self._copy_of_everything()
        self.orders = [each for each in self.orders if each.id != order.id]
        try:
            return self._move(market, replace(order, price=price, lots=lots), command)
        except Refused:
            self.orders, self.owned, self.markets = before
            raise

    def _move(self, market: Market, order: Order, command: Any) -> Result:
        lots = order.lots
        asset = market.paid_asset(order.side)
        affordable = self.free(order.account, asset) >= market.cost(order, asset)
        require_passive(self.orders, market, order)
        fills, stopped, _ = trade_with_book(
            self.orders, market, order, command.self_trade_prevention, 0,
            any_price=False,
        )  # fmt: skip
        if not affordable:
            raise Refused("insufficient_funds")
        self._settle(market, order, fills)
        filled = sum(fill.lots for fill in fills)
        value = sum(fill.value for fill in fills)
        self.arrivals += 1
        order.queue = self.arrivals
        if order.lots and not stopped:
            self.orders.append(order)
            status = "partially_filled" if fills else "open"
        else:
            status = "filled" if filled == lots else "cancelled"
        return Result("", order.id, 0, status, filled, value, fills=tuple(fills))

    def do_CancelOrder(self, command: Any) -> Result:
        order = self._find_order(command)
        if self.market(order.market).status == "halted":
            raise Refused("market_halted")
        self.orders.remove(order)
        return Result("", order.id, 0, "cancelled")

    def do_CancelAllOrders(self, command: Any) -> Result:
        self._require_account(command.account)
        if command.market and self.market(command.market).status == "halted":
            raise Refused("market_halted")
        kept = [
            order
            for order in self.orders
            if order.account != command.account
            or command.market not in ("", order.market)
            or self.market(order.market).status == "halted"
        ]
        nothing = len(kept) == len(self.orders)
        self.orders = kept
        return Result(repeated=True) if nothing else Result("", 0, 0, "cancelled")

    def do_SetMarketStatus(self, command: Any) -> Result:
        market = self.market(command.market)
        if command.status not in ("open", "cancel_only", "halted"):
            raise Refused("bad_field")
        repeated = market.status == command.status
        market.status = command.status
        return Result(repeated=repeated)

    def do_OpenAccount(self, command: Any) -> Result:
        if command.account in self.accounts:
            raise Refused("already_exists")
        self.accounts.append(command.account)
        return Result()

    def do_CreditDeposit(self, command: Any) -> Result:
        self._require_account(command.account)
        self._require_amount(command)
        told = (command.deposit_id, command.account, command.asset, command.amount)
        for deposit in self.deposits:
            if deposit[0] == command.deposit_id:
                if deposit != told:
                    raise Refused("idempotency_key_reused")
                return Result(repeated=True)
        self.deposits.append(told)
        key = (command.account, command.asset)
        repaid = min(self.owed.get(key, 0), command.amount)
        self.owed[key] = self.owed.get(key, 0) - repaid
        self._own(command.account, command.asset, command.amount - repaid)
        return Result()

    def do_ReverseDeposit(self, command: Any) -> Result:
        for deposit_id, account, asset, amount in self.deposits:
            if deposit_id == command.deposit_id:
                if deposit_id in self.reversed_deposits:
                    return Result(repeated=True)
                taken = min(self.free(account, asset), amount)
                self._own(account, asset, -taken)
                self.owed[account, asset] = self.owed.get((account, asset), 0) + amount - taken
                self.reversed_deposits.append(deposit_id)
                return Result()
        raise Refused("unknown_deposit")

    def _require_no_debt(self, account: str) -> None:
        if any(debt for (debtor, _), debt in self.owed.items() if debtor == account):
            raise Refused("account_in_debt")

    def do_RequestWithdrawal(self, command: Any) -> Result:
        self._require_account(command.account)
        self._require_amount(command)
        for each in self.withdrawals:
            if (each.account, each.request_id) == (command.account, command.request_id):
                first = (each.asset, each.amount, each.address)
                if first != (command.asset, command.amount, command.address):
                    raise Refused("idempotency_key_reused")
                return Result("", 0, each.id, "requested", repeated=True)
        self._require_no_debt(command.account)
        if self.free(command.account, command.asset) < command.amount:
            raise Refused("insufficient_funds")
        withdrawal_id = len(self.withdrawals) + 1
        self.withdrawals.append(
            Withdrawal(
                withdrawal_id,
                command.account,
                command.asset,
                command.amount,
                command.address,
                command.request_id,
            )
        )  # fmt: skip
        return Result("", 0, withdrawal_id, "requested")

    def do_ApproveWithdrawal(self, command: Any) -> Result:
        return self._settle_withdrawal(command.withdrawal_id, "requested", "approved")

    def do_RejectWithdrawal(self, command: Any) -> Result:
        return self._settle_withdrawal(command.withdrawal_id, "requested", "rejected")

    def do_FailWithdrawal(self, command: Any) -> Result:
        return self._settle_withdrawal(command.withdrawal_id, "approved", "failed")

    def do_CompleteWithdrawal(self, command: Any) -> Result:
        result = self._settle_withdrawal(command.withdrawal_id, "approved", "completed")
        if not result.repeated:
            withdrawal = self.withdrawals[command.withdrawal_id - 1]
            self._own(withdrawal.account, withdrawal.asset, -withdrawal.amount)
        return result

    def _settle_withdrawal(self, withdrawal_id: int, before: str, after: str) -> Result:
        for withdrawal in self.withdrawals:
            if withdrawal.id == withdrawal_id:
                if withdrawal.status == after:
                    return Result("", 0, withdrawal_id, after, repeated=True)
                if withdrawal.status != before:
                    raise Refused("wrong_state")
                if after == "approved":
                    self._require_no_debt(withdrawal.account)
                withdrawal.status = after
                return Result("", 0, withdrawal_id, after)
        raise Refused("unknown_withdrawal")

    def _require_account(self, account: str) -> None:
        if account not in self.accounts or account == FEES:
            raise Refused("unknown_account")

    def _require_amount(self, command: Any) -> None:
        if command.asset not in self.assets:
            raise Refused("unknown_asset")
        if command.amount <= 0:
            raise Refused("not_positive")
        if command.amount > LARGEST:
            raise Refused("amount_too_large")

    def _find_order(self, command: Any) -> Order:
        self._require_account(command.account)
        if (command.order_id != 0) == (command.client_order_id != ""):
            raise Refused("bad_field")
        for order in self.orders:
            if order.account == command.account and (
                order.id == command.order_id
                or (command.client_order_id and order.client_id == command.client_order_id)
            ):
                return order
        raise Refused("unknown_order")

    def _own(self, account: str, asset: str, amount: int) -> None:
        self.owned[account, asset] = self.owned.get((account, asset), 0) + amount

    def _settle(self, market: Market, taker: Order, fills: list[Fill]) -> None:
        """Move what was traded; each side's fee comes out of what it gets."""
        for fill in fills:
            base, quote = fill.lots * market.lot_units, fill.value
            buyer, seller = taker.account, fill.maker_account
            buyer_ppm, seller_ppm = market.taker_fee_ppm, market.maker_fee_ppm
            if taker.side == "sell":
                buyer, seller, buyer_ppm, seller_ppm = seller, buyer, seller_ppm, buyer_ppm
            buyer_fee = ceil(base * Fraction(buyer_ppm, 1_000_000))
            seller_fee = ceil(quote * Fraction(seller_ppm, 1_000_000))
            self._own(buyer, market.quote, -quote)
            self._own(buyer, market.base, base - buyer_fee)
            self._own(seller, market.base, -base)
            self._own(seller, market.quote, quote - seller_fee)
            self._own(FEES, market.base, buyer_fee)
            self._own(FEES, market.quote, seller_fee)
            market.last_price = fill.price
            market.trades += 1

    def _copy_of_everything(
        self,
    ) -> tuple[list[Order], dict[tuple[str, str], int], list[Market]]:
        return [copy(each) for each in self.orders], dict(self.owned), list(map(copy, self.markets))


def replace_time(command: Any) -> dict[str, Any]:
    """Return what a command asks for, by field; when it was sent is not part of that."""
    return {name: getattr(command, name) for name in command.__struct_fields__ if name != "time_ms"}
