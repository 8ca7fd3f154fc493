"""Export events, trades and account statements straight from the log, which is what can be proven.

Statements come from replaying the exchange and looking at what each event did to each balance:
nothing of the views is used, so the two can be compared.
"""

import csv
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, TextIO

import msgspec

from domain.events import (
    DepositCredited,
    DepositReversed,
    Event,
    OrderAmended,
    OrderCancelled,
    OrderPlaced,
    SelfTradePrevented,
    TradeExecuted,
    stream_of,
)
from domain.exchange import Exchange
from domain.ledger import FEES
from domain.units import format_steps, format_units
from eventstore.recovery import Progress
from eventstore.store import Log

Row = dict[str, Any]
"""One line of an export, by column."""

_Balances = dict[str, tuple[int, int, int]]


def export(
    what: str,
    log: Log,
    form: str,
    output: TextIO,
    *,
    account: str = "",
    progress: Progress = lambda done, last: None,
) -> int:
    """Write `events`, `trades` or `statement` as `csv` or `jsonl`; return how many lines.

    account: statements of this one only. Raises: StoreDamaged, StoreTooNew, StoreError; OSError.
    """
    columns = COLUMNS[what]
    rows = _rows(what, log, account, progress)
    return _write_csv(columns, rows, output) if form == "csv" else _write_jsonl(rows, output)


def _rows(what: str, log: Log, account: str, progress: Progress) -> Iterator[Row]:
    exchange = Exchange()
    last = log.stored_head().position
    lines = _LINES[what]
    for commit in log.read_all():
        for event in commit.events:
            yield from lines(exchange, event, account)
        progress(exchange.position, max(last, exchange.position))


def _event_lines(exchange: Exchange, event: Event, account: str) -> Iterator[Row]:
    exchange.apply(event)
    kind = type(event)
    fields = zip(kind.__struct_fields__, msgspec.structs.astuple(event), strict=True)
    yield {
        "position": exchange.position,
        "time_ms": event.time_ms,
        "stream": stream_of(event),
        "type": str(kind.__struct_config__.tag),
        "data": dict(fields),
    }


def _trade_lines(exchange: Exchange, event: Event, account: str) -> Iterator[Row]:
    exchange.apply(event)
    if not isinstance(event, TradeExecuted):
        return
    market = exchange.markets[event.market]
    base = exchange.assets[market.base_asset].decimals
    quote = exchange.assets[market.quote_asset].decimals
    taker_buys = event.taker_side == "buy"
    fees = (event.taker_fee, event.maker_fee)
    buyer_fee, seller_fee = fees if taker_buys else fees[::-1]
    yield {
        "position": exchange.position,
        "time_ms": event.time_ms,
        "market": event.market,
        "trade_id": event.trade_id,
        "price": format_steps(event.price_ticks, market.tick_size),
        "quantity": format_units(event.base_amount, base),
        "quote_quantity": format_units(event.quote_amount, quote),
        "taker_side": event.taker_side,
        "taker_account": event.taker_account,
        "taker_order_id": event.taker_order_id,
        "maker_account": event.maker_account,
        "maker_order_id": event.maker_order_id,
        "buyer_fee": format_units(buyer_fee, base),
        "seller_fee": format_units(seller_fee, quote),
    }


def _statement_lines(exchange: Exchange, event: Event, account: str) -> Iterator[Row]:
    concerned = [each for each in _accounts_of(event) if account in ("", each)]
    before = {each: _balances(exchange, each) for each in concerned}
    exchange.apply(event)
    for each in concerned:
        for asset, (free, held, debt) in sorted(_balances(exchange, each).items()):
            free_before, held_before, debt_before = before[each].get(asset, (0, 0, 0))
            if (free, held, debt) == (free_before, held_before, debt_before):
                continue
            decimals = exchange.assets[asset].decimals
            yield {
                "position": exchange.position,
                "time_ms": event.time_ms,
                "event": str(type(event).__struct_config__.tag),
                "account": each,
                "asset": asset,
                "free_change": format_units(free - free_before, decimals),
                "held_change": format_units(held - held_before, decimals),
                "debt_change": format_units(debt - debt_before, decimals),
                "free_after": format_units(free, decimals),
                "held_after": format_units(held, decimals),
                "debt_after": format_units(debt, decimals),
                "reference": _reference(event),
            }


def _accounts_of(event: Event) -> list[str]:
    """Return the accounts whose balances an event may change, each once, in a fixed order."""
    if isinstance(event, TradeExecuted):
        return list(dict.fromkeys((event.taker_account, event.maker_account, FEES)))
    account = getattr(event, "account", None)
    return [] if account is None else [account]


def _balances(exchange: Exchange, account: str) -> _Balances:
    found = exchange.accounts.get(account)
    if found is None:
        return {}
    return {
        asset: (balance.free, balance.held, found.debts.get(asset, 0))
        for asset, balance in found.balances.items()
    }


def _reference(event: Event) -> str:
    """Return what an event is about, in words that the event's own fields give."""
    match event:
        case TradeExecuted(market=market, trade_id=trade_id):
            return f"trade:{market}:{trade_id}"
        case OrderPlaced() | OrderCancelled() | OrderAmended():
            return f"order:{event.order_id}"
        case SelfTradePrevented(taker_order_id=order_id):
            return f"order:{order_id}"
        case DepositCredited(deposit_id=deposit_id) | DepositReversed(deposit_id=deposit_id):
            return f"deposit:{deposit_id}"
        case _:
            return f"withdrawal:{getattr(event, 'withdrawal_id', 0)}"


def _write_csv(columns: tuple[str, ...], rows: Iterable[Row], output: TextIO) -> int:
    writer = csv.writer(output, lineterminator="\n")
    writer.writerow(columns)
    count = 0
    for row in rows:
        writer.writerow([_cell(row[column]) for column in columns])
        count += 1
    return count


def _cell(value: Any) -> Any:
    return msgspec.json.encode(value).decode() if isinstance(value, dict) else value


def _write_jsonl(rows: Iterable[Row], output: TextIO) -> int:
    encode = msgspec.json.Encoder().encode
    count = 0
    for row in rows:
        output.write(encode(row).decode() + "\n")
        count += 1
    return count


_LINES: Final[dict[str, Callable[[Exchange, Event, str], Iterator[Row]]]] = {
    "events": _event_lines,
    "trades": _trade_lines,
    "statement": _statement_lines,
}
COLUMNS: Final[dict[str, tuple[str, ...]]] = {
    "events": ("position", "time_ms", "stream", "type", "data"),
    "trades": (
        "position", "time_ms", "market", "trade_id", "price", "quantity", "quote_quantity",
        "taker_side", "taker_account", "taker_order_id", "maker_account", "maker_order_id",
        "buyer_fee", "seller_fee",
    ),
    "statement": (
        "position", "time_ms", "event", "account", "asset", "free_change", "held_change",
        "debt_change", "free_after", "held_after", "debt_after", "reference",
    ),
}  # fmt: skip
"""The columns of each export, in order."""
