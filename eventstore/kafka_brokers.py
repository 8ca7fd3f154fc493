"""Where Kafka's brokers are, how a process proves who it is to them, and why they refuse."""

import logging
import ssl
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, Literal, NamedTuple

import msgspec
from kafka.errors import KafkaError, KafkaTimeoutError, RequestTimedOutError
from kafka.net.compat import KafkaNetClient
from kafka.net.connection import KafkaConnection

from eventstore.kafka_errors import BusRefused, BusUnavailable

Protocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
Mechanism = Literal["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"]

CONNECT_TIMEOUT_MS: Final = 5_000


class Brokers(msgspec.Struct, frozen=True):
    """What every client of Kafka needs to connect. It shows no password.

    bootstrap: `HOST:PORT,HOST:PORT`. protocol, mechanism: by Kafka's names; TLS is SSL there, and
    what proves the user to the brokers SASL. ca: PEM file of the authorities that the brokers'
    certificates may be of; empty: those that the machine trusts.
    """

    bootstrap: str
    protocol: Protocol = "PLAINTEXT"
    mechanism: Mechanism = "SCRAM-SHA-512"
    user: str = ""
    password: str = ""
    ca: str = ""

    def __repr__(self) -> str:
        return f"Brokers({self.bootstrap!r}, {self.protocol!r}, user={self.user!r})"

    def client_settings(self) -> dict[str, Any]:
        """Return what the client library is to be told. Raises: BusRefused: no such authorities."""
        settings: dict[str, Any] = {
            "bootstrap_servers": self.bootstrap.split(","),
            "bootstrap_timeout_ms": CONNECT_TIMEOUT_MS,
            "security_protocol": self.protocol,
        }
        if self.protocol.endswith("SSL"):
            settings["ssl_context"] = _trusting(self.ca)
        if self.protocol.startswith("SASL"):
            settings["sasl_mechanism"] = self.mechanism
            settings["sasl_plain_username"] = self.user
            settings["sasl_plain_password"] = self.password
        return settings


@contextmanager
def connecting(brokers: Brokers) -> Iterator[dict[str, Any]]:
    """Yield the settings of a client that is made inside; its failure becomes one that says why.

    The client's own logging is silenced: it repeats every failure for every try, and each reaches
    its caller as an exception anyway.
    Raises: BusRefused: the brokers do not take the user, or we not their certificate;
    BusUnavailable.
    """
    _listen_quietly()
    _lost.clear()
    made: list[Any] = []

    def make(**options: Any) -> Any:
        made.append(KafkaNetClient(**options))
        return made[-1]

    try:
        yield {**brokers.client_settings(), "kafka_client": make}
    except (KafkaError, OSError) as error:
        # The library would leave a thread and four sockets behind at every try.
        for client in made:
            client.close()
        raise _explained(brokers, error) from error


def _trusting(ca: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca or None)
    except OSError as error:
        raise BusRefused(f"FOLDEX_KAFKA_CA, {ca}, cannot be used: {error}") from error


def _explained(brokers: Brokers, error: Exception) -> BusUnavailable:
    where = brokers.bootstrap
    for lost in _lost:
        if lost.proving:
            return BusRefused(
                f"Kafka at {where} does not let user {brokers.user!r} in by {brokers.mechanism}"
                f" ({lost.said}): check FOLDEX_KAFKA_USER, FOLDEX_KAFKA_PASSWORD and"
                " FOLDEX_KAFKA_MECHANISM"
            )
        if "Handshake failed" in lost.said:
            return BusRefused(
                f"no TLS with Kafka at {where}: {lost.said}; check FOLDEX_KAFKA_PROTOCOL,"
                " FOLDEX_KAFKA_CA, and the names in the brokers' certificates"
            )
    said = _lost[0].said if _lost else str(error)
    hint = f"; do they speak {brokers.protocol} there (FOLDEX_KAFKA_PROTOCOL)?"
    # Who is not understood ends the connection, sometimes after an answer in another protocol.
    unheard = "disconnected" in said or "InvalidReceiveError" in said
    return BusUnavailable(f"no Kafka broker at {where} answers: {said}{hint if unheard else ''}")


class _Lost(NamedTuple):
    """A connection that ended. proving: after it was made, before the user was let in.

    Brokers say why and end it at once: the client often sees only the end. The error itself would
    keep sockets open that its traceback knows of.
    """

    said: str
    proving: bool


class _Listener(logging.Filter):
    """Keeps what the client library logs of connections: nowhere else does it say it.

    Nothing passes on to a handler, which could keep the error itself.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple) and len(record.args) == 2:
            connection, error = record.args
            if isinstance(connection, KafkaConnection) and isinstance(error, Exception):
                _lost.append(_Lost(str(error), _was_proving(connection, error)))
        return False


def _was_proving(connection: Any, error: Exception) -> bool:
    """Return whether only the user was still to be let in; not when it just took long."""
    if isinstance(error, RequestTimedOutError | KafkaTimeoutError):
        return False
    versions_known = connection.broker_version_data is not None
    return connection.sasl_enabled and versions_known and connection.init_future.failed()


_lost: Final[deque[_Lost]] = deque(maxlen=100)
"""Since a client was last begun to be made; of several at once, whose brokers are the same."""


def _listen_quietly() -> None:
    logging.getLogger("kafka").setLevel(logging.CRITICAL)
    connections = logging.getLogger("kafka.net.connection")
    if not connections.filters:
        connections.addFilter(_Listener())
        connections.setLevel(logging.ERROR)
