"""What is published of an event says all of it, and is read back only if it is what was written."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from domain.events import DepositCredited, stream_of
from eventstore.messages import (
    BadMessage,
    decode_event,
    encode_event,
    number_in,
    partition_of,
)
from tests.golden.samples import SAMPLES

DEPOSIT = DepositCredited(1_700_000_000_000, "alice", "ETH", 2**60 + 1, "eth:0xabc:0")


def test_every_event_is_read_back_as_it_was() -> None:
    for position, event in enumerate(SAMPLES, start=1):
        recorded = decode_event(encode_event(position, stream_of(event), event))

        assert recorded == (position, event)


def test_a_message_says_its_event_as_json() -> None:
    assert msgspec.json.decode(encode_event(7, "account:alice", DEPOSIT)) == {
        "position": 7,
        "time_ms": 1_700_000_000_000,
        "stream": "account:alice",
        "type": "deposit_credited.v1",
        "data": {
            "time_ms": 1_700_000_000_000,
            "account": "alice",
            "asset": "ETH",
            "amount": 1_152_921_504_606_846_977,
            "deposit_id": "eth:0xabc:0",
            "debt_repaid": 0,
        },
    }


def altered(change: Callable[[dict[str, Any]], object]) -> bytes:
    """Return a good message with a change made to its JSON."""
    message = msgspec.json.decode(encode_event(7, "account:alice", DEPOSIT))
    change(message)
    return msgspec.json.encode(message)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"", "not an event's message"),
        (None, "not an event's message"),
        (b"{", "not an event's message"),
        (b"[1]", "not an event's message"),
        (altered(lambda m: m.pop("position")), "not an event's message"),
        (altered(lambda m: m.update(more=1)), "not an event's message"),
        (altered(lambda m: m.update(type="deposit_credited.v9")), "knows no event"),
        (altered(lambda m: m["data"].update(memo="x")), "not as this version knows it"),
        (altered(lambda m: m["data"].update(amount="1")), "not as this version knows it"),
        (altered(lambda m: m["data"].pop("amount")), "not as this version knows it"),
        (altered(lambda m: m.update(stream="account:bob")), "does not agree"),
        (altered(lambda m: m.update(time_ms=1)), "does not agree"),
    ],
)
def test_anything_else_is_refused(value: bytes | None, reason: str) -> None:
    with pytest.raises(BadMessage, match=reason):
        decode_event(value)


@pytest.mark.parametrize("digits", [b"", b"-1", b"+1", b"1.0", b"x", "\u0661".encode()])
def test_a_header_that_is_no_number_is_refused(digits: bytes) -> None:
    with pytest.raises(BadMessage):
        number_in({"position": digits}, "position")


def test_a_field_that_was_added_later_has_its_default_in_an_older_message() -> None:
    order = next(event for event in SAMPLES if type(event).__name__ == "OrderPlaced")
    message = msgspec.json.decode(encode_event(1, stream_of(order), order))
    del message["data"]["filled_quote"]

    assert getattr(decode_event(msgspec.json.encode(message)).event, "filled_quote") == 0  # noqa: B009


def test_a_stream_goes_where_the_clients_of_other_languages_put_it() -> None:
    """The numbers are those of org.apache.kafka.common.utils.Utils.murmur2 for these keys."""
    assert partition_of("21", 2**31) == (-973932308 & 0x7FFFFFFF)
    assert partition_of("foobar", 2**31) == (-790332482 & 0x7FFFFFFF)
    assert partition_of("a-little-bit-long-string", 2**31) == (-985981536 & 0x7FFFFFFF)
