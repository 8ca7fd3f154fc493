"""The AsyncAPI document describes every topic and every event, and its examples are real ones."""

from collections.abc import Iterator
from typing import Any

import msgspec

from api.asyncapi import document
from domain.events import EVENTS, stream_of
from eventstore.codec import stored_name
from eventstore.kafka_topics import TOPICS
from eventstore.messages import decode_event, decode_marker
from projections.kafka_records import ErrorMessage

DOCUMENT = document()
MESSAGES = DOCUMENT["components"]["messages"]


def references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        if "$ref" in part:
            yield part["$ref"]
        for each in part.values():
            yield from references(each)
    elif isinstance(part, list):
        for each in part:
            yield from references(each)


def target(reference: str) -> Any:
    found: Any = DOCUMENT
    for step in reference.removeprefix("#/").split("/"):
        found = found[step]
    return found


def test_it_has_what_the_standard_asks_for() -> None:
    assert DOCUMENT["asyncapi"] == "3.0.0"
    assert {"title", "version"} <= DOCUMENT["info"].keys()
    for channel in DOCUMENT["channels"].values():
        assert {"address", "messages"} <= channel.keys()
    for operation in DOCUMENT["operations"].values():
        assert operation["action"] in ("send", "receive")
        assert "address" in target(operation["channel"]["$ref"])
    for message in MESSAGES.values():
        assert {"name", "payload", "examples"} <= message.keys()


def test_every_reference_resolves() -> None:
    found = list(references(DOCUMENT))

    assert len(found) > len(EVENTS)
    assert all(isinstance(target(each), dict) for each in found)


def test_every_topic_is_described_as_it_is_made() -> None:
    assert DOCUMENT["channels"].keys() == TOPICS.keys()
    for name, plan in TOPICS.items():
        kafka = DOCUMENT["channels"][name]["bindings"]["kafka"]
        assert kafka["partitions"] == plan.partitions
        assert str(kafka["topicConfiguration"]["retention.ms"]) == plan.settings["retention.ms"]


def test_every_event_has_a_message_whose_example_is_one() -> None:
    events = DOCUMENT["channels"]["events"]["messages"]
    assert events.keys() == {stored_name(kind) for kind in EVENTS} | {"marker"}
    for kind in EVENTS:
        (example,) = MESSAGES[stored_name(kind)]["examples"]
        position, event = decode_event(msgspec.json.encode(example["payload"]))
        assert type(event) is kind
        assert example["headers"]["position"] == str(position)
        assert example["payload"]["stream"] == stream_of(event)


def test_the_fields_of_each_event_are_those_it_has() -> None:
    for kind in EVENTS:
        schema = DOCUMENT["components"]["schemas"][kind.__name__]
        assert list(schema["properties"]) == list(kind.__struct_fields__)
        assert schema["additionalProperties"] is False


def test_the_other_examples_are_what_is_written_too() -> None:
    (marker,) = MESSAGES["marker"]["examples"]
    assert decode_marker(msgspec.json.encode(marker["payload"])).reached == int(
        marker["headers"]["reached"]
    )
    (error,) = MESSAGES["error"]["examples"]
    msgspec.convert(error["payload"], ErrorMessage)
    for name in ("command", "address_created", "transaction"):
        schema = DOCUMENT["components"]["schemas"][name]
        (example,) = MESSAGES[name]["examples"]
        assert set(schema["required"]) <= example["payload"].keys()
