"""Views in different databases are compared, and candles checked, from the command line."""

import json
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from eventstore.sqlite import open_sqlite
from projections.postgres import PostgresViews, migrate
from projections.runner import catch_up
from projections.sqlite import SQLiteViews
from tests.day import Day
from tests.e2e.test_cli import foldex


@pytest.fixture
def places(tmp_path: Path, postgres_database: str) -> tuple[Path, str]:
    """Return where the same views are in SQLite and in PostgreSQL."""
    migrate(postgres_database)
    with (
        open_sqlite(tmp_path, for_writing=True) as store,
        closing(PostgresViews(postgres_database)) as views,
    ):
        Day(store).go_on(300)
        catch_up(store.log, SQLiteViews(tmp_path))
        catch_up(store.log, views)
    return tmp_path, postgres_database


def test_views_in_two_databases_are_the_same_until_one_is_damaged(
    places: tuple[Path, str],
) -> None:
    directory, url = places
    same = foldex("compare", directory, url)
    assert (same.returncode, same.stdout) == (0, "the same\n")
    with psycopg.connect(url) as connection:
        connection.execute(b"UPDATE views_1.balances SET free = free + 1 WHERE account = 'fees'")
    done = foldex("compare", directory, url, "--json")
    assert done.returncode == 1
    (difference,) = json.loads(done.stdout)["differences"]
    assert difference["table"] == "balances"
    assert difference["left"][0] == difference["right"][0] == "fees"
    assert difference["left"][2] + 1 == difference["right"][2]


def test_candles_are_checked_where_sql_can(
    places: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    directory, url = places
    refused = foldex("candles", "check", "--data", directory)
    assert (refused.returncode, "PostgreSQL" in refused.stderr) == (2, True)
    monkeypatch.setenv("FOLDEX_DATABASE_URL", url)
    assert foldex("candles", "check").stdout == "all candles are right\n"
    with psycopg.connect(url) as connection:
        connection.execute(b"UPDATE views_1.candles SET high = high + 1 WHERE interval = '1M'")
    done = foldex("candles", "check", "--json")
    assert done.returncode == 1
    assert {each["interval"] for each in json.loads(done.stdout)["differences"]} == {"1M"}


def test_views_that_are_not_there_cannot_be_compared(tmp_path: Path) -> None:
    done = foldex("compare", tmp_path, tmp_path)
    assert done.returncode == 3
    assert "no views have been built yet" in done.stderr
