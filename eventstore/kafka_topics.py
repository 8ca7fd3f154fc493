"""Which topics there are, how they are made, and what a topic must be like to be used."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import msgspec
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient
from kafka.errors import KafkaError, TopicAlreadyExistsError

from eventstore.kafka_brokers import CONNECT_TIMEOUT_MS, Brokers, connecting
from eventstore.kafka_errors import BusUnavailable, TopicUnusable

_DAY_MS: Final = 24 * 60 * 60 * 1_000
FOR_EVER: Final = -1


class TopicPlan(msgspec.Struct, frozen=True, kw_only=True):
    """How a topic is made. retention_ms: FOR_EVER or how long a message is kept."""

    about: str
    partitions: int
    retention_ms: int = FOR_EVER

    @property
    def settings(self) -> dict[str, str]:
        """Return the topic's settings by Kafka's names."""
        return {
            "cleanup.policy": "delete",
            "retention.ms": str(self.retention_ms),
            "retention.bytes": str(FOR_EVER),
            "compression.type": "producer",
        }


EVENTS_TOPIC: Final = "events"
ERRORS_TOPIC: Final = "errors"
TOPICS: Final[Mapping[str, TopicPlan]] = {
    EVENTS_TOPIC: TopicPlan(
        about="Every event of the exchange, in order per stream.", partitions=12
    ),
    "command": TopicPlan(
        about="What other systems ask of the wallets.", partitions=6, retention_ms=30 * _DAY_MS
    ),
    "address.created": TopicPlan(about="Deposit addresses that were made.", partitions=6),
    "transaction": TopicPlan(about="Transactions seen on the chains.", partitions=6),
    ERRORS_TOPIC: TopicPlan(
        about="Messages that could not be carried out, and why.",
        partitions=3,
        retention_ms=30 * _DAY_MS,
    ),
}


class FoundTopic(msgspec.Struct, frozen=True):
    """A topic as the brokers describe it. id: unique for ever; a topic made anew has another."""

    id: str
    partitions: int


def ensure_topics(
    brokers: Brokers,
    *,
    plans: Mapping[str, TopicPlan] = TOPICS,
    prefix: str = "",
    replication_factor: int | None = None,
) -> list[str]:
    """Make the topics that are missing and return their names; those that fit are left alone.

    prefix: stands before each name. replication_factor: None leaves it to the brokers.
    Raises: TopicUnusable: one is there with another number of partitions, which would put streams
    elsewhere, or `events` is not kept for ever; BusUnavailable.
    """
    with administrator(brokers) as admin:
        wanted = {prefix + name: plan for name, plan in plans.items()}
        found = _found(admin, wanted)
        for name, topic in found.items():
            _require(name, topic, wanted[name])
        missing = [name for name in wanted if name not in found]
        if missing:
            _make(admin, {name: wanted[name] for name in missing}, replication_factor)
        _require_kept(admin, [name for name in found if wanted[name].retention_ms == FOR_EVER])
        return missing


def find_topic(brokers: Brokers, name: str) -> FoundTopic:
    """Return a topic. Raises: TopicUnusable: there is none; BusUnavailable."""
    with administrator(brokers) as admin:
        found = _found(admin, [name])
    if name not in found:
        raise TopicUnusable(f"there is no topic {name}: run `./foldex migrate`")
    return found[name]


@contextmanager
def administrator(brokers: Brokers) -> Iterator[Any]:
    """Yield a client for administration. Kafka's errors become BusUnavailable."""
    with connecting(brokers) as settings:
        admin = KafkaAdminClient(**settings, request_timeout_ms=CONNECT_TIMEOUT_MS)
    try:
        yield admin
    except KafkaError as error:
        raise BusUnavailable(f"Kafka at {brokers.bootstrap} refused: {error}") from error
    finally:
        admin.close()


def _found(admin: Any, names: Mapping[str, object] | list[str]) -> dict[str, FoundTopic]:
    described = admin.describe_topics(list(names))
    return {
        topic["name"]: FoundTopic(str(topic["topic_id"]), len(topic["partitions"]))
        for topic in described
        if topic["partitions"]
    }


def _make(admin: Any, plans: Mapping[str, TopicPlan], replication_factor: int | None) -> None:
    factor = -1 if replication_factor is None else replication_factor
    try:
        admin.create_topics(
            {
                name: {
                    "num_partitions": plan.partitions,
                    "replication_factor": factor,
                    "configs": plan.settings,
                }
                for name, plan in plans.items()
            },
            wait_for_metadata=True,
        )
    except TopicAlreadyExistsError:
        # Another process makes them at the same time: what counts is how they are in the end.
        admin.wait_for_topics(list(plans))
    found = _found(admin, plans)
    for name, plan in plans.items():
        if name not in found:
            raise TopicUnusable(f"the topic {name} was not made; look into the brokers' log")
        _require(name, found[name], plan)


def _require(name: str, topic: FoundTopic, plan: TopicPlan) -> None:
    if topic.partitions != plan.partitions:
        raise TopicUnusable(
            f"the topic {name} has {topic.partitions} partitions, not {plan.partitions}: another"
            " number puts streams into other partitions, where their order would be lost; delete"
            " the topic, or plan for the number it has"
        )


def _require_kept(admin: Any, names: list[str]) -> None:
    """Raises: TopicUnusable: Kafka would delete messages that are to be kept for ever."""
    if not names:
        return
    resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    described = admin.describe_configs(resources, config_filter="all")
    for name, entries in described["topic"].items():
        settings = {key: entry["value"] for key, entry in entries.items()}
        kept = {key: settings.get(key) for key in ("retention.ms", "retention.bytes")}
        if set(kept.values()) != {str(FOR_EVER)} or settings.get("cleanup.policy") != "delete":
            raise TopicUnusable(
                f"the topic {name} does not keep its messages for ever ({kept}, cleanup.policy"
                f" {settings.get('cleanup.policy')}): set both to -1 and the policy to delete"
            )
