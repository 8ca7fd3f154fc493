"""Exports come from the log alone; the views, folded by other code, must say the same."""

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from api.flow import ACCOUNTS, MARKET, run_flow
from api.flow_format import Steps
from api.flow_generator import write_flow
from audit.export import COLUMNS, export
from eventstore.sqlite import open_sqlite
from eventstore.store import Log
from projections.sqlite import SQLiteViews
from projections.views import Views
from tests.deployments import embedded


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("export")
    write_flow(directory / "flow.csv", seed=3, commands=1_500)
    run_flow(directory / "flow.csv", embedded(directory / "data"), Steps("0.01", "1"))
    return directory / "data"


@pytest.fixture
def log(data: Path) -> Iterator[Log]:
    with open_sqlite(data, create=False) as store:
        yield store.log


def exported(log: Log, what: str, account: str = "") -> list[dict[str, object]]:
    output = io.StringIO()
    count = export(what, log, "jsonl", output, account=account)
    rows = [json.loads(line) for line in output.getvalue().splitlines()]
    assert len(rows) == count
    return rows


def test_events_are_all_there_in_order(log: Log) -> None:
    rows = exported(log, "events")
    assert [row["position"] for row in rows] == list(range(1, log.stored_head().position + 1))


def test_trades_are_those_of_the_views(log: Log, data: Path) -> None:
    rows = exported(log, "trades")
    seen = Views(SQLiteViews(data)).trades(MARKET, limit=10_000).items[::-1]
    assert [(row["trade_id"], row["price"], row["quantity"]) for row in rows] == [
        (each.id, each.price, each.quantity) for each in seen
    ]
    assert rows


def test_statements_are_those_of_the_views(log: Log, data: Path) -> None:
    account = ACCOUNTS[3]
    rows = exported(log, "statement", account)
    seen = Views(SQLiteViews(data)).statement(account, limit=100_000).items[::-1]
    amounts = ("free_after", "held_after", "debt_after")
    last = {row["asset"]: [row[name] for name in amounts] for row in rows}
    assert last == {each.asset: [getattr(each, name) for name in amounts] for each in seen}
    assert {row["position"] for row in rows} <= {each.position for each in seen}


def test_csv_has_the_columns_and_rows_of_json_lines(log: Log) -> None:
    for what, columns in COLUMNS.items():
        output = io.StringIO()
        count = export(what, log, "csv", output)
        header, *rows = csv.reader(io.StringIO(output.getvalue()))
        assert tuple(header) == columns
        assert len(rows) == count == len(exported(log, what))
