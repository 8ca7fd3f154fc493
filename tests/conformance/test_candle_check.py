"""Candles are checked by the database itself: what is wrong is found, what is right is not."""

import psycopg
import pytest

from eventstore.memory import open_memory
from projections.candle_check import CandlesUncheckable, check_candles
from projections.database import ViewStore
from projections.intervals import INTERVALS
from projections.runner import catch_up
from projections.views import Views
from tests.conformance.view_backends import PostgresBackend, ViewBackend
from tests.day import Day


@pytest.fixture
def checked(view_backend: ViewBackend, view_store: ViewStore, views: Views) -> Views:
    with open_memory() as store:
        day = Day(store)
        day.go_on(700)
        catch_up(store.log, view_store)
    if not isinstance(view_backend, PostgresBackend):
        with pytest.raises(CandlesUncheckable, match="PostgreSQL"):
            check_candles(views)
        pytest.skip("SQLite cannot check candles, and said so")
    return views


def test_candles_of_random_trades_are_right(checked: Views) -> None:
    assert check_candles(checked) == []


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE candles SET close = close + 1",
        "UPDATE candles SET taker_buy_volume = taker_buy_volume + 1",
        "UPDATE candles SET close_ms = close_ms + 1",
        "DELETE FROM candles",
        "UPDATE candles SET open_ms = open_ms - 1",
    ],
)
def test_a_damaged_candle_is_found_in_every_interval(
    checked: Views, view_backend: ViewBackend, view_store: ViewStore, damage: str
) -> None:
    assert isinstance(view_backend, PostgresBackend)
    with psycopg.connect(view_backend.url("live")) as connection:
        connection.execute(f"SET search_path TO {view_store.current()}".encode())
        connection.execute(
            f"{damage} WHERE open_ms = (SELECT max(open_ms) FROM candles AS newest"
            " WHERE (newest.market, newest.interval) = (candles.market, candles.interval))".encode()
        )
    assert {each.interval for each in check_candles(checked)} == set(INTERVALS)
