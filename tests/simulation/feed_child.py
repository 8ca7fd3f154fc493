"""A worker of the markets' views, to be killed: python -m … VIEWS BOOTSTRAP PREFIX GROUP.

VIEWS: a directory, or the URL of a database.
"""

import sys
import time
from pathlib import Path

from eventstore.kafka_brokers import Brokers
from projections.kafka_feed import KafkaFeed
from projections.postgres import PostgresViews
from projections.sqlite import SQLiteViews


def main() -> None:
    place, bootstrap, prefix, group = sys.argv[1:]
    is_url = place.startswith("postgresql:")
    store = PostgresViews(place) if is_url else SQLiteViews(Path(place))
    feed = KafkaFeed(
        store,
        Brokers(bootstrap),
        topic=prefix + "events",
        errors_topic=prefix + "errors",
        group=group,
        session_timeout_ms=6_000,
    )
    feed.start()
    while feed.failed is None:
        time.sleep(0.1)
    sys.exit(str(feed.failed))


if __name__ == "__main__":
    main()
