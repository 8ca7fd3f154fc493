"""A process that folds a log into views in PostgreSQL, a few commits at a time, to be killed."""

import sys
from contextlib import closing
from pathlib import Path

from eventstore.sqlite import open_sqlite
from projections import batches, runner
from projections.postgres import PostgresViews


def main(directory: str, url: str) -> None:
    """Fold until the end of the log; print a line when at work."""
    vars(batches).update(COMMITS_PER_READ=3, EVENTS_PER_BATCH=1)
    with open_sqlite(Path(directory), create=False) as store, closing(PostgresViews(url)) as views:
        projections = runner.ProjectionRunner(store.log, views)
        while projections.run_once():
            print(projections.position, flush=True)
        projections.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
