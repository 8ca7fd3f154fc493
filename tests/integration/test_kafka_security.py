"""A broker that asks for TLS and a password: who knows both is let in, others are told why not."""

import gc
import logging
import socketserver
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest
from kafka.admin import KafkaAdminClient, ScramMechanism, UserScramCredentialUpsertion
from pydantic import SecretStr

from api.config_check import check
from api.migration import migrate
from api.settings import Settings
from deploy.services import kafka
from deploy.services.clone import Clone
from deploy.services.kafka import Kafka
from deploy.services.software import cache
from eventstore.kafka_brokers import Brokers
from eventstore.kafka_errors import BusRefused, BusUnavailable
from eventstore.kafka_topics import TOPICS, ensure_topics, find_topic
from eventstore.memory import open_memory
from eventstore.published import SQLitePublished
from eventstore.publisher import Publisher
from tests import services
from tests.beside import beside
from tests.certificates import Authority
from tests.custody.world import World as Custody
from tests.feed_world import FeedWorld
from tests.integration import test_custody_bus as custody_bus
from tests.kafka_world import PLANS, Topics, append, fresh_topics
from tests.waiting import until
from wallet.bus import ADDRESS_CREATED, COMMAND

PASSWORD = "correct-horse"
PROPERTIES = """
listeners=BROKER://127.0.0.1:{port},SECURED://127.0.0.1:{secured},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=BROKER://127.0.0.1:{port},SECURED://127.0.0.1:{secured}
listener.security.protocol.map=BROKER:PLAINTEXT,SECURED:SASL_SSL,CONTROLLER:PLAINTEXT
ssl.keystore.type=PEM
ssl.keystore.location={certificate}
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-512,SCRAM-SHA-256
listener.name.secured.plain.sasl.jaas.config={module}.plain.PlainLoginModule required user_exchange="{password}";
listener.name.secured.scram-sha-512.sasl.jaas.config={module}.scram.ScramLoginModule required;
listener.name.secured.scram-sha-256.sasl.jaas.config={module}.scram.ScramLoginModule required;
"""  # noqa: E501  A property is one line.

# Kafka's client leaves sockets that could not connect to the garbage collector.
pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed <(socket|ssl):ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


class Secured(msgspec.Struct, frozen=True):
    """A broker of its own. plain: its address without TLS and password, for the test itself."""

    plain: str
    brokers: Brokers


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    if not (cache() / kafka.SOFTWARE).is_dir():
        services.missing("kafka", "it is not installed")
    directory = tmp_path_factory.mktemp("kafka")
    authority = Authority.make(directory)
    certificate = directory / "broker.pem"
    certificate.write_bytes(b"".join(authority.sign()))
    clone = Clone(directory)
    plain, port = (f"127.0.0.1:{clone.free_port(name)}" for name in ("kafka", "kafka-secured"))
    properties = PROPERTIES.format(
        port=clone.port("kafka"),
        secured=clone.port("kafka-secured"),
        controller=clone.free_port("kafka-controller"),
        certificate=certificate,
        module="org.apache.kafka.common.security",
        password=PASSWORD,
    )
    broker = Kafka(clone, properties)
    broker.start()
    try:
        let_in(plain, "exchange", ScramMechanism.SCRAM_SHA_512)
        let_in(plain, "exchange", ScramMechanism.SCRAM_SHA_256)
        ca = str(authority.certificate)
        yield Secured(plain, Brokers(port, "SASL_SSL", user="exchange", password=PASSWORD, ca=ca))
    finally:
        broker.stop()


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Give up soon."""
    monkeypatch.setattr("eventstore.kafka_brokers.CONNECT_TIMEOUT_MS", 1_000)
    yield
    gc.collect()  # While the warnings are let through.


def let_in(bootstrap: str, user: str, mechanism: ScramMechanism) -> None:
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    admin.alter_user_scram_credentials(
        [UserScramCredentialUpsertion(user, mechanism, PASSWORD, 4_096)]
    )
    admin.close()


def changed(brokers: Brokers, **changes: Any) -> Brokers:
    return msgspec.structs.replace(brokers, **changes)


# Let in.


def test_events_reach_the_views_through_tls_with_a_password(
    secured: Secured, tmp_path: Path
) -> None:
    with ExitStack() as resources:
        topics = resources.enter_context(fresh_topics(secured.plain, secured.brokers))
        world = FeedWorld(topics, tmp_path, resources)
        world.publish()
        world.feed().start()
        world.go_on()
        world.require_exact()


def test_custody_talks_through_tls_with_a_password(secured: Secured) -> None:
    ensure_topics(secured.brokers, plans=custody_bus.PLANS, prefix="custody.")
    command = b'{"type": "create_account", "meta": {"account": "ann"}}'
    custody_bus.send(secured.plain, "custody." + COMMAND, command)

    custody_bus.answer(custody_bus.bus_on(Custody(), secured.brokers, "custody."), 1)

    [address] = custody_bus.bodies(secured.plain, "custody." + ADDRESS_CREATED)
    assert address["account"] == "ann"


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
def test_a_password_is_proven_in_every_way(secured: Secured, mechanism: str) -> None:
    ensure_topics(Brokers(secured.plain), plans=PLANS)
    assert find_topic(changed(secured.brokers, mechanism=mechanism), "events").partitions == 4


def test_the_settings_say_it_all(secured: Secured, tmp_path: Path) -> None:
    brokers = secured.brokers
    settings = Settings(
        data=tmp_path,
        kafka=brokers.bootstrap,
        kafka_prefix="settings.",
        kafka_protocol="SASL_SSL",
        kafka_user=brokers.user,
        kafka_password=SecretStr(brokers.password),
        kafka_ca=Path(brokers.ca),
    )
    assert migrate(settings)[1:] == [f"made the topic settings.{name}" for name in TOPICS]
    found = {each.what: each.level for each in check(settings)}
    assert found["topic settings.events"] == "ok"


# Refused.


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        (
            {"password": "wrong-horse"},
            BusRefused,
            r"'exchange' in by SCRAM-SHA-512 .*check FOLDEX_",
        ),
        ({"user": "stranger"}, BusRefused, "does not let user 'stranger' in"),
        (
            {"password": "wrong-horse", "mechanism": "PLAIN"},
            BusRefused,
            "does not let user 'exchange' in by PLAIN",
        ),
        ({"ca": ""}, BusRefused, "no TLS with Kafka .*CERTIFICATE_VERIFY_FAILED.*FOLDEX_KAFKA_CA"),
        ({"ca": "/no/such.pem"}, BusRefused, "FOLDEX_KAFKA_CA"),
        ({"protocol": "SASL_PLAINTEXT"}, BusUnavailable, r"speak SASL_PLAINTEXT there"),
    ],
)
@pytest.mark.usefixtures("soon")
def test_who_is_refused_is_told_why_and_the_password_is_not_said(
    secured: Secured,
    caplog: pytest.LogCaptureFixture,
    changes: dict[str, str],
    error: type[BusUnavailable],
    message: str,
) -> None:
    brokers = changed(secured.brokers, **changes)
    with caplog.at_level(logging.DEBUG), pytest.raises(error, match=message) as caught:
        find_topic(brokers, "events")
    said = repr(brokers) + str(caught.value) + caplog.text
    assert "horse" not in said


class _SpeaksTls(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        self.request.recv(1_000)
        self.request.sendall(b"\x15\x03\x03\x00\x02\x02\x0a")  # An alert: what is this?
        self.request.recv(1_000)


@pytest.mark.usefixtures("soon")
def test_who_answers_in_another_protocol_may_speak_that() -> None:
    with (
        socketserver.ThreadingTCPServer(("127.0.0.1", 0), _SpeaksTls) as server,
        beside(server.serve_forever),
    ):
        try:
            host, port = server.server_address[:2]
            with pytest.raises(BusUnavailable, match="speak PLAINTEXT there"):
                find_topic(Brokers(f"{host!s}:{port}"), "events")
        finally:
            server.shutdown()


@pytest.mark.usefixtures("soon")
def test_the_publisher_waits_until_it_is_let_in(
    secured: Secured, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Trading must not end because somebody changed a password of the brokers."""
    topics = Topics(secured.plain, "waiting.", changed(secured.brokers, user="latecomer"))
    ensure_topics(Brokers(secured.plain), plans=PLANS, prefix=topics.prefix)
    positions = SQLitePublished(tmp_path)
    with open_memory() as store:
        append(store.log, commits=3)
        publisher = Publisher(
            store.log, positions, topics.brokers, topic=topics.events, clock_ms=lambda: 0
        )
        publisher.start()
        until(lambda: "does not let user 'latecomer' in" in caplog.text, "it is refused")
        let_in(secured.plain, "latecomer", ScramMechanism.SCRAM_SHA_512)
        until(lambda: publisher.position == 30, "it publishes")
        publisher.stop()
    positions.close()
    assert PASSWORD not in caplog.text
