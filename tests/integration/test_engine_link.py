"""The engine reached over TCP: the same answers as beside it, and nothing lost in silence."""

import asyncio
import hashlib
import socket
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import msgspec
import pytest
import uvloop

from api import engine_client, engine_link, engine_server
from api.engine_client import EngineClient, addresses_of
from api.engine_link import LINK_VERSION, Challenge, FromClient, FromServer, Hello
from api.engine_questions import (
    AnyQuestion,
    AssetFacts,
    FindAnswers,
    FindAsset,
    FindMarkets,
    FindOpenOrder,
    KeyAnswers,
    MarketFacts,
)
from api.engine_server import EngineServer
from api.engine_tls import LinkTls
from api.problems import NotReady, SignatureReplayed
from commands.command import Command
from commands.engine import EngineLimits
from commands.errors import EngineStopped, OutcomeUnknown, Overloaded
from commands.receipt import Receipt
from commands.registry import COMMANDS
from domain.errors import InsufficientFunds
from tests.certificates import Authority
from tests.engine_world import TOKEN, WAIT_S, Setting, order, run
from tests.given import MARKET, NOW_MS
from tests.waiting import until_async

LINK_SHA256 = "45b2b3e09f2dbada697085d06f9c251291d7c5a97aec470632ab6578e059140e"
"""Of what goes over the link. When it changes, raise LINK_VERSION and note the new one here."""


@pytest.fixture(scope="module")
def certified(tmp_path_factory: pytest.TempPathFactory) -> LinkTls:
    """What both sides show each other where the link is TLS."""
    directory = tmp_path_factory.mktemp("tls")
    authority = Authority.make(directory)
    key, certificate = authority.issue(directory)
    return LinkTls(authority.certificate, certificate, key)


@pytest.fixture(autouse=True, params=["plain", "tls"])
def way(request: pytest.FixtureRequest, certified: LinkTls) -> Iterator[str]:
    """Run every test twice: nothing may depend on what the link goes through."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Setting, "tls", certified if request.param == "tls" else None)
        yield str(request.param)


def test_commands_get_receipts_and_refusals_in_their_order() -> None:
    async def test(setting: Setting, server: EngineServer, client: EngineClient) -> None:
        result = await setting.submit(client, order(), order(lots=10**9), order())
        assert isinstance(result, list)
        first, refused, second = result
        assert isinstance(first, Receipt)
        assert first.status == "open"
        assert isinstance(refused, InsufficientFunds)
        assert isinstance(second, Receipt)
        assert second.order_id == first.order_id + 1
        await until_async(lambda: client.position == setting.engine.exchange.position)

    run(test)


def test_every_kind_of_command_arrives_as_it_was_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    sent = [
        kind(**{
            field.name: _example(field) for field in msgspec.structs.fields(kind) if field.required
        })
        for kind in COMMANDS
    ]  # fmt: skip

    async def test(setting: Setting, server: EngineServer, client: EngineClient) -> None:
        seen: list[Command] = []
        submit = setting.engine.submit

        def note(commands: Any, done: Any) -> None:
            seen.extend(commands)
            submit(commands, done)

        monkeypatch.setattr(setting.engine, "submit", note)
        await setting.submit(client, *sent)
        # The engine's clock counts, whatever the sender's says.
        assert seen == [msgspec.structs.replace(each, time_ms=NOW_MS) for each in sent]

    run(test)


def _example(field: msgspec.structs.FieldInfo) -> Any:
    if field.type is int:
        return 7
    literal = getattr(field.type, "__args__", None)
    return literal[0] if literal else "BTC-USDT"


def test_questions_are_answered_as_beside_the_engine() -> None:
    async def test(setting: Setting, server: EngineServer, client: EngineClient) -> None:
        keyed = order(scope="alice", idempotency_key="k", client_order_id="mine")
        await setting.submit(client, keyed, key="k")
        batch = [order(scope="alice", idempotency_key=f"b/{n}") for n in (0, 2)]
        await setting.submit(client, *batch, key="b")
        assert await client.ask(FindMarkets(["NO-SUCH", MARKET])) == [
            MarketFacts(symbol=MARKET, base_asset="BTC", quote_asset="USDT", tick_size="0.01",
                        lot_size="0.001", quote_decimals=8)
        ]  # fmt: skip
        assert await client.ask(FindAsset("BTC")) == AssetFacts("BTC", 8)
        assert await client.ask(FindAsset("XXX")) is None
        assert await client.ask(FindOpenOrder("alice", 0, "mine")) == MARKET
        assert await client.ask(FindOpenOrder("bob", 0, "mine")) == ""
        assert await client.ask(FindOpenOrder("nobody", 1, "")) == ""
        found = await client.ask(FindAnswers("alice", "k"))
        assert [answer.key for answer in found.found] == ["k"]
        assert [each.key for each in (await client.ask(FindAnswers("alice", "b"))).found] == [
            "b/0", "b/2",
        ]  # fmt: skip
        questions: list[AnyQuestion] = [
            FindMarkets([MARKET]), FindAsset("BTC"), FindAnswers("alice", "k"),
            FindAnswers("alice", "b"), FindAnswers("alice", "x"), FindOpenOrder("alice", 1, ""),
        ]  # fmt: skip
        for question in questions:
            assert await client.ask(question) == await server.engine.ask(question)

    run(test)


def test_a_command_under_way_is_pending_for_every_client(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(setting: Setting, server: EngineServer, client: EngineClient) -> None:
        held: list[Any] = []
        submit = setting.engine.submit
        monkeypatch.setattr(setting.engine, "submit", lambda *given: held.append(given))
        command = order(scope="alice", idempotency_key="k")
        answered = client.submit([command], key="k", signature=setting.signature())
        async with setting.client() as other:
            await until_async(lambda: other.ready and bool(held))
            assert (await other.ask(FindAnswers("alice", "k"))).pending
            submit(*held[0])
            await answered
            found = await other.ask(FindAnswers("alice", "k"))
        assert not found.pending
        assert len(found.found) == 1

    run(test)


def test_a_signature_works_once_whichever_client_brings_it() -> None:
    async def test(setting: Setting, server: EngineServer, client: EngineClient) -> None:
        signature = setting.signature()
        async with setting.client() as other:
            await until_async(lambda: other.ready)
            results = await asyncio.gather(
                *(port.submit([order()], key="", signature=signature)
                  for port in (client, other, client, server.engine)),
                return_exceptions=True,
            )  # fmt: skip
        taken = [each for each in results if isinstance(each, list)]
        assert len(taken) == 1
        assert sum(isinstance(each, SignatureReplayed) for each in results) == 3

    run(test)


def test_a_full_queue_refuses_and_what_was_refused_may_be_sent_again() -> None:
    async def test(setting: Setting, server: EngineServer, client: EngineClient) -> None:
        signature = setting.signature()
        commands = [order() for _ in range(3)]
        for _ in range(2):
            result = await client.submit(commands, key="", signature=signature)
            assert isinstance(result, Overloaded)
        assert isinstance(await client.submit(commands[:1], key="", signature=signature), list)

    run(test, limits=EngineLimits(queued_commands=2))


def test_many_requests_on_one_connection_are_each_answered_in_order() -> None:
    async def test(setting: Setting, server: EngineServer, client: EngineClient) -> None:
        results = await asyncio.gather(*(setting.submit(client, order()) for _ in range(500)))
        ids = [result[0].order_id for result in results]  # type: ignore[index, union-attr]
        assert ids == sorted(ids)
        assert len(set(ids)) == 500

    run(test)


def test_an_engine_that_stopped_says_so() -> None:
    async def test(setting: Setting, server: EngineServer, client: EngineClient) -> None:
        setting.engine.stop()
        assert isinstance(await setting.submit(client, order()), EngineStopped)
        await until_async(lambda: not client.ready)

    run(test)


def test_a_lost_connection_makes_outcomes_unknown_and_is_made_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def test(setting: Setting, server: EngineServer, client: EngineClient) -> None:
        held: list[Any] = []
        submit = setting.engine.submit
        monkeypatch.setattr(setting.engine, "submit", lambda *given: held.append(given))
        command = order(scope="alice", idempotency_key="k")
        answered = client.submit([command], key="k", signature=setting.signature())
        assert (await client.ask(FindAnswers("alice", "k"))).pending
        assert held
        await server.stop()
        assert isinstance(await asyncio.wait_for(answered, WAIT_S), OutcomeUnknown)
        await until_async(lambda: not client.ready)
        with pytest.raises(NotReady):
            client.submit([command], key="k", signature=setting.signature())
        with pytest.raises(NotReady):
            await client.ask(FindAsset("BTC"))
        submit(*held[0])
        monkeypatch.undo()
        async with setting.serving(setting.port):
            await until_async(lambda: client.ready)
            [repeated] = await setting.submit(client, command, key="k")  # type: ignore[misc]
            assert isinstance(repeated, Receipt)
            assert repeated.repeated

    run(test)


def test_a_silent_engine_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_client, "SILENCE_S_MAX", 0.3)

    async def test(setting: Setting, server: EngineServer, client: EngineClient) -> None:
        assert server._beats is not None
        server._beats.cancel()
        await until_async(lambda: not client.ready)
        # It comes back: the greeting says that the engine is ready, and then there is silence.
        await until_async(lambda: client.ready)

    run(test)


def test_a_client_that_cannot_connect_any_more_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(setting: Setting, server: EngineServer, client: EngineClient) -> None:
        assert client.failed is None
        monkeypatch.setattr(client, "_use", lambda host, port: 1 / 0)
        await server.stop()
        await until_async(lambda: client.failed is not None)
        assert isinstance(client.failed, ZeroDivisionError)

    run(test)


def test_the_wrong_token_is_refused_and_the_right_one_is_never_sent(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def test(setting: Setting, server: EngineServer, client: EngineClient) -> None:
        async with setting.client(token="another token") as stranger:
            await until_async(lambda: "the token is not the engine's" in caplog.text)
            assert not stranger.ready
            with pytest.raises(NotReady):
                await stranger.ask(FindAsset("BTC"))
        assert client.ready
        assert TOKEN not in caplog.text

    run(test)


def test_a_false_engine_is_not_talked_to(caplog: pytest.LogCaptureFixture) -> None:
    async def false_engine(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        _send(writer, Challenge(LINK_VERSION, b"n" * 32))
        await _read(reader)
        _send(writer, engine_link.Welcome(b"p" * 32))
        await reader.read()
        writer.close()

    async def body() -> None:
        tls = Setting.tls
        context = None if tls is None else tls.server_context()
        listening = await asyncio.start_server(false_engine, "127.0.0.1", 0, ssl=context)
        client = EngineClient([listening.sockets[0].getsockname()[:2]], TOKEN, tls)
        await client.open()
        await until_async(lambda: "it does not know the token" in caplog.text)
        assert not client.ready
        await client.close()
        listening.close()

    uvloop.run(body())


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\xff\xff\xff\xff",
        b"\x00\x00\x00\x01\x00",
        b"\x00\x00\x04\x01" + b"\x00" * 1025,
    ],
    ids=["http", "huge", "garbage", "more than a greeting"],
)
def test_a_stranger_s_bytes_end_its_connection_only(sent: bytes) -> None:
    async def test(setting: Setting, server: EngineServer, client: EngineClient) -> None:
        async with setting.stranger() as (reader, writer):
            writer.write(sent)
            await _read(reader)
            assert await reader.read() == b""
        assert isinstance(await setting.submit(client, order()), list)
        assert len(server.sessions) == 1

    run(test)


def test_a_connection_that_does_not_greet_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_server, "GREETING_S_MAX", 0.1)

    async def test(setting: Setting, server: EngineServer, client: EngineClient) -> None:
        said = b""
        while not said:
            # Ended before the handshake of TLS is done, as may be after a stall, it hears nothing.
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                async with setting.stranger() as (reader, _):
                    await _read(reader)
                    said = await reader.read()
        assert b"no greeting" in said

    run(test)


def test_another_version_is_refused_by_its_number() -> None:
    async def test(setting: Setting, server: EngineServer, client: EngineClient) -> None:
        async with setting.stranger() as (reader, writer):
            await _read(reader)
            _send(writer, Hello(LINK_VERSION + 1, b"", b""))
            assert f"version {LINK_VERSION + 1} of the link".encode() in await reader.read()

    run(test)


def test_too_many_connections_are_refused(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(engine_server, "SESSIONS_MAX", 1)

    async def test(setting: Setting, server: EngineServer, client: EngineClient) -> None:
        # Before a handshake nothing can be said in TLS: there the connection only ends.
        with suppress(ConnectionError):
            async with setting.stranger() as (reader, _):
                assert b"connections are open already" in await reader.read()
        await until_async(lambda: "1 connections are open already" in caplog.text)
        assert client.ready

    run(test)


def test_an_engine_that_stands_by_is_found_when_the_first_is_gone() -> None:
    async def body() -> None:
        setting = Setting()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            closed = probe.getsockname()[:2]
            with setting.engine:
                async with setting.serving():
                    places = [closed, ("127.0.0.1", setting.port)]
                    client = EngineClient(places, TOKEN, setting.tls)
                    await client.open()
                    await until_async(lambda: client.ready)
                    await client.close()

    uvloop.run(body())


def test_addresses_are_read_with_names_and_numbers() -> None:
    assert addresses_of("engine:7420, [::1]:1") == [("engine", 7420), ("::1", 1)]


def test_what_goes_over_the_link_has_not_changed_without_a_new_version() -> None:
    shapes = [FromClient, FromServer, Hello, Challenge, MarketFacts, AssetFacts, KeyAnswers]
    described = msgspec.json.schema_components([*shapes, *COMMANDS])
    text = msgspec.json.encode(_without_words(described), order="sorted")
    assert (LINK_VERSION, hashlib.sha256(text).hexdigest()) == (1, LINK_SHA256)


def _without_words(schema: Any) -> Any:
    if isinstance(schema, dict):
        return {
            name: _without_words(each) for name, each in schema.items() if name != "description"
        }
    return [_without_words(each) for each in schema] if isinstance(schema, list | tuple) else schema


def _send(writer: asyncio.StreamWriter, frame: Any) -> None:
    content = msgspec.msgpack.encode(frame)
    writer.write(len(content).to_bytes(4, "big") + content)


async def _read(reader: asyncio.StreamReader) -> bytes:
    return await reader.readexactly(int.from_bytes(await reader.readexactly(4), "big"))
