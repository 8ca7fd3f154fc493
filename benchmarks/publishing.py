"""How fast the log is relayed to Kafka."""

import time
from contextlib import closing
from uuid import uuid4

from benchmarks.places import address_of, directory
from benchmarks.workloads import Measured, Workload, fill
from eventstore.kafka_brokers import Brokers
from eventstore.kafka_topics import EVENTS_TOPIC, TOPICS, administrator, ensure_topics
from eventstore.published import SQLitePublished
from eventstore.publisher import Publisher
from eventstore.sqlite import open_sqlite


def publisher(workload: Workload) -> Measured:
    """Relay a log from SQLite to Kafka: every event acknowledged and the position stored.

    Raises: NoServer.
    """
    brokers = Brokers(address_of("kafka"))
    prefix = f"benchmark-{uuid4().hex}."
    plans = {EVENTS_TOPIC: TOPICS[EVENTS_TOPIC]}
    ensure_topics(brokers, plans=plans, prefix=prefix)
    with directory() as path, open_sqlite(path, for_writing=True) as store:
        fill(store.log, workload)
        with closing(SQLitePublished(path)) as positions:
            relay = Publisher(
                store.log, positions, brokers, topic=prefix + EVENTS_TOPIC, clock_ms=lambda: 0
            )
            started = time.perf_counter()
            while relay.run_once():
                pass
            seconds = time.perf_counter() - started
            relay.stop()
    with administrator(brokers) as admin:
        admin.delete_topics([prefix + name for name in plans])
    return Measured(relay.position, seconds)
