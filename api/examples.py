"""Example answers of the OpenAPI document; a test converts each to the type it is an example of."""

from typing import Any, Final

T_MS: Final = 1_793_265_600_000

DONE: Final = {"position": 12, "repeated": False}
ORDER_RECEIPT: Final = {
    "order_id": 1042,
    "market": "BTC-USDT",
    "status": "partially_filled",
    "filled_quantity": "0.0150",
    "filled_quote": "1455.00000000",
    "position": 90331,
    "repeated": False,
}
ORDER: Final = {
    "id": 1042,
    "account": "alice",
    "market": "BTC-USDT",
    "side": "buy",
    "type": "limit",
    "time_in_force": "gtc",
    "post_only": False,
    "client_order_id": "grid-17",
    "price": "97000.00",
    "quantity": "0.0500",
    "open_quantity": "0.0350",
    "filled_quantity": "0.0150",
    "filled_quote": "1455.00000000",
    "average_price": "97000.00000000",
    "fee": "0.00001500",
    "fee_asset": "BTC",
    "status": "partially_filled",
    "created_ms": T_MS,
    "updated_ms": T_MS,
    "position": 90331,
}
BALANCE: Final = {
    "asset": "USDT",
    "free": "5150.00000000",
    "held": "3395.00000000",
    "total": "8545.00000000",
    "debt": "0.00000000",
}
STATEMENT_LINE: Final = {
    "id": 5120,
    "position": 90331,
    "time_ms": T_MS,
    "event": "trade_executed.v1",
    "account": "alice",
    "asset": "USDT",
    "free_change": "0.00000000",
    "held_change": "-1455.00000000",
    "debt_change": "0.00000000",
    "free_after": "5150.00000000",
    "held_after": "3395.00000000",
    "debt_after": "0.00000000",
    "reference": "order:1042",
}
ACCOUNT_TRADE: Final = {
    "id": 90331,
    "trade_id": 88,
    "market": "BTC-USDT",
    "time_ms": T_MS,
    "order_id": 1042,
    "side": "buy",
    "role": "taker",
    "price": "97000.00",
    "quantity": "0.0150",
    "quote_quantity": "1455.00000000",
    "fee": "0.00001500",
    "fee_asset": "BTC",
}
DEPOSIT: Final = {
    "id": 40,
    "time_ms": T_MS,
    "account": "alice",
    "asset": "USDT",
    "amount": "10000.00000000",
    "deposit_id": "eth:0x9fc7:0",
    "status": "credited",
    "reversed_ms": None,
}
WITHDRAWAL: Final = {
    "id": 7,
    "account": "alice",
    "asset": "USDT",
    "amount": "250.00000000",
    "address": "0x71C7656EC7ab88b098defB751B7401B5f6d8976F",
    "request_id": "w-2026-07",
    "status": "requested",
    "decided_by": "",
    "reason": "",
    "txid": "",
    "created_ms": T_MS,
    "updated_ms": T_MS,
    "position": 90351,
}
MARKET: Final = {
    "market": "BTC-USDT",
    "base_asset": "BTC",
    "quote_asset": "USDT",
    "tick_size": "0.01",
    "lot_size": "0.0001",
    "min_notional": "5.00000000",
    "maker_fee_ppm": 500,
    "taker_fee_ppm": 1000,
    "status": "open",
    "reason": "",
    "listed_ms": T_MS,
}
TRADE: Final = {
    "id": 88,
    "market": "BTC-USDT",
    "time_ms": T_MS,
    "price": "97000.00",
    "quantity": "0.0150",
    "quote_quantity": "1455.00000000",
    "taker_side": "buy",
    "position": 90331,
}
CANDLE: Final = {
    "open_ms": T_MS,
    "close_ms": T_MS + 60_000,
    "open": "96990.00",
    "high": "97010.00",
    "low": "96980.00",
    "close": "97000.00",
    "volume": "1.2000",
    "quote_volume": "116394.00000000",
    "trades": 41,
    "taker_buy_volume": "0.7000",
    "taker_buy_quote_volume": "67900.00000000",
    "closed": True,
}
DEPTH: Final = {
    "market": "BTC-USDT",
    "position": 90331,
    "bids": [["96999.00", "0.5000", 2]],
    "asks": [["97000.00", "0.1000", 1]],
}
TICKER: Final = {
    "market": "BTC-USDT",
    "open_ms": T_MS - 86_400_000,
    "close_ms": T_MS,
    "open": "96000.00",
    "high": "97500.00",
    "low": "95800.00",
    "last": "97000.00",
    "change_percent": "1.04",
    "volume": "12.3400",
    "quote_volume": "1190810.00000000",
    "trades": 4120,
    "bid": "96999.00",
    "bid_quantity": "0.5000",
    "ask": "97000.00",
    "ask_quantity": "0.1000",
}
EVENT: Final = {
    "id": 40,
    "time_ms": T_MS,
    "stream": "account:alice",
    "type": "deposit_credited.v1",
    "data": {"asset": "USDT", "amount": 1_000_000_000_000, "deposit_id": "eth:0x9fc7:0"},
}


def page_of(row: dict[str, Any]) -> dict[str, Any]:
    """Return a page with one row, and another page after it."""
    return {"items": [row], "next": row["id"]}
