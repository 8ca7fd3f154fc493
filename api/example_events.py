"""An example of each kind of event, for the documents."""

from collections.abc import Mapping
from typing import Any, Final, get_args, get_type_hints

from api.examples import T_MS
from domain.events import Event

_TEXTS: Final[Mapping[str, str]] = {
    "writer": "host-1:4242", "asset": "BTC", "market": "BTC-USDT", "base_asset": "BTC",
    "quote_asset": "USDT", "tick_size": "0.01", "lot_size": "0.00001", "account": "alice",
    "maker_account": "bob", "taker_account": "alice", "client_order_id": "grid-17",
    "deposit_id": "eip155:1:0x5c50…:0", "request_id": "w-1", "address": "0x52908400…",
    "approved_by": "operator-1", "rejected_by": "operator-1", "txid": "0x5c504ed4…",
    "scope": "alice", "key": "3f1c2a9e", "digest": "9f86d081…", "status": "filled",
    "reason": "maintenance",
}  # fmt: skip
"""What the examples say in fields of free text; elsewhere they are empty."""


def example_event(kind: type[Event]) -> Event:
    """Return an event that shows what each field looks like."""
    hints = get_type_hints(kind)
    return kind(*(_example_of(name, hints[name]) for name in kind.__struct_fields__))


def _example_of(name: str, hint: Any) -> Any:
    if choices := get_args(hint):
        return choices[0]
    if hint is str:
        return _TEXTS.get(name, "")
    if hint is bool:
        return False
    return T_MS if name == "time_ms" else 1042
