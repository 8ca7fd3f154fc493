"""Are the candles right? The database computes each of them anew from the trades, by SQL.

It shares nothing with the fold that keeps them: buckets come from TimescaleDB's `time_bucket`, open
and close from its `first` and `last`. A database without it does the same with arithmetic,
`date_trunc` and arrays.
"""

from typing import Final, NamedTuple

from projections.database import Reading, Row
from projections.intervals import FIXED_MS, INTERVALS
from projections.postgres_database import PostgresDatabase
from projections.views import Views

DIFFERENCES_MAX: Final = 100
"""How many are returned; of views that are right there is none."""

_AT: Final = "to_timestamp(time_ms / 1000)"
_COLUMNS: Final = (
    "close_ms", "open", "high", "low", "close", "volume", "quote_volume", "trades",
    "taker_buy_volume", "taker_buy_quote_volume",
)  # fmt: skip


class CandlesUncheckable(Exception):
    """These views are not in PostgreSQL: only there can SQL do the sums."""


class CandleDifference(NamedTuple):
    """stored, computed: the values in the order of the table, None where there is no candle."""

    market: str
    interval: str
    open_ms: int
    stored: Row | None
    computed: Row | None


class _Dialect(NamedTuple):
    """How a bucket's begin is written: fixed: ms, for a width in ms; week, month: a timestamp."""

    fixed: str
    week: str
    month: str
    first: str
    last: str


_TIMESCALE: Final = _Dialect(
    fixed="time_bucket({width}::bigint, time_ms)",
    week=f"time_bucket(INTERVAL '1 week', {_AT}, 'UTC')",
    month=f"time_bucket(INTERVAL '1 month', {_AT}, 'UTC')",
    first="first(price_ticks, trade_id)",
    last="last(price_ticks, trade_id)",
)
_PLAIN: Final = _Dialect(
    fixed="time_ms - time_ms % {width}",
    week=f"date_trunc('week', {_AT}, 'UTC')",
    month=f"date_trunc('month', {_AT}, 'UTC')",
    first="(array_agg(price_ticks ORDER BY trade_id))[1]",
    last="(array_agg(price_ticks ORDER BY trade_id DESC))[1]",
)


def check_candles(views: Views) -> list[CandleDifference]:
    """Return the candles that are not what the trades say, of every market and interval.

    Raises: CandlesUncheckable; ViewsMissing; ViewsUnavailable.
    """
    found: list[CandleDifference] = []
    with views.snapshot() as db:
        if not isinstance(db, PostgresDatabase):
            raise CandlesUncheckable("candles are checked by SQL, in PostgreSQL only")
        dialect = _TIMESCALE if _has_timescale(db) else _PLAIN
        for interval in INTERVALS:
            left = DIFFERENCES_MAX - len(found)
            found += [
                _difference(interval, row) for row in db.rows(_sql(dialect, interval), (left,))
            ]
    return found


def _has_timescale(db: Reading) -> bool:
    return db.row("SELECT 1 FROM pg_extension WHERE extname = 'timescaledb'") is not None


def _sql(dialect: _Dialect, interval: str) -> str:
    begin, end = _bounds(dialect, interval)
    both = ", ".join(f"stored.{each}" for each in _COLUMNS)
    anew = ", ".join(f"computed.{each}" for each in _COLUMNS)
    return f"""
        WITH computed AS (
            SELECT market, {begin} AS open_ms, {end} AS close_ms, {dialect.first} AS open,
                max(price_ticks) AS high, min(price_ticks) AS low, {dialect.last} AS close,
                sum(quantity_lots) AS volume, sum(quote_amount) AS quote_volume,
                count(*) AS trades,
                coalesce(sum(quantity_lots) FILTER (WHERE taker_side = 'buy'), 0)
                    AS taker_buy_volume,
                coalesce(sum(quote_amount) FILTER (WHERE taker_side = 'buy'), 0)
                    AS taker_buy_quote_volume
            FROM trades GROUP BY market, {begin}, {end}),
        stored AS (SELECT * FROM candles WHERE "interval" = '{interval}')
        SELECT market, open_ms, {both}, {anew}
        FROM stored FULL JOIN computed USING (market, open_ms)
        WHERE ({both}) IS DISTINCT FROM ({anew})
        ORDER BY market, open_ms LIMIT ?
    """


def _bounds(dialect: _Dialect, interval: str) -> tuple[str, str]:
    """Return what computes where a trade's bucket begins and ends, ms UTC."""
    if interval == "1M":
        return _ms(dialect.month), _ms(f"({dialect.month} + INTERVAL '1 month')")
    if interval == "1w":
        return _ms(dialect.week), _ms(f"({dialect.week} + INTERVAL '1 week')")
    width = FIXED_MS[interval]
    begin = dialect.fixed.format(width=width)
    return begin, f"{begin} + {width}"


def _ms(timestamp: str) -> str:
    return f"(extract(epoch FROM {timestamp}) * 1000)::bigint"


def _difference(interval: str, row: Row) -> CandleDifference:
    count = len(_COLUMNS)
    stored, computed = row[2 : 2 + count], row[2 + count :]
    return CandleDifference(
        row[0],
        interval,
        row[1],
        None if stored[0] is None else stored,
        None if computed[0] is None else computed,
    )
