"""What the API asks the engine: facts to read orders by, and what became of commands."""

from typing import Final

import msgspec

from api.engine_port import EngineState
from domain.events import RequestAnswered
from domain.exchange import ANSWERS_KEPT_MS, Exchange

BATCH_COMMANDS_MAX: Final = 1_000
"""Commands of one submission. The idempotency key of command i of many is `KEY/i`."""


class MarketFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What never changes about a market: whoever knows it need not ask again."""

    symbol: str
    base_asset: str
    quote_asset: str
    tick_size: str
    lot_size: str
    quote_decimals: int


class AssetFacts(msgspec.Struct, frozen=True):
    """What never changes about an asset."""

    code: str
    decimals: int


class KeyAnswers(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an idempotency key. found: its command's answer, or those of a batch in order;
    none: not taken in the last 24 hours. pending: taken, without an outcome yet.
    """

    position: int
    pending: bool
    found: list[RequestAnswered]


class FindMarkets(msgspec.Struct, frozen=True, array_like=True, tag="find_markets"):
    """Which of these markets are listed?"""

    symbols: list[str]

    def answer(self, state: EngineState) -> list[MarketFacts]:
        """Return the facts of those that are."""
        exchange = state.exchange
        found = (_market(exchange, symbol) for symbol in self.symbols)
        return [market for market in found if market is not None]


class FindAsset(msgspec.Struct, frozen=True, array_like=True, tag="find_asset"):
    """Is this asset listed?"""

    code: str

    def answer(self, state: EngineState) -> AssetFacts | None:
        """Return its facts if it is."""
        asset = state.exchange.assets.get(self.code)
        return None if asset is None else AssetFacts(asset.code, asset.decimals)


class FindOpenOrder(msgspec.Struct, frozen=True, array_like=True, tag="find_open_order"):
    """In which market is this open order of the account? Asked with either id."""

    account: str
    order_id: int
    client_order_id: str

    def answer(self, state: EngineState) -> str:
        """Return the market's symbol; "" when there is no such open order."""
        account = state.exchange.accounts.get(self.account)
        if account is None:
            return ""
        order = (
            account.open_orders.get(self.order_id)
            if self.order_id
            else account.client_orders.get(self.client_order_id)
        )
        return "" if order is None else order.market


class FindAnswers(msgspec.Struct, frozen=True, array_like=True, tag="find_answers"):
    """What became of the commands with this idempotency key?"""

    scope: str
    key: str

    def answer(self, state: EngineState) -> KeyAnswers:
        """Return what is known."""
        # Before the state: a command in flight may be applied there though it is not durable yet.
        pending = state.in_flight(self.scope, self.key.partition("/")[0])
        position = state.exchange.position
        found = [] if pending else self._found(state)
        return KeyAnswers(position=position, pending=pending, found=found)

    def _found(self, state: EngineState) -> list[RequestAnswered]:
        answer = self._remembered(state, self.key)
        if answer is not None:
            return [answer]
        # Of a batch: those refused by their form never were commands, and are left out.
        items = (self._remembered(state, f"{self.key}/{n}") for n in range(BATCH_COMMANDS_MAX))
        return [item for item in items if item is not None]

    def _remembered(self, state: EngineState, key: str) -> RequestAnswered | None:
        answer = state.exchange.answer(self.scope, key)
        if answer is None or answer.time_ms < state.now_ms - ANSWERS_KEPT_MS:
            return None
        return answer


AnyQuestion = FindMarkets | FindAsset | FindOpenOrder | FindAnswers


def _market(exchange: Exchange, symbol: str) -> MarketFacts | None:
    market = exchange.markets.get(symbol)
    if market is None:
        return None
    return MarketFacts(
        symbol=market.symbol,
        base_asset=market.base_asset,
        quote_asset=market.quote_asset,
        tick_size=market.tick_size,
        lot_size=market.lot_size,
        quote_decimals=exchange.assets[market.quote_asset].decimals,
    )
