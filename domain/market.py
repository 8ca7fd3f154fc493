"""A market: what trades against what, in which steps, at which fees, and its book."""

from typing import Literal

import msgspec

from domain.errors import MarketCancelOnlyError, MarketHaltedError
from domain.events import MarketListed
from domain.ledger import Account, Balance
from domain.order_book import BookSide, Order
from domain.units import BUY, SELL, Side

MarketStatus = Literal["open", "cancel_only", "halted"]


class Seat(msgspec.Struct, frozen=True, gc=False):
    """An account in a market, with the two balances it trades there: one lookup for all three."""

    account: Account
    base: Balance
    quote: Balance


class Market:
    """seats: by account, of all that ever placed an order; found again from a snapshot's orders.

    tick_size, lot_size: decimal strings. lot_units: base units in a lot; tick_lot_units: quote
    units that a lot costs at one tick. fee_base, fee_quote: balances of the exchange's account.
    """

    __slots__ = (
        "asks",
        "base_asset",
        "bids",
        "fee_base",
        "fee_quote",
        "last_price_ticks",
        "listed",
        "lot_size",
        "lot_units",
        "maker_fee_ppm",
        "min_notional",
        "next_trade_id",
        "quote_asset",
        "seats",
        "status",
        "symbol",
        "taker_fee_ppm",
        "tick_lot_units",
        "tick_size",
    )

    def __init__(self, listed: MarketListed, fee_base: Balance, fee_quote: Balance) -> None:
        self.listed = listed
        self.symbol = listed.market
        self.base_asset = listed.base_asset
        self.quote_asset = listed.quote_asset
        self.tick_size = listed.tick_size
        self.lot_size = listed.lot_size
        self.lot_units = listed.lot_units
        self.tick_lot_units = listed.tick_lot_units
        self.min_notional = listed.min_notional
        self.maker_fee_ppm = listed.maker_fee_ppm
        self.taker_fee_ppm = listed.taker_fee_ppm
        self.status: MarketStatus = "open"
        self.last_price_ticks = 0
        self.next_trade_id = 1
        self.bids = BookSide(BUY)
        self.asks = BookSide(SELL)
        self.seats: dict[str, Seat] = {}
        self.fee_base = fee_base
        self.fee_quote = fee_quote

    def new_seat(self, account: Account) -> Seat:
        """Return a seat for an account that may never have held one of the assets.

        Its balances are the account's or, for what it never held, new ones; nothing is changed.
        """
        balances = account.balances
        return Seat(
            account,
            balances.get(self.base_asset) or Balance(),
            balances.get(self.quote_asset) or Balance(),
        )

    def side(self, side: Side) -> BookSide:
        """Return the side of the book where orders of `side` rest."""
        return self.bids if side == BUY else self.asks

    def hold_for(self, side: Side, price_ticks: int, lots: int) -> int:
        """Return the worst case an order can cost: quote units to buy, base units to sell.

        Fees are taken from what is received, so a hold needs no part for them.
        """
        if side == BUY:
            return price_ticks * lots * self.tick_lot_units
        return lots * self.lot_units

    def hold_of(self, order: Order) -> int:
        """Return what is held for an open order, in units of what it pays with."""
        return self.hold_for(order.side, order.price_ticks, order.quantity_lots)

    def require_orders_taken(self) -> None:
        """Raises: MarketHaltedError, MarketCancelOnlyError: when no new order is taken."""
        if self.status == "open":
            return
        if self.status == "halted":
            raise MarketHaltedError(f"{self.symbol} is halted")
        raise MarketCancelOnlyError(f"{self.symbol} takes cancels only")

    def require_cancels_taken(self) -> None:
        """Raises: MarketHaltedError: when not even cancels are taken."""
        if self.status == "halted":
            raise MarketHaltedError(f"{self.symbol} is halted")
