"""A publisher of a data directory, to be killed: python -m … DIRECTORY BOOTSTRAP TOPIC."""

import sys
import time
from pathlib import Path

from eventstore.kafka_brokers import Brokers
from eventstore.published import SQLitePublished
from eventstore.publisher import Publisher
from eventstore.sqlite import open_sqlite


def main() -> None:
    directory, bootstrap, topic = sys.argv[1:]
    with open_sqlite(directory, create=False) as store:
        positions = SQLitePublished(Path(directory))
        publisher = Publisher(
            store.log, positions, Brokers(bootstrap), topic=topic, clock_ms=lambda: 0
        )
        publisher.start()
        while publisher.failed is None:
            time.sleep(0.1)
        sys.exit(str(publisher.failed))


if __name__ == "__main__":
    main()
