"""A worker of the markets' views, to be killed: python -m … DIRECTORY BOOTSTRAP PREFIX GROUP."""

import sys
import time
from pathlib import Path

from projections.kafka_feed import KafkaFeed
from projections.sqlite import SQLiteViews


def main() -> None:
    directory, bootstrap, prefix, group = sys.argv[1:]
    store = SQLiteViews(Path(directory))
    feed = KafkaFeed(
        store,
        bootstrap,
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
