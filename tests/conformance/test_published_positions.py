"""How far the log is published: the same contract in a data directory and in PostgreSQL."""

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from eventstore import postgres_schema, published_postgres
from eventstore.commit import Head
from eventstore.errors import NoStore
from eventstore.kafka_errors import PublisherOvertaken
from eventstore.published import Published, PublishedPositions, SQLitePublished
from eventstore.published_postgres import PostgresPublished

Opening = Callable[[], PublishedPositions]
HERE = Published(Head(3, 30, bytes(range(32))), (28, 0, 30))
FURTHER = Published(Head(4, 31, bytes(32)), (28, 31, 30))


@pytest.fixture(params=["sqlite", "postgres"])
def opening(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opening]:
    """Open the same positions again and again, as several publishers do."""
    if request.param == "postgres":
        url = request.getfixturevalue("postgres_database")
        postgres_schema.migrate(url)
        published_postgres.migrate(url)
        published_postgres.migrate(url)
    with ExitStack() as resources:

        def open_() -> PublishedPositions:
            positions = (
                SQLitePublished(tmp_path) if request.param == "sqlite" else PostgresPublished(url)
            )
            resources.callback(positions.close)
            return positions

        yield open_


def test_nothing_is_known_of_a_topic_that_nothing_was_published_to(opening: Opening) -> None:
    positions = opening()
    positions.move("a", "events", HERE)

    assert positions.load("b") is None


def test_another_publisher_finds_what_one_has_noted(opening: Opening) -> None:
    first = opening()
    first.move("a", "events", HERE)
    first.move("a", "events", FURTHER)

    assert opening().load("a") == FURTHER


@pytest.mark.parametrize("behind", [HERE, FURTHER])
def test_a_position_never_goes_back_or_stays(opening: Opening, behind: Published) -> None:
    positions = opening()
    positions.move("a", "events", FURTHER)

    with pytest.raises(PublisherOvertaken):
        positions.move("a", "events", behind)
    assert positions.load("a") == FURTHER


def test_one_publisher_at_a_time_has_the_lock(opening: Opening) -> None:
    first, second = opening(), opening()

    assert first.try_lock()
    assert first.try_lock()
    assert not second.try_lock()
    first.unlock()
    assert second.try_lock()
    second.close()
    assert first.try_lock()


def test_a_publisher_waits_while_another_makes_the_file(tmp_path: Path) -> None:
    making = sqlite3.connect(
        tmp_path / "published.db", isolation_level=None, check_same_thread=False
    )
    making.execute("BEGIN IMMEDIATE")
    made = threading.Timer(0.1, making.execute, ["COMMIT"])
    made.start()
    SQLitePublished(tmp_path).close()
    made.join()
    making.close()


def test_without_migration_postgresql_says_what_to_do(postgres_database: str) -> None:
    positions = PostgresPublished(postgres_database)
    with pytest.raises(NoStore, match="migrate"):
        positions.load("a")
    positions.close()
