"""The servers of `make services` are the real ones, set up as the rest relies on."""

from uuid import uuid4

import psycopg
import pytest
from kafka import KafkaConsumer, KafkaProducer
from kafka.admin import KafkaAdminClient, NewTopic


def test_a_fresh_database_takes_hypertables_at_once(postgres_database: str) -> None:
    with psycopg.connect(postgres_database) as database:
        database.execute("CREATE TABLE ticks (at timestamptz NOT NULL)")
        database.execute("SELECT create_hypertable('ticks', 'at')")
        database.execute("INSERT INTO ticks VALUES ('2025-01-31T23:30:00Z')")
        row = database.execute("SELECT time_bucket('1 day', at, 'Europe/Berlin') FROM ticks")
        assert str(row.fetchone()) == str(
            database.execute("SELECT '2025-01-31T23:00:00Z'::timestamptz").fetchone()
        )


@pytest.mark.parametrize(
    ("setting", "value"), [("fsync", "on"), ("full_page_writes", "on"), ("timezone", "UTC")]
)
def test_a_commit_is_durable_as_in_production(postgres_url: str, setting: str, value: str) -> None:
    with psycopg.connect(postgres_url) as database:
        found = database.execute("SELECT current_setting(%s)", (setting,)).fetchone()
    assert found == (value,)


def test_a_transaction_is_read_when_it_is_committed(kafka_bootstrap: str) -> None:
    topic = f"test-{uuid4().hex}"
    with KafkaAdminClient(bootstrap_servers=kafka_bootstrap) as admin:
        admin.create_topics([NewTopic(topic, num_partitions=1, replication_factor=1)])
    producer = KafkaProducer(bootstrap_servers=kafka_bootstrap, transactional_id=topic)
    producer.init_transactions()
    for value, finish in (
        (b"no", producer.abort_transaction),
        (b"yes", producer.commit_transaction),
    ):
        producer.begin_transaction()
        producer.send(topic, value)
        finish()
    producer.close()
    assert _first_value(kafka_bootstrap, topic) == b"yes"


def _first_value(bootstrap: str, topic: str) -> bytes:
    consumer = KafkaConsumer(
        topic,
        bootstrap_servers=bootstrap,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        consumer_timeout_ms=20_000,
    )
    try:
        return bytes(next(consumer).value)
    finally:
        consumer.close()
