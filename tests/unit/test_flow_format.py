"""The flow file: what is taken, and what is refused with the line that is wrong."""

import gzip
from pathlib import Path

import pytest

from api.flow_format import COLUMNS, Fill, FlowError, Steps, read_flow

STEPS = Steps("0.25", "1")
HEADER = ",".join(COLUMNS)


def flow(tmp_path: Path, *lines: str) -> Path:
    path = tmp_path / "flow.csv"
    path.write_text("\n".join((HEADER, *lines)) + "\n", encoding="utf-8")
    return path


def test_prices_become_ticks_quantities_lots_and_times_milliseconds(tmp_path: Path) -> None:
    path = flow(
        tmp_path, '1,1999999,place,a7,buy,10.50,3,GTC,"[[5,""10.25"",2],[""b"",""10.50"",1]]"'
    )
    (line,) = read_flow(path, STEPS)
    assert (line.time_ms, line.command, line.order_id) == (1, "place", "a7")
    assert (line.price_ticks, line.quantity_lots, line.time_in_force) == (42, 3, "gtc")
    assert line.expect == (Fill("5", 41, 2), Fill("b", 42, 1))


def test_a_packed_file_is_read_like_a_plain_one(tmp_path: Path) -> None:
    plain = flow(tmp_path, "1,0,cancel,7,,,,,", "2,0,reduce,8,,,2,,")
    packed = tmp_path / "flow.bin"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    assert list(read_flow(packed, STEPS)) == list(read_flow(plain, STEPS))


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("1,0,place,7,buy,10.50,3,GTC", "8 columns"),
        ("1,0,swap,7,buy,10.50,3,GTC,", "unknown command"),
        ("1,0,place,,buy,10.50,3,GTC,", "order_id"),
        ("1,-4,place,7,buy,10.50,3,GTC,", "ts_ns"),
        ("1,0,place,7,bid,10.50,3,GTC,", "side"),
        ("1,0,place,7,buy,10.50,3,GTD,", "tif"),
        ("1,0,place,7,buy,10.30,3,GTC,", "price: must be a multiple"),
        ("1,0,place,7,buy,NaN,3,GTC,", "price: 'NaN'"),
        ("1,0,place,7,buy,10.50,0,GTC,", "quantity: must be greater"),
        ("1,0,place,7,buy,10.50,1,GTC,[7]", "expect"),
        ("1,0,place,7,buy,10.50,1,GTC,{", "line 2"),
    ],
)
def test_a_bad_line_is_named_with_its_reason(tmp_path: Path, line: str, reason: str) -> None:
    with pytest.raises(FlowError, match="line 2") as caught:
        list(read_flow(flow(tmp_path, line), STEPS))
    assert reason in str(caught.value)


def test_another_header_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.csv"
    path.write_text("time,price\n1,2\n", encoding="utf-8")
    with pytest.raises(FlowError, match="first line must be"):
        list(read_flow(path, STEPS))


def test_a_truncated_packed_file_is_refused(tmp_path: Path) -> None:
    packed = tmp_path / "flow.csv.gz"
    packed.write_bytes(gzip.compress(flow(tmp_path, "1,0,cancel,7,,,,,").read_bytes())[:-12])
    with pytest.raises(FlowError):
        list(read_flow(packed, STEPS))
