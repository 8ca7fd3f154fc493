"""The link in TLS: who has no certificate of ours is not talked to, and a failover goes on."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import uvloop

from api import engine_client
from api.clock import system_clock_ms
from api.custody_link import RemoteEngine
from api.engine_client import EngineClient
from api.engine_local import LocalEngine
from api.engine_questions import AssetFacts, FindAsset
from api.engine_server import EngineServer
from api.engine_tls import LinkTls, ServerTls
from commands.engine import Engine
from commands.receipt import Receipt
from eventstore.memory import open_memory
from tests.certificates import Authority
from tests.given import OPENING, place
from tests.processes import Process, SigningClient, foldex, free_port
from tests.waiting import until, until_async

TOKEN = "t" * 32
WAIT_S = 10.0


class Files:
    """An authority, and what it issued to the engine and to the API processes."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(exist_ok=True)
        self.directory = directory
        self.authority = Authority.make(directory)
        self.engine = self.issue("engine")
        self.api = self.issue("api")

    def issue(self, name: str, host: str = "127.0.0.1", **more: Any) -> LinkTls:
        key, certificate = self.authority.issue(self.directory / name, host, **more)
        return LinkTls(self.authority.certificate, certificate, key)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


@asynccontextmanager
async def serving(tls: LinkTls | None) -> AsyncIterator[tuple[str, int]]:
    """Serve an engine with traders; give its address."""
    store = open_memory()
    with Engine(store.log, store.snapshots, clock_ms=system_clock_ms, writer="test") as engine:
        for command in OPENING:
            engine.execute(command)
        server = EngineServer(
            LocalEngine(engine, system_clock_ms), TOKEN, None if tls is None else ServerTls(tls)
        )
        port = await server.start("127.0.0.1", 0)
        try:
            yield "127.0.0.1", port
        finally:
            await server.stop()


async def let_in(address: tuple[str, int], tls: LinkTls | None) -> str:
    """Connect; return "" when let in, else what the client complains of."""
    client = EngineClient([address], TOKEN, tls)
    await client.open()
    try:
        await until_async(lambda: client.ready or client.complaint)
        return client.complaint
    finally:
        await client.close()


def complaint_between(engine: LinkTls | None, api: LinkTls | None) -> str:
    async def body() -> str:
        async with serving(engine) as address:
            return await let_in(address, api)

    return uvloop.run(body())


# Who is let in.


def test_both_sides_know_each_other_and_the_log_says_whom(
    files: Files, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    assert complaint_between(files.engine, files.api) == ""
    assert "(127.0.0.1) is connected" in caplog.text


def test_a_plain_client_is_not_let_in_and_guesses_why(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_client, "GREETING_S_MAX", 0.3)
    said = complaint_between(files.engine, None)
    assert "no greeting came in time; does it wait for TLS?" in said


def test_a_client_in_tls_sends_nothing_to_a_plain_engine(
    files: Files, caplog: pytest.LogCaptureFixture
) -> None:
    assert "it does not speak TLS" in complaint_between(None, files.api)
    assert "it begins TLS, and this side is not set to" in caplog.text


def test_an_engine_of_another_authority_is_not_talked_to(files: Files, tmp_path: Path) -> None:
    stranger = Files(tmp_path / "stranger").engine
    engine = replace(stranger, authority=files.authority.certificate)
    said = complaint_between(engine, files.api)
    assert "its certificate is refused: unable to get local issuer certificate" in said


def test_an_engine_that_is_not_who_its_address_names_is_not_talked_to(files: Files) -> None:
    said = complaint_between(files.issue("other", "engine.example"), files.api)
    assert "IP address mismatch" in said


def test_an_api_process_of_another_authority_is_refused_and_told_so(
    files: Files, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    stranger = Files(tmp_path / "stranger").api
    said = complaint_between(files.engine, replace(stranger, authority=files.authority.certificate))
    assert "it refuses our certificate or TLS 1.3 (TLSV1_ALERT_UNKNOWN_CA)" in said
    assert "its certificate is refused: unable to get local issuer certificate" in caplog.text


def test_expired_certificates_are_refused_on_both_sides(
    files: Files, caplog: pytest.LogCaptureFixture
) -> None:
    old = files.issue("old", days_valid=-1)
    assert "its certificate is refused: certificate has expired" in complaint_between(
        old, files.api
    )
    caplog.clear()
    assert "SSLV3_ALERT_CERTIFICATE_EXPIRED" in complaint_between(files.engine, old)
    assert "its certificate is refused: certificate has expired" in caplog.text


@pytest.mark.parametrize("lacks", ["certificate", "TLS 1.3"])
def test_a_stranger_without_a_certificate_or_with_an_older_tls_is_refused(
    files: Files, lacks: str
) -> None:
    context = ssl.create_default_context(cafile=files.authority.certificate)
    if lacks == "TLS 1.3":
        context.load_cert_chain(files.api.certificate, files.api.key)
        context.maximum_version = ssl.TLSVersion.TLSv1_2

    async def body() -> bytes:
        async with serving(files.engine) as address:
            reader, writer = await asyncio.open_connection(*address, ssl=context)
            try:
                return await asyncio.wait_for(reader.read(), WAIT_S)
            finally:
                writer.close()

    with pytest.raises(ssl.SSLError, match="ALERT"):
        uvloop.run(body())


@pytest.mark.parametrize("greeted", [False, True])
def test_bytes_that_are_no_tls_end_their_connection_only(
    files: Files, caplog: pytest.LogCaptureFixture, *, greeted: bool
) -> None:
    async def body() -> None:
        async with serving(files.engine) as address:
            client = EngineClient([address], TOKEN, files.api)
            await client.open()
            await until_async(lambda: client.ready)
            first = client._connection
            if greeted:
                assert first is not None
                transport = first._frames._transport
            else:
                transport, _ = await asyncio.get_running_loop().create_connection(
                    asyncio.Protocol, *address
                )
            assert transport is not None
            transport.write(b"GET / HTTP/1.1\r\n\r\n")
            await until_async(lambda: "a connection of an API process ended" in caplog.text)
            # The client learns a moment later that it was its own connection.
            await until_async(lambda: client.ready and (client._connection is first) != greeted)
            assert await client.ask(FindAsset("BTC")) == AssetFacts("BTC", 8)
            await client.close()
            transport.close()

    uvloop.run(body())


def test_a_renewed_certificate_counts_from_the_next_connection_on(
    files: Files, caplog: pytest.LogCaptureFixture
) -> None:
    async def body() -> None:
        async with serving(files.engine) as address:
            assert await let_in(address, files.api) == ""
            files.issue("engine", "engine.example")
            assert "IP address mismatch" in await let_in(address, files.api)
            files.issue("engine")
            assert await let_in(address, files.api) == ""
            files.engine.certificate.write_text("half of a")
            assert await let_in(address, files.api) == ""

    uvloop.run(body())
    assert "TLS goes on with the files as they were: FOLDEX_ENGINE_CERTIFICATE" in caplog.text


def test_a_file_that_goes_away_while_it_is_read_keeps_nobody_out(
    files: Files, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    look = LinkTls._require_readable

    def look_and_lose(tls: LinkTls) -> None:
        look(tls)
        if tls == files.engine:
            tls.key.unlink()

    async def body() -> None:
        async with serving(files.engine) as address:
            with monkeypatch.context() as renewing:
                renewing.setattr(LinkTls, "_require_readable", look_and_lose)
                assert await let_in(address, files.api) == ""
            files.issue("engine")
            assert await let_in(address, files.api) == ""

    uvloop.run(body())
    assert "TLS goes on with the files as they were: FOLDEX_ENGINE_CERTIFICATE" in caplog.text
    assert "No such file or directory" in caplog.text


def test_custody_s_loop_sends_through_tls(files: Files) -> None:
    async def body() -> None:
        async with serving(files.engine) as address:
            receipt = await asyncio.to_thread(send, address)
            assert receipt.status == "open"

    def send(address: tuple[str, int]) -> Receipt:
        client = EngineClient([address], TOKEN, files.api)
        remote = RemoteEngine(client)
        try:
            until(lambda: client.ready, "custody reaches the engine")
            return remote.send(place("alice", "buy", 100, 1))
        finally:
            remote.close()

    uvloop.run(body())


# Real processes.


class Exchange:
    """Processes on one data directory, with the settings of TLS."""

    def __init__(self, files: Files, opened: ExitStack) -> None:
        self.ports = [free_port(), free_port()]
        self.settings = {
            "FOLDEX_DATA": str(files.directory / "data"),
            "FOLDEX_ENGINE": ",".join(f"127.0.0.1:{port}" for port in self.ports),
            "FOLDEX_ENGINE_TOKEN": TOKEN,
        }
        self._files = files
        self._opened = opened

    def with_tls(self, tls: LinkTls) -> dict[str, str]:
        return self.settings | {
            "FOLDEX_ENGINE_CA": str(tls.authority),
            "FOLDEX_ENGINE_CERTIFICATE": str(tls.certificate),
            "FOLDEX_ENGINE_KEY": str(tls.key),
        }

    def start(self, settings: dict[str, str], *words: object) -> Process:
        process = Process(settings, self._files.directory, *words)
        return self._opened.enter_context(process)

    def engine(self, port: int) -> Process:
        return self.start(self.with_tls(self._files.engine), "engine", "--port", port)


@pytest.fixture
def exchange(files: Files) -> Iterator[Exchange]:
    with ExitStack() as opened:
        yield Exchange(files, opened)


def operator_of(exchange: Exchange) -> SigningClient:
    key = foldex(exchange.settings, "keys", "create", "--scope", "operate", "--json")
    return SigningClient(key["key_id"], key["secret"])


def test_an_api_process_goes_on_with_the_standby_over_tls(exchange: Exchange, files: Files) -> None:
    first = exchange.engine(exchange.ports[0])
    first.says("takes commands")
    standby = exchange.engine(exchange.ports[1])
    standby.says("Standing by")
    port = free_port()
    exchange.start(exchange.with_tls(files.api), "api", "--port", port).says("The API is at")
    url = f"http://127.0.0.1:{port}"
    operator = operator_of(exchange)
    try:
        until(lambda: opened(operator, url, "alice") == 201, "the API reaches the engine")
        first.kill()
        standby.says("takes commands")
        until(lambda: opened(operator, url, "bob") == 201, "the API reaches the standby")
    finally:
        operator.close()
    checked = foldex(exchange.with_tls(files.api), "config", "check", "--json")
    found = {each["what"]: each for each in checked["checks"]}
    assert found["engine"]["level"] == found["certificate"]["level"] == "ok"
    assert standby.end() == 0


def opened(operator: SigningClient, url: str, account: str) -> int:
    body = {"account": account}
    return operator.send(url, "POST", "/v1/operator/accounts", body, key=account).status_code


def test_no_process_starts_on_certificates_that_would_be_refused(
    exchange: Exchange, files: Files
) -> None:
    old = exchange.with_tls(files.issue("old", days_valid=-1))
    for words in (["engine"], ["api"]):
        said = foldex(old, *words, code=2)
        assert "FOLDEX_ENGINE_CERTIFICATE" in said
        assert "certificate has expired" in said
    [finding] = [
        each
        for each in foldex(old, "config", "check", "--json", code=1)["checks"]
        if each["level"] == "error"
    ]
    assert finding["what"] == "certificate"


def test_an_engine_that_others_reach_without_tls_warns(exchange: Exchange) -> None:
    process = exchange.start(exchange.settings, "engine", "--host", "0.0.0.0", "--port", 0)
    process.says("takes commands")
    assert "the link is plain TCP on 0.0.0.0" in process.log.read_text()
    assert process.end() == 0
