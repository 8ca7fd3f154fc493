"""Custody on Kafka: reads `command`, writes `address.created`, `transaction` and `errors`.

A command's offset is committed when its answer is in Kafka for good; what is read again after a
crash gets the recorded answer again. Nothing that a message says stops the loop.
"""

import logging
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from kafka import KafkaConsumer, OffsetAndMetadata, TopicPartition
from kafka.errors import KafkaError

from eventstore.kafka_brokers import Brokers, connecting
from eventstore.kafka_errors import BusError, BusUnavailable
from eventstore.kafka_writer import TopicWriter
from eventstore.messages import partition_of
from wallet.bus import ADDRESS_CREATED, COMMAND, ERRORS, TRANSACTION, Commands, Message
from wallet.errors import WalletError
from wallet.outbox import Relay

POLL_MS: Final = 200
RECORDS_MAX: Final = 100
RETRY_S: Final = 1.0
SESSION_TIMEOUT_MS: Final = 10_000
"""How long the commands wait after the process that took them was killed."""
JOIN_S_MAX: Final = 15.0
"""How long the consumer may have no partition: over TLS the client library now and then waits for
minutes for an answer to its wish to join, and one that asks anew is let in at once.
"""
HEADERS: Final = ("id", "correlation_id", "causation_id")

_log = logging.getLogger(__name__)


class KafkaBus:
    """Runs in a thread of its own. `failed`: why it stopped by itself."""

    def __init__(
        self,
        brokers: Brokers,
        commands: Commands,
        relay: Relay,
        *,
        group: str,
        prefix: str = "",
        clock_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self.failed: BaseException | None = None
        self._brokers = brokers
        self._commands = commands
        self._relay = relay
        self._group = group
        self._prefix = prefix
        self._clock_ms = clock_ms
        self._consumer: Any = None
        self._joined_s = 0.0
        self._writers: dict[str, TopicWriter] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="custody-bus")

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Finish what is under way, and end."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def run_once(self) -> int:
        """Answer the commands that are there, publish what is new; return how many messages.

        Raises: BusError: Kafka cannot be used now; WalletError: custody cannot answer now. What
        was not acknowledged is done again.
        """
        try:
            self._connect()
            done = self._answer_commands()
            return done + self._publish()
        except KafkaError as error:
            raise BusUnavailable(f"Kafka does not answer: {error!r}") from error

    def close(self) -> None:
        """Disconnect; the next `run_once` connects again."""
        writers, self._writers = self._writers, {}
        for writer in writers.values():
            writer.close()
        self._leave()

    def _leave(self) -> None:
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            consumer.close(autocommit=False, timeout_ms=1_000)

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                try:
                    self.run_once()
                except (BusError, WalletError) as error:
                    _log.warning("the bus waits: %s", error)
                    self.close()
                    self._stop.wait(RETRY_S)
        except Exception as error:  # noqa: BLE001  Whatever it is, the process has to end.
            _log.exception("the bus of custody stopped")
            self.failed = error
        finally:
            self.close()

    def _connect(self) -> None:
        for topic in (ADDRESS_CREATED, TRANSACTION, ERRORS):
            if topic not in self._writers:
                self._writers[topic] = TopicWriter(self._brokers, self._prefix + topic)
        if self._is_left_out():
            _log.warning("no commands were given to read in %.0f s: joining anew", JOIN_S_MAX)
            self._leave()
        if self._consumer is None:
            with connecting(self._brokers) as settings:
                self._consumer = KafkaConsumer(
                    **settings,
                    group_id=self._prefix + self._group,
                    enable_auto_commit=False,
                    auto_offset_reset="earliest",
                    max_poll_records=RECORDS_MAX,
                    session_timeout_ms=SESSION_TIMEOUT_MS,
                )
            self._consumer.subscribe([self._prefix + COMMAND])
            self._joined_s = time.monotonic()

    def _is_left_out(self) -> bool:
        """Return whether it is long ago that there was a partition to read."""
        if self._consumer is None:
            return False
        if self._consumer.assignment():
            self._joined_s = time.monotonic()
        return time.monotonic() - self._joined_s > JOIN_S_MAX

    def _answer_commands(self) -> int:
        polled = self._consumer.poll(timeout_ms=POLL_MS)
        answers = 0
        offsets: dict[TopicPartition, OffsetAndMetadata] = {}
        for place, records in polled.items():
            for record in records:
                where = f"{record.topic}/{record.partition}/{record.offset}"
                answer = self._commands.handle(record.value or b"", where)
                if answer is not None:
                    self._add(answer)
                    answers += 1
            offsets[place] = OffsetAndMetadata(records[-1].offset + 1, "", -1)
        if offsets:
            self._flush()
            self._consumer.commit(offsets)
        return answers

    def _publish(self) -> int:
        messages = self._relay.take()
        for message in messages:
            self._add(message)
        if messages:
            self._flush()
            self._relay.sent()
        return len(messages)

    def _add(self, message: Message) -> None:
        writer = self._writers[message.topic]
        env = message.body["_env"]
        headers = [(name, str(env[name]).encode()) for name in HEADERS if name in env]
        writer.add(
            partition_of(message.key, writer.partitions),
            message.key.encode(),
            message.value,
            headers,
            self._clock_ms(),
        )

    def _flush(self) -> None:
        for writer in self._writers.values():
            writer.flush()
