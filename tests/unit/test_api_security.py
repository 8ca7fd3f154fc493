"""A signature is over the bytes received, holds for a while, and lets a command through once."""

import pytest

from api import signatures
from api.keys import Key
from api.problems import (
    BadSignature,
    SignatureMissing,
    SignatureReplayed,
    TimestampFuture,
    TimestampStale,
    TooManySignatures,
    UnknownKey,
    WrongScope,
)
from api.security import (
    SIGNATURE_HEADER,
    TIMESTAMP_HEADER,
    WINDOW_HEADER,
    SignedRequest,
    Verifier,
    sign_headers,
)
from api.signatures import Signature, SignatureMemory

NOW_MS = 1_700_000_000_000
SECRET = b"fdxs_planted"
KEY = Key("fdxk_1", "alice", frozenset({"trade"}), "", SECRET)
TRADE = frozenset({"trade"})
ODD_BODY = b'{ "price":1005.0 ,\t"quantity" : "1.50"\r\n}'


class Setting:
    """A verifier and the memory of commands, with a clock that a test moves."""

    def __init__(self) -> None:
        self.now_ms = NOW_MS
        self.verifier = Verifier({KEY.key_id: KEY}.get, lambda: self.now_ms)
        self.memory = SignatureMemory(lambda: self.now_ms, lambda: NOW_MS)

    def verify(self, request: SignedRequest, *, command: bool = True) -> Key:
        caller = self.verifier.verify(request, TRADE)
        if command:
            self.memory.require_new(caller.signature)
            self.memory.remember(caller.signature)
        return caller.key


def signed(
    *,
    body: bytes = ODD_BODY,
    path: bytes = b"/v1/orders",
    query: bytes = b"a=%20&b",
    timestamp_ms: int = NOW_MS,
    window_ms: int = 5_000,
    key_id: str = KEY.key_id,
) -> SignedRequest:
    headers = sign_headers(
        key_id,
        SECRET,
        timestamp_ms=timestamp_ms,
        window_ms=window_ms,
        method="POST",
        path=path,
        query=query,
        body=body,
    )
    return SignedRequest(method="POST", path=path, query=query, body=body, headers=headers)


def changed(request: SignedRequest, **changes: object) -> SignedRequest:
    parts = {
        name: getattr(request, name) for name in ("method", "path", "query", "body", "headers")
    }
    return SignedRequest(**{**parts, **changes})


def test_odd_json_verifies_byte_for_byte() -> None:
    assert Setting().verify(signed()) is KEY


@pytest.mark.parametrize("position", range(len(ODD_BODY)))
def test_one_changed_byte_of_the_body_fails(position: int) -> None:
    body = bytearray(ODD_BODY)
    body[position] ^= 1
    with pytest.raises(BadSignature):
        Setting().verify(changed(signed(), body=bytes(body)))


@pytest.mark.parametrize(
    "change",
    [
        {"body": b'{"price":1005.0,"quantity":"1.50"}'},
        {"body": ODD_BODY + b"\n"},
        {"path": b"/v1/orders/batch"},
        {"path": b"/v1/%6frders"},
        {"query": b"a=+&b"},
        {"query": b"b&a=%20"},
        {"query": b""},
        {"method": "PATCH"},
    ],
)
def test_every_other_part_is_signed(change: dict[str, object]) -> None:
    with pytest.raises(BadSignature):
        Setting().verify(changed(signed(), **change))


@pytest.mark.parametrize(
    ("header", "value"), [(TIMESTAMP_HEADER, str(NOW_MS + 1)), (WINDOW_HEADER, "60000")]
)
def test_timestamp_and_window_are_signed(header: str, value: str) -> None:
    request = signed()
    with pytest.raises(BadSignature):
        Setting().verify(changed(request, headers={**request.headers, header: value}))


def test_the_window_is_5000_ms_when_none_is_sent() -> None:
    request = signed()
    headers = {name: value for name, value in request.headers.items() if name != WINDOW_HEADER}
    assert Setting().verify(changed(request, headers=headers)) is KEY


@pytest.mark.parametrize("late_ms", [5_001, 10**9])
def test_an_old_request_is_stale(late_ms: int) -> None:
    setting = Setting()
    setting.now_ms += late_ms
    with pytest.raises(TimestampStale):
        setting.verify(signed())


def test_a_request_is_fresh_up_to_its_window() -> None:
    setting = Setting()
    setting.now_ms += 60_000
    assert setting.verify(signed(window_ms=60_000)) is KEY


def test_a_request_from_the_future_is_refused() -> None:
    assert Setting().verify(signed(timestamp_ms=NOW_MS + 1_000)) is KEY
    with pytest.raises(TimestampFuture):
        Setting().verify(signed(timestamp_ms=NOW_MS + 1_001))


def test_a_command_is_taken_once() -> None:
    setting = Setting()
    request = signed()
    setting.verify(request)
    with pytest.raises(SignatureReplayed):
        setting.verify(request)


def test_a_signature_in_capitals_is_the_same_signature() -> None:
    setting = Setting()
    request = signed()
    setting.verify(request)
    loud = {**request.headers, SIGNATURE_HEADER: request.headers[SIGNATURE_HEADER].upper()}
    with pytest.raises(SignatureReplayed):
        setting.verify(changed(request, headers=loud))


@pytest.mark.parametrize("after_ms", [0, 61_000, 61_002])
def test_a_command_is_remembered_as_long_as_it_is_fresh(after_ms: int) -> None:
    setting = Setting()
    setting.now_ms += 500
    setting.verify(signed(timestamp_ms=NOW_MS + 1_500, window_ms=60_000))
    setting.now_ms = NOW_MS + after_ms
    setting.verify(signed(timestamp_ms=setting.now_ms, body=b"another"))
    setting.now_ms = max(setting.now_ms, NOW_MS + 500)
    expected = SignatureReplayed if setting.now_ms <= NOW_MS + 61_500 else TimestampStale
    with pytest.raises(expected):
        setting.verify(signed(timestamp_ms=NOW_MS + 1_500, window_ms=60_000))


def test_a_query_may_be_sent_again() -> None:
    setting = Setting()
    request = signed()
    setting.verify(request, command=False)
    assert setting.verify(request, command=False) is KEY


def test_a_command_signed_before_the_start_could_be_a_replay_and_is_refused() -> None:
    with pytest.raises(TimestampStale):
        Setting().verify(signed(timestamp_ms=NOW_MS - 1))
    assert Setting().verify(signed(timestamp_ms=NOW_MS - 1), command=False) is KEY


def test_an_unknown_key_is_refused() -> None:
    with pytest.raises(UnknownKey):
        Setting().verify(signed(key_id="fdxk_2"))


def test_a_scope_that_the_key_lacks_is_refused() -> None:
    with pytest.raises(WrongScope):
        Setting().verifier.verify(signed(), frozenset({"withdraw"}))


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("X-Foldex-Key", ""),
        (TIMESTAMP_HEADER, ""),
        (TIMESTAMP_HEADER, "now"),
        (TIMESTAMP_HEADER, "-1"),
        (TIMESTAMP_HEADER, "1e12"),
        (TIMESTAMP_HEADER, "١٢"),
        (TIMESTAMP_HEADER, "9" * 16),
        (WINDOW_HEADER, "60001"),
        (WINDOW_HEADER, "-1"),
        (WINDOW_HEADER, ""),
        (SIGNATURE_HEADER, ""),
        (SIGNATURE_HEADER, "ab"),
        (SIGNATURE_HEADER, "z" * 64),
        (SIGNATURE_HEADER, " " + "a" * 63),
    ],
)
def test_a_malformed_header_is_refused(header: str, value: str) -> None:
    request = signed()
    with pytest.raises(SignatureMissing):
        Setting().verify(changed(request, headers={**request.headers, header: value}))


def test_the_memory_forgets_no_signature_that_it_would_take(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(signatures, "REMEMBERED_MAX", 200)
    now_ms = NOW_MS
    memory = SignatureMemory(lambda: now_ms, lambda: NOW_MS)
    taken: list[Signature] = []
    for step in range(400):
        now_ms += 997
        new = Signature(step.to_bytes(32), now_ms - step * 37 % 60_000)
        if new.signed_ms >= NOW_MS:
            memory.require_new(new)
            memory.remember(new)
            taken.append(new)
        for each in taken:
            with pytest.raises((SignatureReplayed, TimestampStale)):
                memory.require_new(each)


def test_more_commands_than_can_be_remembered_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signatures, "REMEMBERED_MAX", 2)
    memory = SignatureMemory(lambda: NOW_MS, lambda: NOW_MS)
    for number in range(2):
        memory.remember(Signature(bytes([number]), NOW_MS))
    with pytest.raises(TooManySignatures):
        memory.require_new(Signature(b"one more", NOW_MS))


def test_a_signature_far_from_the_engine_s_time_is_refused() -> None:
    setting = Setting()
    with pytest.raises(TimestampFuture):
        setting.memory.require_new(Signature(b"", NOW_MS + 6_001))
    setting.now_ms += 65_001
    with pytest.raises(TimestampStale):
        setting.memory.require_new(Signature(b"", NOW_MS))
