"""The AsyncAPI document: every Kafka topic, its messages and an example of each, from the code."""

import json
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from api.example_events import example_event
from api.examples import T_MS
from api.version import VERSION
from domain.events import EVENTS, Event, stream_of
from eventstore.codec import stored_name
from eventstore.commit import Head
from eventstore.kafka_topics import ERRORS_TOPIC, EVENTS_TOPIC, TOPICS, TopicPlan
from eventstore.messages import (
    POSITION,
    PREVIOUS,
    REACHED,
    Marker,
    data_type,
    encode_event,
    encode_marker,
)
from projections.kafka_records import ErrorMessage

Json = dict[str, Any]

DESCRIPTION: Final = """
What a Foldex exchange writes to Kafka and what it reads there.

Numbers in events are JSON integers in ledger units, ticks and lots, as in `GET /v1/events`. They
may be beyond 2^53: read them with a parser that keeps integers whole. Ignore the repeats that a
restart may bring: an event whose position is not above the last one that you saw in its partition.
More: docs/kafka.md.
""".strip()

_DIGITS: Final = {"type": "string", "pattern": "^[0-9]+$"}
_SCHEMAS: Final = "#/components/schemas/{name}"
_STREAM_KEY: Final = {"type": "string", "description": "The stream of the event."}


def asyncapi_text() -> str:
    """Return the document as JSON."""
    return json.dumps(document(), indent=1, ensure_ascii=False) + "\n"


def document() -> Json:
    """Return the AsyncAPI 3 document."""
    messages = _messages()
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Foldex",
            "version": VERSION,
            "description": DESCRIPTION,
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "kafka": {
                "host": "localhost:9092",
                "protocol": "kafka",
                "description": "The brokers of the setting `kafka`.",
            }
        },
        "channels": {name: _channel(name, plan, messages[name]) for name, plan in TOPICS.items()},
        "operations": _operations(),
        "components": {
            "messages": {name: each for group in messages.values() for name, each in group.items()},
            "schemas": _schemas(),
        },
    }


def _channel(name: str, plan: TopicPlan, messages: Json) -> Json:
    return {
        "address": name,
        "title": name,
        "description": plan.about,
        "messages": {each: {"$ref": f"#/components/messages/{each}"} for each in messages},
        "bindings": {
            "kafka": {
                "topic": name,
                "partitions": plan.partitions,
                "topicConfiguration": {
                    "cleanup.policy": ["delete"],
                    "retention.ms": plan.retention_ms,
                },
                "bindingVersion": "0.5.0",
            }
        },
    }


def _operations() -> Json:
    return {
        "publishEvents": {
            "action": "send",
            "channel": {"$ref": f"#/channels/{EVENTS_TOPIC}"},
            "summary": "`./foldex publish` relays the log: at least once, in order per stream.",
        },
        "foldMarkets": {
            "action": "receive",
            "channel": {"$ref": f"#/channels/{EVENTS_TOPIC}"},
            "summary": "`./foldex project --from kafka` keeps the views of markets.",
        },
        "takeCommands": {
            "action": "receive",
            "channel": {"$ref": "#/channels/command"},
            "summary": "Custody does what is asked, once for each key. See docs/custody.md.",
        },
        "createAddresses": {
            "action": "send",
            "channel": {"$ref": "#/channels/address.created"},
            "summary": "The answer to `create_account`.",
        },
        "tellTransactions": {
            "action": "send",
            "channel": {"$ref": "#/channels/transaction"},
            "summary": "Each step of a deposit or payment, in the order of custody's books.",
        },
        "reportErrors": {
            "action": "send",
            "channel": {"$ref": f"#/channels/{ERRORS_TOPIC}"},
            "summary": "What cannot be carried out is reported, never skipped in silence.",
        },
    }


def _messages() -> dict[str, Json]:
    """Return the messages of each topic by name."""
    events = {stored_name(kind): _event_message(kind) for kind in EVENTS}
    return {
        EVENTS_TOPIC: {**events, "marker": _marker_message()},
        "command": {"command": _wallet_message("command", "What is asked of the wallets.")},
        "address.created": {
            "address_created": _wallet_message(
                "address_created", "The answer to `create_account`: its `meta` and an address."
            )
        },
        "transaction": {
            "transaction": _wallet_message("transaction", "A transaction seen on a chain.")
        },
        ERRORS_TOPIC: {"error": _error_message()},
    }


def _event_message(kind: type[Event]) -> Json:
    name, event = stored_name(kind), example_event(kind)
    return {
        "name": name,
        "title": kind.__name__,
        "summary": " ".join((kind.__dict__.get("__doc__") or kind.__name__).split()),
        "contentType": "application/json",
        "headers": _headers(POSITION, PREVIOUS),
        "payload": {
            "type": "object",
            "required": ["position", "time_ms", "stream", "type", "data"],
            "additionalProperties": False,
            "properties": {
                "position": {"type": "integer", "minimum": 1},
                "time_ms": {"type": "integer", "description": "ms since 1970 UTC"},
                "stream": {"type": "string"},
                "type": {"const": name},
                "data": {"$ref": _SCHEMAS.format(name=kind.__name__)},
            },
        },
        "bindings": {"kafka": {"key": _STREAM_KEY, "bindingVersion": "0.5.0"}},
        "examples": [
            {
                "headers": {POSITION: "90331", PREVIOUS: "90328"},
                "payload": json.loads(encode_event(90331, stream_of(event), event)),
            }
        ],
    }


def _marker_message() -> Json:
    head = Head(2041, 90331, bytes.fromhex("5c" * 32))
    return {
        "name": "marker",
        "title": "Progress marker",
        "summary": (
            "It has no key. Every event up to `reached` that belongs in this partition stands"
            " before it."
        ),
        "contentType": "application/json",
        "headers": _headers(REACHED, PREVIOUS),
        "payload": {"$ref": _SCHEMAS.format(name=Marker.__name__)},
        "examples": [
            {
                "headers": {REACHED: "90331", PREVIOUS: "90328"},
                "payload": json.loads(encode_marker(head, T_MS)),
            }
        ],
    }


def _error_message() -> Json:
    return {
        "name": "error",
        "title": "Error",
        "summary": "What was asked, in `request`, and why it was not done.",
        "contentType": "application/json",
        "payload": {"$ref": _SCHEMAS.format(name=ErrorMessage.__name__)},
        "examples": [{"payload": _ERROR_EXAMPLE}],
    }


_ERROR_EXAMPLE: Final = {
    "type": "event",
    "request": {
        "topic": "events",
        "partition": 3,
        "offset": 17,
        "key": "market:BTC-USDT",
        "headers": {},
        "value": "hello",
    },
    "error_code": "poison_record",
    "error_message": "events, partition 3, offset 17: the value is not an event's message",
}

_WALLET: Final[Mapping[str, tuple[Json, Json]]] = {
    "command": (
        {
            "type": {"type": "string", "examples": ["create_account"]},
            "meta": {"type": "object", "description": "Comes back in the answer as it was given."},
        },
        {"type": "create_account", "meta": {"account": "alice"}},
    ),
    "address_created": (
        {"address": {"type": "string"}},
        {"account": "alice", "address": "0x52908400098527886E0F7030069857D2E4169EE7"},
    ),
    "transaction": (
        {
            "txid": {"type": "string"},
            "value": {"type": "string", "description": "The chain's smallest units, in decimal."},
            "to": {"type": "string"},
            "from": {"type": "string"},
        },
        {
            "txid": "0x5c504ed432cb51138bcf09aa5e8a410dd4a1e204ef84bfed1be16dfba1b22060",
            "value": "31337000000000000",
            "to": "0x5DF9B87991262F6BA471F09758CDE1c0FC1De734",
            "from": "0xA1E4380A3B1f749673E270229993eE55F35663b4",
        },
    ),
}
"""Messages of the wallets: what must be in them, and an example; more fields may come."""


def _wallet_message(name: str, summary: str) -> Json:
    return {
        "name": name,
        "title": name.replace("_", " ").capitalize(),
        "summary": summary,
        "contentType": "application/json",
        "payload": {"$ref": _SCHEMAS.format(name=name)},
        "examples": [{"payload": _WALLET[name][1]}],
    }


def _headers(*names: str) -> Json:
    return {
        "type": "object",
        "required": list(names),
        "properties": {name: {**_DIGITS, "description": _HEADERS[name]} for name in names},
    }


_HEADERS: Final = {
    POSITION: "That of the event in the log: 1, 2, 3 … over all streams.",
    PREVIOUS: "That of the event before it in this partition; 0: there is none.",
    REACHED: "The position up to which this partition is complete.",
}


def _schemas() -> Json:
    kinds = [data_type(kind) for kind in EVENTS]
    _, schemas = msgspec.json.schema_components(
        [*kinds, Marker, ErrorMessage], ref_template=_SCHEMAS
    )
    for name, (properties, _) in _WALLET.items():
        schemas[name] = {
            "type": "object",
            "required": ["type"] if name == "command" else list(properties),
            "properties": properties,
            "additionalProperties": True,
        }
    return schemas
