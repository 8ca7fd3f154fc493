"""A real trading session: the exchange must do, fill by fill, what the venue did."""

import os
from pathlib import Path

import pytest

from api.flow import run_flow
from api.flow_format import Steps
from tests.deployments import embedded

NAME = "esh4_20231225"
BOOK = "13d52fb921c9ff59551ada18b81e138c921961acb8f8c388b73b9af2061ba5b5"
"""Of the book that the venue's own records give."""

_REPOSITORY = Path(__file__).resolve().parents[2]
_DATA = Path(os.environ.get("FOLDEX_FLOW_DATA") or _REPOSITORY.parent / "shared" / "data")


@pytest.mark.skipif(
    not (_DATA / f"{NAME}.csv.gz").is_file(),
    reason="the recorded session is not here: name its folder in FOLDEX_FLOW_DATA",
)
def test_a_recorded_session_gives_the_venues_fills_candles_and_book(tmp_path: Path) -> None:
    report = run_flow(
        _DATA / f"{NAME}.csv.gz",
        embedded(tmp_path / "data"),
        Steps("0.01", "1"),
        candles=_DATA / f"{NAME}.candles_1m.csv",
    )
    assert report.first_mismatches == []
    assert (report.commands, report.trades, report.mismatches) == (55_639, 5_833, 0)
    assert (report.candles_compared, report.candle_mismatches) == (60, 0)
    assert report.book_sha256 == BOOK
