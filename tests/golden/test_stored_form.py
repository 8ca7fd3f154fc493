"""The stored form never changes: the committed bytes are decoded and, for events, encoded again."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final, get_args

import msgspec
import pytest
from eventsourcing.persistence import StoredEvent

from audit.replay import replay
from audit.verify import verify
from domain.events import AnyEvent, AssetListed, DepositReversed, Event, WriterStarted
from eventstore.codec import (
    CODEC,
    FORMAT_VERSION,
    TOPIC,
    UPCASTERS,
    BadRecord,
    Codec,
    Record,
    stored_name,
)
from eventstore.commit import GENESIS
from eventstore.errors import StoreTooNew
from eventstore.memory import open_memory
from eventstore.recovery import recover
from eventstore.store import Log, Store
from tests.golden.samples import SAMPLES

HERE: Final = Path(__file__).parent
LOGS: Final = {
    1: "85157b2755ddf48fe813c770112889e978de9cc802f920465c08cf6e36a0d87c",
    2: "d67956ed3faa5b79ed05af751ce28fcda66ae9522cc16e7801a8a6743415ac94",
}
"""The seal at the end of the log of each format: log_v1.hex, log_v2.hex."""
LOG_STATE: Final = "7a234f7bc0bf3664b1e53e73d3d0aa6fca7b5c89283e1faf0eb7e13c27aa774e"


def golden_events() -> dict[str, bytes]:
    """Return what each event is stored as today: the last of its lines."""
    return dict(golden_lines())


def golden_lines() -> list[tuple[str, bytes]]:
    """Return every form that events have had; a field appended since is missing in the older."""
    lines = (HERE / "events_v1.hex").read_text().splitlines()
    return [(name, bytes.fromhex(stored)) for name, stored in map(str.split, lines)]


def golden_records(log_format: int) -> list[str]:
    """Return the stored commits of a format's log, in hex."""
    return (HERE / f"log_v{log_format}.hex").read_text().splitlines()


@pytest.fixture(params=LOGS)
def log_format(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture
def golden_log(log_format: int) -> Iterator[Store]:
    with open_memory() as store:
        for number, line in enumerate(golden_records(log_format), 1):
            row = StoredEvent(store.log.stream, number, TOPIC, bytes.fromhex(line))
            store.log.recorder.insert_events([row])
        yield store


def test_every_event_has_a_sample_and_golden_bytes() -> None:
    assert [type(sample) for sample in SAMPLES] == list(get_args(AnyEvent))
    assert list(golden_events()) == [stored_name(type(sample)) for sample in SAMPLES]


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: type(sample).__name__)
def test_an_event_is_stored_as_it_always_was(sample: Event) -> None:
    assert msgspec.msgpack.encode(sample).hex() == golden_events()[stored_name(type(sample))].hex()


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: type(sample).__name__)
def test_golden_bytes_are_read_as_the_event_they_are(sample: Event) -> None:
    stored = golden_events()[stored_name(type(sample))]
    assert msgspec.msgpack.decode(stored, type=AnyEvent) == sample


def test_a_form_without_the_fields_appended_since_is_read_with_their_defaults() -> None:
    samples = {stored_name(type(sample)): sample for sample in SAMPLES}
    older = [line for line in golden_lines() if line[1] != golden_events()[line[0]]]
    assert [name for name, _ in older] == ["deposit_credited.v1"]
    for name, stored in older:
        expected = msgspec.structs.replace(samples[name], debt_repaid=0)
        assert msgspec.msgpack.decode(stored, type=AnyEvent) == expected


def test_the_golden_log_replays_to_the_state_it_always_had(
    golden_log: Store, log_format: int
) -> None:
    report = replay(golden_log)
    assert (report.position, report.state_hash) == (28, LOG_STATE)
    assert golden_log.log.head.seal.hex() == LOGS[log_format]


def test_a_log_of_an_older_format_is_continued_in_todays(golden_log: Store) -> None:
    golden_log.log.append([WriterStarted(1_800_000_000_000, "upgraded")], 1_800_000_000_000)
    rows = golden_log.log.recorder.select_events(golden_log.log.stream)
    assert CODEC.decode_record(rows[-1].state).format_version == FORMAT_VERSION
    assert verify(golden_log).problems == []
    assert replay(golden_log).position == 29


def test_the_golden_log_says_what_everybody_owned(golden_log: Store) -> None:
    accounts = recover(golden_log.log, None).exchange.accounts
    owned = {
        (name, asset): (balance.free, balance.held)
        for name, account in accounts.items()
        for asset, balance in account.balances.items()
    }
    assert owned == {
        ("alice", "BTC"): (299_700, 0),
        ("alice", "USDT"): (999_880_000_000, 0),
        ("bob", "BTC"): (9_999_700_000, 0),
        ("bob", "USDT"): (118_880_000, 0),
        ("fees", "BTC"): (300, 0),
        ("fees", "USDT"): (120_000, 0),
    }


def test_the_golden_log_holds_every_event_and_is_whole(golden_log: Store) -> None:
    kinds = {type(event) for commit in golden_log.log.read_all() for event in commit.events}
    assert kinds == set(get_args(AnyEvent)) - {DepositReversed}
    assert verify(golden_log).problems == []


class OldAssetListed(Event, frozen=True, gc=False, array_like=True, tag="old_asset_listed.v1"):
    """An old version, whose decimals were a string."""

    asset: str
    decimals: str


class MiddleAssetListed(Event, frozen=True, gc=False, array_like=True, tag="old_asset_listed.v2"):
    """The version between, whose decimals were an exponent."""

    asset: str
    exponent: int


def from_old(event: OldAssetListed) -> Event:
    return MiddleAssetListed(event.time_ms, event.asset, -int(event.decimals))


def from_middle(event: MiddleAssetListed) -> Event:
    return AssetListed(event.time_ms, event.asset, -event.exponent)


OLD_CODEC: Final = Codec({OldAssetListed: from_old, MiddleAssetListed: from_middle})
OLD_RECORD: Final = HERE / "record_with_old_event_v1.hex"


def test_an_old_version_is_made_into_todays_step_by_step() -> None:
    record = OLD_CODEC.decode_record(bytes.fromhex(OLD_RECORD.read_text().strip()))
    assert OLD_CODEC.decode_events(record) == [
        SAMPLES[0],
        SAMPLES[1],
        msgspec.structs.replace(SAMPLES[1], asset="ETH", decimals=18),
    ]


def test_a_log_with_an_old_version_reads_and_replays() -> None:
    with open_memory() as store:
        log = Log(store.log.recorder, codec=OLD_CODEC)
        log.append([OldAssetListed(1, "BTC", "8")], 1)
        assert recover(log, None).exchange.assets["BTC"].decimals == 8


def test_without_its_upcaster_an_event_is_called_too_new_not_damaged() -> None:
    record = CODEC.decode_record(bytes.fromhex(OLD_RECORD.read_text().strip()))
    with pytest.raises(StoreTooNew, match=r"old_asset_listed\.v1.*upgrade Foldex"):
        CODEC.decode_events(record)


def test_every_upcaster_of_the_product_has_golden_bytes() -> None:
    missing = {stored_name(old) for old in UPCASTERS} - set(golden_events())
    assert not missing, f"add the old versions' bytes to events_v1.hex: {missing}"


@pytest.mark.parametrize(
    ("number", "why"),
    [(0, "there never was a format 0"), (1, "cannot be decompressed"), (2, "cannot be decompr")],
)
def test_content_that_is_not_of_its_records_format_is_damage(number: int, why: str) -> None:
    record = Record(number, 1, 1, 1, bytes(32), b"neither zlib nor LZ4", bytes(32))
    with pytest.raises(BadRecord, match=why):
        CODEC.decode_events(record)


def test_todays_format_has_a_golden_log() -> None:
    assert max(LOGS) == FORMAT_VERSION


def test_the_first_commit_follows_the_genesis_seal(log_format: int) -> None:
    first = CODEC.decode_record(bytes.fromhex(golden_records(log_format)[0]))
    assert (first.format_version, first.number, first.first_position) == (log_format, 1, 1)
    assert first.previous_seal == GENESIS.seal == bytes(32)
