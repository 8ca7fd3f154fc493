"""Tries everything that the settings point to, and says what to do about what does not work."""

import asyncio
import os
import time
from collections.abc import Generator, Iterator
from contextlib import closing
from typing import Final, Literal, assert_never

import msgspec
import psycopg
from eventsourcing.persistence import PersistenceError

from api.brokers import brokers_of
from api.deployment import deployment_of
from api.engine_client import addresses_of
from api.engine_place import PLAIN_ADVICE, engine_client_of, tls_files_of
from api.engine_tls import BadCertificate
from api.key_postgres import SCHEMA as KEYS_SCHEMA
from api.keys import KeyStoreError
from api.settings import Settings, is_loopback
from api.settings_sources import BadSetting
from eventstore.errors import NoStore, StoreError
from eventstore.kafka_errors import BusError, TopicUnusable
from eventstore.kafka_topics import TOPICS, find_topic
from eventstore.postgres_connection import Connection, Server
from eventstore.postgres_schema import RUN_MIGRATE, check_safeguards, check_schema
from eventstore.sqlite import LOG_NAME
from projections.postgres_schema import MIGRATIONS

Level = Literal["ok", "warning", "error"]

POSTGRES_TESTED: Final = 17
ENGINE_S: Final = 5.0
"""How long the engine may take to answer."""
POLL_S: Final = 0.05
CLOCKS_APART_S_MAX: Final = 1.0
BUILT_S: Final = 1_767_225_600
"""2026-01-01: a clock that says less is not set."""
CERTIFICATE_DAYS_MIN: Final = 14
_DAY_S: Final = 86_400


class Finding(msgspec.Struct, frozen=True):
    """What was tried, how it went, and what to do about it when it is not ok."""

    level: Level
    what: str
    detail: str
    advice: str = ""


def check(settings: Settings) -> Iterator[Finding]:
    """Yield a finding for each thing that was tried. Changes nothing."""
    if settings.database_url:
        yield from _database(settings)
    else:
        yield from _directory(settings)
    if settings.kafka:
        yield from _kafka(settings)
    else:
        yield Finding("ok", "kafka", "not set: nothing is published")
    certified = tls_files_of(settings) is None or (yield from _certificate(settings))
    if not settings.engine:
        yield Finding("ok", "engine", "not set: it runs in the process that serves")
    elif certified:
        yield _engine(settings)
    if settings.ethereum_url:
        yield from _custody(settings)
    else:
        yield Finding("ok", "custody", "not set: no coins come from a chain")
    yield from _exposure(settings)
    yield _clock()


def _directory(settings: Settings) -> Iterator[Finding]:
    directory = settings.data.absolute()
    place = next(path for path in (directory, *directory.parents) if path.exists())
    if not place.is_dir():
        yield Finding("error", "data", f"{place} is no directory", "set FOLDEX_DATA to one")
        return
    if not os.access(place, os.W_OK | os.X_OK):
        advice = f"let user {os.getuid()} write there, or set FOLDEX_DATA"
        yield Finding("error", "data", f"{place} cannot be written", advice)
        return
    if not (directory / LOG_NAME).is_file():
        yield Finding("ok", "data", f"{directory} has no exchange yet; `serve` begins one")
        return
    try:
        with deployment_of(settings).open_store() as store:
            position = store.log.stored_head().position
        yield Finding("ok", "data", f"{directory} has {position:,} events")
    except StoreError as error:
        yield Finding("error", "data", str(error), "run `./foldex verify`")


def _database(settings: Settings) -> Iterator[Finding]:
    try:
        server = Server(settings.database_url.get_secret_value())
        connection = server.connect("foldex config check")
    except (StoreError, PersistenceError) as error:
        advice = "start it, or correct FOLDEX_DATABASE_URL"
        yield Finding("error", "database", str(error), advice)
        return
    with closing(connection):
        yield _version(connection, server)
        yield _timescale(connection)
        yield from _schemas(connection, server)
        yield _database_clock(connection)
    yield _keys(settings)


def _version(connection: Connection, server: Server) -> Finding:
    number = connection.info.server_version
    found = f"{server.name} is PostgreSQL {number // 10_000}.{number % 10_000}"
    if number // 10_000 < POSTGRES_TESTED:
        advice = f"Foldex is tested with {POSTGRES_TESTED} and newer: upgrade it"
        return Finding("warning", "database", found, advice)
    return Finding("ok", "database", found)


def _timescale(connection: Connection) -> Finding:
    found = connection.execute(
        "SELECT extversion, current_setting('timescaledb.license', true) AS license"
        " FROM pg_extension WHERE extname = 'timescaledb'"
    ).fetchone()
    if found is None:
        advice = "install TimescaleDB for large views; without it they are plain tables"
        return Finding("warning", "timescaledb", "the extension is not there", advice)
    detail = f"{found['extversion']}, edition {found['license']}"
    if found["license"] == "apache":
        advice = "its community edition also compresses old views"
        return Finding("warning", "timescaledb", detail, advice)
    return Finding("ok", "timescaledb", detail)


def _schemas(connection: Connection, server: Server) -> Iterator[Finding]:
    try:
        check_schema(connection, server)
        gone = check_safeguards(connection)
    except NoStore as error:
        yield Finding("error", "log", str(error), RUN_MIGRATE)
        return
    except StoreError as error:
        yield Finding("error", "log", str(error))
        return
    if gone:
        advice = "find out who did that; `./foldex verify` proves the log"
        yield Finding("error", "log", "; ".join(gone), advice)
    else:
        yield Finding("ok", "log", "its schema is of this version, its safeguards are there")
    yield _views(connection)


def _views(connection: Connection) -> Finding:
    try:
        row = connection.execute(
            "SELECT max(version) AS version FROM foldex_views.migrations"
        ).fetchone()
    except psycopg.Error:
        row = None
    version = (row and row["version"]) or 0
    if version == len(MIGRATIONS):
        return Finding("ok", "views", f"their schema is of version {version}")
    detail = f"their schema is of version {version}, not {len(MIGRATIONS)}"
    return Finding(
        "error", "views", detail, RUN_MIGRATE if version < len(MIGRATIONS) else "upgrade Foldex"
    )


def _database_clock(connection: Connection) -> Finding:
    row = connection.execute("SELECT extract(epoch FROM clock_timestamp()) AS now").fetchone()
    assert row is not None
    apart_s = abs(float(row["now"]) - time.time())
    if apart_s > CLOCKS_APART_S_MAX:
        detail = f"the database's differs from ours by {apart_s:.1f} s"
        return Finding("warning", "clock", detail, "let both follow a time server")
    return Finding("ok", "clock", "the database's agrees with ours")


def _keys(settings: Settings) -> Finding:
    try:
        deployment_of(settings).open_keys().close()
    except (KeyStoreError, StoreError) as error:
        return Finding("error", "keys", str(error))
    return Finding("ok", "keys", f"they are in the schema {KEYS_SCHEMA}")


def _kafka(settings: Settings) -> Iterator[Finding]:
    for name, plan in TOPICS.items():
        topic = settings.kafka_prefix + name
        try:
            found = find_topic(brokers_of(settings), topic)
        except TopicUnusable as error:
            yield Finding("error", f"topic {topic}", str(error), RUN_MIGRATE)
            continue
        except BusError as error:
            yield Finding("error", "kafka", str(error), "start it, or correct FOLDEX_KAFKA")
            return
        detail = f"{found.partitions} partitions"
        if found.partitions == plan.partitions:
            yield Finding("ok", f"topic {topic}", detail)
        else:
            advice = f"remove it, then {RUN_MIGRATE}; or set FOLDEX_KAFKA_PREFIX"
            detail += f", not {plan.partitions}: streams would be elsewhere"
            yield Finding("error", f"topic {topic}", detail, advice)


def _certificate(settings: Settings) -> Generator[Finding, None, bool]:
    """Look at what we show on the link; return whether it can be used."""
    tls = tls_files_of(settings)
    assert tls is not None
    try:
        end_s = tls.good_until_s("client" if settings.engine else "server")
    except BadCertificate as error:
        yield Finding("error", "certificate", str(error), "see docs/production.md")
        return False
    detail = f"{settings.engine_certificate} is good until {_said(end_s)} UTC"
    if end_s < time.time() + CERTIFICATE_DAYS_MIN * _DAY_S:
        advice = "renew it; the next connection takes the new one"
        yield Finding("warning", "certificate", detail, advice)
    else:
        yield Finding("ok", "certificate", detail)
    return True


def _engine(settings: Settings) -> Finding:
    found, complaint = asyncio.run(_reach_engine(settings))
    match found:
        case "ready":
            return Finding("ok", "engine", f"{settings.engine} takes commands")
        case "connected":
            advice = "see its log"
            return Finding("warning", "engine", f"{settings.engine} takes no commands", advice)
        case "silent":
            detail = f"{settings.engine} does not let us in ({complaint})"
            advice = "start `./foldex engine`; FOLDEX_ENGINE_TOKEN has to be the same there"
            return Finding("error", "engine", detail, advice)
        case _:
            assert_never(found)


def _custody(settings: Settings) -> Iterator[Finding]:
    # Without a chain none of its libraries is waited for.
    from api.custody_setup import config_of  # noqa: PLC0415
    from wallet.errors import WalletError  # noqa: PLC0415
    from wallet.ethereum.chain import EthereumChain  # noqa: PLC0415
    from wallet.signer.client import SignerClient  # noqa: PLC0415
    from wallet.types import ChainId  # noqa: PLC0415

    try:
        config, socket = config_of(settings)
    except BadSetting as error:
        yield Finding("error", "custody", str(error), "see docs/custody.md")
        return
    try:
        tip = EthereumChain.connect(settings.ethereum_url, expected=ChainId(config.chain)).tip()
        yield Finding("ok", "chain", f"{config.chain} is at block {tip.height:,}")
    except WalletError as error:
        yield Finding("error", "chain", f"{error.code}: {error}", "see FOLDEX_ETHEREUM_URL")
    signer = SignerClient(socket)
    try:
        status = signer.status()
        known = config.chain in status.chains
        advice = "" if known else "add the chain to the signer's policy"
        detail = f"{socket} signs for {', '.join(status.chains) or 'no chain'}"
        yield Finding("ok" if known else "error", "signer", detail, advice)
    except WalletError as error:
        yield Finding("error", "signer", str(error), "start `./foldex signer run`")
    finally:
        signer.close()


async def _reach_engine(
    settings: Settings,
) -> tuple[Literal["ready", "connected", "silent"], str]:
    """Return how the engine is, and what was wrong last."""
    client = engine_client_of(settings)
    await client.open()
    try:
        for _ in range(int(ENGINE_S / POLL_S)):
            if client.ready:
                return "ready", ""
            await asyncio.sleep(POLL_S)
        return "connected" if client.connected else "silent", client.complaint
    finally:
        await client.close()


def _exposure(settings: Settings) -> Iterator[Finding]:
    if not is_loopback(settings.host):
        advice = "put a proxy with TLS in front"
        yield Finding("warning", "host", f"the API is plain HTTP on {settings.host}", advice)
    link = [settings.engine_host, *(host for host, _ in addresses_of(settings.engine))]
    open_to = [host for host in link if host and not is_loopback(host)]
    if open_to and tls_files_of(settings) is None:
        detail = f"the link of engine and API is plain TCP on {', '.join(open_to)}"
        yield Finding("warning", "link", detail, PLAIN_ADVICE)
    if settings.database_url and not settings.metrics_port:
        advice = "set FOLDEX_METRICS_PORT"
        yield Finding("warning", "metrics", "nobody can watch this process", advice)


def _clock() -> Finding:
    now_s = time.time()
    said = _said(now_s)
    if now_s < BUILT_S:
        return Finding("error", "clock", f"it says {said} UTC", "set it; follow a time server")
    return Finding("ok", "clock", f"it says {said} UTC")


def _said(time_s: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(time_s))
