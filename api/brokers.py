"""The brokers that the settings name."""

from api.settings import Settings
from eventstore.kafka_brokers import Brokers


def brokers_of(settings: Settings) -> Brokers:
    """Return where Kafka is and how to prove who we are. `settings.kafka` is not empty."""
    return Brokers(
        settings.kafka,
        protocol=settings.kafka_protocol,
        mechanism=settings.kafka_mechanism,
        user=settings.kafka_user,
        password=settings.kafka_password.get_secret_value(),
        ca="" if settings.kafka_ca is None else str(settings.kafka_ca),
    )
