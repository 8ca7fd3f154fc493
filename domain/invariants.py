"""What must hold after every command, whatever came before: else the state is wrong."""

from domain.exchange import Exchange
from domain.market import Market
from domain.units import BUY


def check(exchange: Exchange) -> None:
    """Check money, holds and books of the whole exchange.

    Raises: AssertionError: naming the rule that is broken, the account or market, and the figures.
    """
    _check_conservation(exchange)
    _check_holds(exchange)
    for market in exchange.markets.values():
        _check_book(exchange, market)


def _check_conservation(exchange: Exchange) -> None:
    """Each asset's balances less its debts equal deposits less reversals less withdrawals."""
    totals = dict.fromkeys(exchange.assets, 0)
    for account in exchange.accounts.values():
        for code, balance in account.balances.items():
            if balance.free < 0 or balance.held < 0:
                raise AssertionError(f"negative {code} balance of {account.account_id}: {balance}")
            totals[code] += balance.free + balance.held
        for code, debt in account.debts.items():
            if debt <= 0:
                raise AssertionError(f"{account.account_id} owes {debt} {code}")
            totals[code] -= debt
    for code, asset in exchange.assets.items():
        came_in = asset.deposited - asset.reversed - asset.withdrawn
        if totals[code] != came_in:
            raise AssertionError(
                f"{code}: accounts hold {totals[code]} less debts, deposits less reversals and "
                f"withdrawals are {came_in}"
            )


def _check_holds(exchange: Exchange) -> None:
    """What is held equals, account by account, what open orders and withdrawals need."""
    needed: dict[tuple[str, str], int] = {}
    for order in exchange.open_orders():
        market = exchange.markets[order.market]
        if order.quantity_lots <= 0:
            raise AssertionError(f"order {order.order_id} has {order.quantity_lots} lots open")
        asset = market.quote_asset if order.side == BUY else market.base_asset
        needed[order.account, asset] = needed.get((order.account, asset), 0) + market.hold_of(order)
    for withdrawal in exchange.withdrawals.values():
        if withdrawal.status in ("requested", "approved"):
            key = withdrawal.account, withdrawal.asset
            needed[key] = needed.get(key, 0) + withdrawal.amount
    for account in exchange.accounts.values():
        for code, balance in account.balances.items():
            need = needed.get((account.account_id, code), 0)
            if balance.held != need:
                raise AssertionError(
                    f"{account.account_id} holds {balance.held} {code}, needs {need}"
                )


def _check_book(exchange: Exchange, market: Market) -> None:
    """The book is not crossed, and its orders are exactly the market's open orders."""
    bid, ask = market.bids.best_price_ticks, market.asks.best_price_ticks
    if bid is not None and ask is not None and bid >= ask:
        raise AssertionError(f"{market.symbol} is crossed: bid {bid}, ask {ask}")
    in_book = {
        order.order_id
        for side in (market.bids, market.asks)
        for _, orders in side.levels_best_first()
        for order in orders
    }
    is_open = {each.order_id for each in exchange.open_orders() if each.market == market.symbol}
    if in_book != is_open:
        raise AssertionError(f"{market.symbol}: book and open orders differ: {in_book ^ is_open}")
