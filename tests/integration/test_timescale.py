"""The views use what TimescaleDB there is, and never need it."""

from collections.abc import Iterator
from contextlib import closing

import psycopg
import pytest

from eventstore.memory import open_memory
from projections import timescale
from projections.database import ViewStore
from projections.postgres import PostgresViews, migrate
from projections.runner import catch_up
from projections.timescale import Timescale
from tests.day import Day


@pytest.fixture
def view_store(postgres_database: str) -> Iterator[ViewStore]:
    migrate(postgres_database)
    with closing(PostgresViews(postgres_database)) as store:
        yield store


def build(store: ViewStore) -> None:
    with open_memory() as log:
        Day(log).go_on(50)
        catch_up(log.log, store)


def test_trades_and_events_are_cut_into_chunks(
    view_store: ViewStore, postgres_database: str
) -> None:
    build(view_store)
    with psycopg.connect(postgres_database) as connection:
        found = connection.execute(
            "SELECT hypertable_name, column_name, integer_interval"
            " FROM timescaledb_information.dimensions ORDER BY 1"
        ).fetchall()
    assert found == [("events", "position", 5_000_000), ("trades", "time_ms", 86_400_000)]


def test_the_edition_is_detected(postgres_database: str) -> None:
    with psycopg.connect(postgres_database) as connection:
        found = Timescale.of(connection)
        licence = connection.execute("SHOW timescaledb.license").fetchone()
    assert found is not None
    assert licence is not None
    assert found.compresses == (licence[0] == "timescale")


def test_an_edition_that_refuses_to_compress_still_keeps_the_views(
    view_store: ViewStore,
    postgres_database: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with psycopg.connect(postgres_database) as connection:
        found = Timescale.of(connection)
        if found is None or found.compresses:
            pytest.skip("this edition compresses")
    monkeypatch.setattr(Timescale, "of", lambda _: Timescale(compresses=True))
    build(view_store)
    refused = [each.getMessage() for each in caplog.records if each.name == timescale.__name__]
    assert len(refused) == 2
    assert all("will not be compressed: functionality not supported" in each for each in refused)


def test_migrating_twice_changes_nothing(view_store: ViewStore, postgres_database: str) -> None:
    build(view_store)
    before = view_store.current()
    migrate(postgres_database)
    assert view_store.current() == before
